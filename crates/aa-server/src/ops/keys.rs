//! Makes and rotates signing keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokens::{Algorithm, SigningKey};
use tracing::info;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::ops::key_phases;
use crate::services::keyring::{ANNOUNCED_AHEAD, KeyError, PUBLISHED};
use crate::store::KeyRow;

/// Creates the first keys of each published algorithm that has none, and loads the keys. Two replicas create one set. Keys
/// that an older line of the secret has opened are sealed under the newest.
///
/// # Errors
/// [`KeyError`].
pub async fn ensure(authority: &Authority) -> Result<(), KeyError> {
    authority.keyring.reload(&authority.store, authority.now()).await?;
    let rows = authority.store.keys(authority.now()).await?;
    for row in &rows {
        if let Some(sealed) = authority.keyring.resealed(row) {
            authority.store.reseal_key(row, &sealed).await?;
            info!(kid = row.kid, "a signing key is sealed under the newest line of the secret now");
        }
    }
    let missing: Vec<_> =
        PUBLISHED.into_iter().filter(|algorithm| !authority.keyring.has(*algorithm, "")).collect();
    for algorithm in &missing {
        key_phases::announce(authority, *algorithm, &rows).await?;
    }
    if !missing.is_empty() {
        authority.keyring.reload(&authority.store, authority.now()).await?;
    }
    Ok(())
}

/// Announces a new key of each published algorithm: it is in the JWKS at once and signs after ten minutes, on every
/// replica alike. The previous keys stay until their last token has expired, so no token is refused.
///
/// # Errors
/// [`KeyError`].
pub async fn rotate(authority: &Authority, caller: &Caller) -> Result<Vec<String>, KeyError> {
    key_phases::remove_retired(authority).await?;
    let mut made = Vec::new();
    for algorithm in PUBLISHED {
        let kid = loop {
            let rows = authority.store.keys(authority.now()).await?;
            let slots = rows.iter().filter(|row| row.algorithm == algorithm.name());
            let slot = slots.map(|row| row.slot).max().unwrap_or(0) + 1;
            let signs_from = authority.now() + ANNOUNCED_AHEAD;
            // `None`: a replica has announced one at this very moment.
            if let Some(kid) =
                key_phases::add(authority, algorithm, slot, signs_from, (Actor::Operator, caller))
                    .await?
            {
                break kid;
            }
        };
        made.push(kid);
    }
    authority.keyring.reload(&authority.store, authority.now()).await?;
    Ok(made)
}

/// Withdraws a key at once, because its private part has leaked: nothing signs with it any more, and no set of keys has it.
/// If it was the one that signs, a new one takes its place at once; its kid is the answer. `None` when there is no such key.
///
/// # Errors
/// [`KeyError`].
pub async fn revoke(
    authority: &Authority,
    kid: &str,
    caller: &Caller,
) -> Result<Option<Option<String>>, KeyError> {
    let now = authority.now();
    let rows = authority.store.keys(now).await?;
    let Some(row) = rows.iter().find(|row| row.kid == kid) else { return Ok(None) };
    let is_like =
        |other: &&KeyRow| other.algorithm == row.algorithm && other.audience == row.audience;
    let mut others = rows.iter().filter(is_like).filter(|other| other.kid != kid);
    // One that retires does not take over: it goes before its successor could have been announced.
    let is_signed_for = others.any(|other| other.signs_from <= now && other.retires_at.is_none());
    let mut successor = None;
    if row.audience.is_empty() && !is_signed_for {
        let algorithm: Algorithm =
            row.algorithm.parse().map_err(|_| KeyError::Unseal(kid.to_owned()))?;
        let slot = rows.iter().filter(is_like).map(|row| row.slot).max().unwrap_or(0) + 1;
        successor =
            key_phases::add(authority, algorithm, slot, now, (Actor::Operator, caller)).await?;
    }
    let event = authority
        .event(EventKind::KeyRevoked, Actor::Operator, caller)
        .detail(json!({ "kid": kid, "algorithm": row.algorithm, "audience": row.audience }));
    authority.store.revoke_key(kid, event, now).await?;
    authority.keyring.reload(&authority.store, now).await?;
    Ok(Some(successor))
}

/// The HS256 secret that an operator hands to the API of its audience. Shown once.
#[derive(Debug)]
pub struct AudienceSecret {
    /// The key id.
    pub kid: String,
    /// The secret, in base64url.
    pub secret: secrecy::SecretString,
}

/// Creates the HS256 secret of an audience, which signs at once. An earlier one stays valid for at least a day.
///
/// # Errors
/// [`KeyError`].
pub async fn add_audience_secret(
    authority: &Authority,
    audience: &str,
    caller: &Caller,
) -> Result<AudienceSecret, KeyError> {
    let rows = authority.store.keys(authority.now()).await?;
    let slots = rows.iter().filter(|row| row.algorithm == "HS256" && row.audience == audience);
    let slot = slots.map(|row| row.slot).max().unwrap_or(0) + 1;
    let private = SigningKey::generate(Algorithm::HS256)?;
    let key = SigningKey::from_private(Algorithm::HS256, &private)?;
    let new = key_phases::NewSigningKey { key: &key, private: &private, audience, slot };
    key_phases::keep(authority, new, authority.now(), (Actor::Operator, caller)).await?;
    authority.keyring.reload(&authority.store, authority.now()).await?;
    Ok(AudienceSecret {
        kid: key.id().to_owned(),
        secret: URL_SAFE_NO_PAD.encode(private.as_slice()).into(),
    })
}
