//! The phases of signing keys: announced, signing, retiring. Every replica runs this; guarded statements make each step once.

use std::time::Duration;

use foundation::time::Timestamp;
use serde_json::json;
use tokens::{Algorithm, SigningKey};
use tracing::warn;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::services::keyring::{ANNOUNCED_AHEAD, KeyError, PUBLISHED};
use crate::store::{KeyRow, NewKey};

/// The time for which a key is kept after the last token that it has signed expired: the leeway of verifiers, the clocks of
/// replicas, and those that read the keys last.
const RETIRE_MARGIN: Duration = Duration::from_mins(5);
/// The longest life of what is signed beside application tokens: ID tokens, logout tokens, security events on their way.
const OTHER_TOKENS: Duration = Duration::from_mins(10);
/// The time for which an audience keeps its former HS256 secret, at least: an operator brings it the new one.
const SECRET_OVERLAP: Duration = Duration::from_hours(24);
/// Keys of one algorithm in the JWKS, at most. Rotation waits where a short interval meets long-lived tokens.
const MAX_KEYS: usize = 40;

/// Removes keys whose last token has expired, announces the ones that are due, and notes which ones have begun to sign.
///
/// # Errors
/// [`KeyError`]. What was done stays; the next run goes on.
pub async fn advance(authority: &Authority) -> Result<(), KeyError> {
    remove_retired(authority).await?;
    let rows = authority.store.keys(authority.now()).await?;
    for algorithm in PUBLISHED {
        announce(authority, algorithm, &rows).await?;
    }
    retire_replaced(authority, &rows).await
}

/// Announces the keys of an algorithm that begin to sign within the next ten minutes: the first ones if `rows`, which are
/// the present keys, newest first, have none of it.
///
/// A key is announced ten minutes before it signs, so that every verifier has fetched it by then; but the first one signs
/// at once, and those announced with it at their time, because no verifier has an older JWKS.
pub(super) async fn announce(
    authority: &Authority,
    algorithm: Algorithm,
    rows: &[KeyRow],
) -> Result<(), KeyError> {
    let now = authority.now();
    let known: Vec<_> = rows.iter().filter(|row| row.algorithm == algorithm.name()).collect();
    let newest = known.first().map(|row| (row.slot, row.signs_from));
    let mut count = known.len();
    let add = async |slot, signs_from| {
        self::add(authority, algorithm, slot, signs_from, (Actor::System, &Caller::operator()))
            .await
    };
    let (mut slot, mut signs_from) = match newest {
        Some(newest) => newest,
        None if add(1, now).await?.is_some() => (1, now),
        // Another replica makes them.
        None => return Ok(()),
    };
    let Some(interval) = authority.config.key_rotation else { return Ok(()) };
    let earliest = if newest.is_some() { now + ANNOUNCED_AHEAD } else { now };
    while signs_from + interval <= now + ANNOUNCED_AHEAD {
        if count >= MAX_KEYS {
            warn!(%algorithm, count, "no further key is announced: the tokens of many keys are valid. Raise AA_KEY_ROTATION");
            break;
        }
        (slot, signs_from) = (slot + 1, (signs_from + interval).max(earliest));
        if add(slot, signs_from).await?.is_none() {
            break;
        }
        count += 1;
    }
    Ok(())
}

/// Gives every key that another has replaced the time at which its last token has expired.
async fn retire_replaced(authority: &Authority, rows: &[KeyRow]) -> Result<(), KeyError> {
    let now = authority.now();
    for row in rows {
        if row.signs_from > now {
            continue;
        }
        let older = |other: &KeyRow| {
            (&other.algorithm, &other.audience) == (&row.algorithm, &row.audience)
                && other.slot < row.slot
        };
        if !rows.iter().any(|other| older(other) && other.retires_at.is_none()) {
            continue;
        }
        let known = authority.store.longest_token_life(now).await?;
        let shortest = if row.audience.is_empty() { OTHER_TOKENS } else { SECRET_OVERLAP };
        // Not known on a database of which no replica has read the clients yet: then the longest that is possible.
        let life = known.map_or(SECRET_OVERLAP, Duration::from_secs).max(shortest);
        let retires_at = now + life + RETIRE_MARGIN;
        let event = authority
            .event(EventKind::KeySigning, Actor::System, &Caller::operator())
            .detail(json!({
                "kid": row.kid,
                "algorithm": row.algorithm,
                "audience": row.audience,
                "earlier_retire_at": retires_at.to_string(),
            }));
        authority.store.retire_keys_before(row, retires_at, event, now).await?;
    }
    Ok(())
}

/// Removes the keys that retire by now, private parts and all.
pub(super) async fn remove_retired(authority: &Authority) -> Result<(), KeyError> {
    let now = authority.now();
    for row in authority.store.retired_keys(now).await? {
        let event =
            authority.event(EventKind::KeyRetired, Actor::System, &Caller::operator()).detail(
                json!({ "kid": row.kid, "algorithm": row.algorithm, "audience": row.audience }),
            );
        authority.store.remove_retired_key(&row.kid, event, now).await?;
    }
    Ok(())
}

/// Creates a key that all audiences share, and returns its kid. `None` when another replica was first with this slot.
pub(super) async fn add(
    authority: &Authority,
    algorithm: Algorithm,
    slot: i64,
    signs_from: Timestamp,
    by: (Actor, &Caller),
) -> Result<Option<String>, KeyError> {
    // Generating an RSA key takes up to half a second of computation.
    let private = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm))
        .await
        .expect("making a key does not panic")?;
    let key = SigningKey::from_private(algorithm, &private)?;
    let new = NewSigningKey { key: &key, private: &private, audience: "", slot };
    let added = keep(authority, new, signs_from, by).await?;
    Ok(added.then(|| key.id().to_owned()))
}

/// A key to be kept.
pub(super) struct NewSigningKey<'a> {
    pub(super) key: &'a SigningKey,
    pub(super) private: &'a [u8],
    pub(super) audience: &'a str,
    pub(super) slot: i64,
}

/// Keeps a key, its private part sealed. `false` when another replica was first with its slot.
pub(super) async fn keep(
    authority: &Authority,
    new: NewSigningKey<'_>,
    signs_from: Timestamp,
    (actor, caller): (Actor, &Caller),
) -> Result<bool, KeyError> {
    let NewSigningKey { key, private, audience, slot } = new;
    let algorithm = key.algorithm();
    let sealed = authority.keyring.seal(key.id(), private);
    let row = NewKey {
        kid: key.id(),
        algorithm: algorithm.name(),
        audience,
        slot,
        private_key: &sealed,
        signs_from,
    };
    let detail = json!({
        "kid": key.id(),
        "algorithm": algorithm,
        "audience": audience,
        "signs_from": signs_from.to_string(),
    });
    let event = authority.event(EventKind::KeyMade, actor, caller).detail(detail);
    Ok(authority.store.add_key(&row, event, authority.now()).await?)
}
