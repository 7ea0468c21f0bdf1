//! Refresh tokens that are used from two places within their grace (`docs/contract.md#rule-4`).
//!
//! Grace answers a second tab and a lost answer. Both come from the place that the successor was issued to. A thief who
//! refreshes in turn with the owner comes from another: the first time is recorded, the second ends the family.

use metrics::counter;
use tracing::warn;

use super::error::GrantError;
use super::reuse::{end_for_reuse, last_place, this_place};
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::event::{Actor, EventKind};
use crate::domain::refresh_token::RefreshToken;
use crate::store::{Family, GraceElsewhere, Grant};

/// Answers the immediate predecessor within its grace.
///
/// # Errors
/// [`GrantError::Reused`] when the family has been used from two places before.
pub(super) async fn retry(
    authority: &Authority,
    metadata: &ClientMetadata,
    family: Family,
    token: &RefreshToken,
    caller: &Caller,
) -> Result<Grant, GrantError> {
    // The address of an app's own server says nothing about the user's browser; and a client that proves the key is the owner.
    let is_the_users = metadata.is_public() || caller.told_by_client;
    if !is_the_users
        || family.dpop_jkt.is_some()
        || !caller.is_elsewhere(&family.rotated_ip, &family.rotated_user_agent)
    {
        return Ok(family.into());
    }
    let now = authority.now();
    let elsewhere = GraceElsewhere {
        generation: family.state.generation,
        first: last_place(&family),
        second: this_place(caller, now),
    };
    let event = authority
        .event(EventKind::FamilyGraceElsewhere, Actor::Client(family.client_id.clone()), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id)
        .detail(serde_json::to_value(&elsewhere).unwrap_or_default());
    let known = match &family.grace_elsewhere {
        Some(known) => Some(known.clone()),
        None if authority
            .store
            .record_grace_elsewhere(family.id, &elsewhere, event, now)
            .await? =>
        {
            counter!("aa_family_grace_elsewhere_total").increment(1);
            warn!(family = %family.id, "a refresh token was used from two places within its grace");
            return Ok(family.into());
        }
        // Recorded by another request at the same moment, or the family has been rotated.
        None => authority.store.family(family.id).await?.and_then(|family| family.grace_elsewhere),
    };
    if known.is_some_and(|known| is_repeated(&known, &elsewhere)) {
        return Ok(family.into());
    }
    Err(end_for_reuse(authority, &family, token.generation, caller).await?)
}

/// Whether this is what was recorded, once more: the answer was lost again.
fn is_repeated(known: &GraceElsewhere, elsewhere: &GraceElsewhere) -> bool {
    known.generation == elsewhere.generation
        && known.second.ip == elsewhere.second.ip
        && known.second.user_agent == elsewhere.second.user_agent
}
