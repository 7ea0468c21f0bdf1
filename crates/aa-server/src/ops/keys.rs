//! Makes and rotates signing keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::time::Timestamp;
use serde_json::json;
use tokens::{Algorithm, SigningKey};
use tracing::info;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::services::keyring::{KEY_RETENTION, KeyError, PUBLISHED, PUBLISHED_AHEAD};
use crate::store::{KeyRow, NewKey};

/// Creates the first key of each published algorithm that has none, and loads the keys. Two replicas create one key. Keys
/// that an older line of the secret has opened are sealed under the newest.
///
/// # Errors
/// [`KeyError`].
pub async fn ensure(authority: &Authority) -> Result<(), KeyError> {
    authority.keyring.reload(&authority.store, authority.now()).await?;
    for row in authority.store.keys(authority.now()).await? {
        if let Some(sealed) = authority.keyring.resealed(&row) {
            authority.store.reseal_key(&row, &sealed).await?;
            info!(kid = row.kid, "a signing key is sealed under the newest line of the secret now");
        }
    }
    let missing: Vec<_> =
        PUBLISHED.into_iter().filter(|algorithm| !authority.keyring.has(*algorithm, "")).collect();
    for algorithm in &missing {
        add(authority, *algorithm, "", 1, authority.now(), &Caller::operator()).await?;
    }
    if !missing.is_empty() {
        authority.keyring.reload(&authority.store, authority.now()).await?;
    }
    Ok(())
}

/// Creates a new key of each published algorithm. It is published at once and signs after ten minutes, on every
/// replica alike; the previous keys stay published for a day after that, so no token is refused.
///
/// # Errors
/// [`KeyError`].
pub async fn rotate(authority: &Authority, caller: &Caller) -> Result<Vec<String>, KeyError> {
    let rows = authority.store.keys(authority.now()).await?;
    let mut made = Vec::new();
    for algorithm in PUBLISHED {
        let slots = rows.iter().filter(|row| row.algorithm == algorithm.name());
        let slot = slots.map(|row| row.slot).max().unwrap_or(0) + 1;
        let signs_from = authority.now() + PUBLISHED_AHEAD;
        made.push(add(authority, algorithm, "", slot, signs_from, caller).await?.id().to_owned());
    }
    authority.keyring.reload(&authority.store, authority.now()).await?;
    Ok(made)
}

/// Withdraws a key at once, because its private part has leaked: nothing signs with it any more, and no set of keys has it.
/// If no other key of its kind signs, or none will for good, a new one takes its place; its kid is the answer. `None` when
/// there is no such key.
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
    let others = rows.iter().filter(is_like).filter(|other| other.kid != kid);
    let signs = |other: &KeyRow| {
        other.signs_from <= now && other.retires_at.is_none_or(|retires_at| retires_at > now)
    };
    let signed_for = others.clone().any(signs);
    let for_good = others.clone().any(|other| other.retires_at.is_none());
    let mut successor = None;
    // One has to sign now, and one for good.
    if row.audience.is_empty() && !(signed_for && for_good) {
        let algorithm: Algorithm =
            row.algorithm.parse().map_err(|_| KeyError::Unseal(kid.to_owned()))?;
        let slot = rows.iter().filter(is_like).map(|row| row.slot).max().unwrap_or(0) + 1;
        let signs_from = if signed_for { now + PUBLISHED_AHEAD } else { now };
        let key = add(authority, algorithm, "", slot, signs_from, caller).await?;
        successor = Some(key.id().to_owned());
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

/// Creates the HS256 secret of an audience, which signs at once. An earlier one stays valid for a day.
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
    let key = keep(authority, Algorithm::HS256, &private, audience, slot, authority.now(), caller)
        .await?;
    authority.keyring.reload(&authority.store, authority.now()).await?;
    Ok(AudienceSecret {
        kid: key.id().to_owned(),
        secret: URL_SAFE_NO_PAD.encode(private.as_slice()).into(),
    })
}

async fn add(
    authority: &Authority,
    algorithm: Algorithm,
    audience: &str,
    slot: i64,
    signs_from: Timestamp,
    caller: &Caller,
) -> Result<SigningKey, KeyError> {
    // Generating an RSA key takes up to half a second of computation.
    let private = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm))
        .await
        .expect("making a key does not panic")?;
    keep(authority, algorithm, &private, audience, slot, signs_from, caller).await
}

async fn keep(
    authority: &Authority,
    algorithm: Algorithm,
    private: &[u8],
    audience: &str,
    slot: i64,
    signs_from: Timestamp,
    caller: &Caller,
) -> Result<SigningKey, KeyError> {
    let key = SigningKey::from_private(algorithm, private)?;
    let sealed = authority.keyring.seal(key.id(), private);
    let row = NewKey {
        kid: key.id(),
        algorithm: algorithm.name(),
        audience,
        slot,
        private_key: &sealed,
        signs_from,
    };
    let event = authority
        .event(EventKind::KeyMade, Actor::Operator, caller)
        .detail(json!({ "kid": key.id(), "algorithm": algorithm, "audience": audience }));
    let retire = (slot > 1).then_some(signs_from + KEY_RETENTION);
    authority.store.add_key(&row, retire, event, authority.now()).await?;
    Ok(key)
}
