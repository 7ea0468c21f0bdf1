//! Ends a family because one of its tokens was used twice (`docs/contract.md#rule-5`).

use foundation::time::Timestamp;
use serde_json::json;
use tracing::warn;

use super::error::GrantError;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EndReason, EventKind};
use crate::ops::mail::{self, Mail, Notice};
use crate::store::{Family, Place, SealedDelivery};

/// Ends a family because one of its tokens was used twice, and records where both uses came from.
pub(super) async fn end_for_reuse(
    authority: &Authority,
    family: &Family,
    generation: u32,
    caller: &Caller,
) -> Result<GrantError, GrantError> {
    let now = authority.now();
    let detail = json!({
        "generation": generation,
        "newest": family.state.generation,
        "first": last_place(family),
        "second": this_place(caller, now),
    });
    let event = authority
        .event(EventKind::FamilyReuse, Actor::Client(family.client_id.clone()), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id)
        .detail(detail.clone())
        .tell(about_reuse(authority, family, caller).await?);
    authority.store.end_family(family.id, EndReason::Reuse, Some(&detail), event, now).await?;
    warn!(family = %family.id, client_id = family.client_id, "a token was used twice; its family has ended");
    Ok(GrantError::Reused)
}

/// The mail to the user, with both places.
async fn about_reuse(
    authority: &Authority,
    family: &Family,
    caller: &Caller,
) -> Result<SealedDelivery, GrantError> {
    let at = authority.now();
    let client = authority.store.client(&family.client_id).await?;
    let notice = Notice {
        user: family.user_id,
        email: None,
        kind: EventKind::FamilyReuse.as_str().to_owned(),
        at,
        places: vec![last_place(family), this_place(caller, at)],
        about: Some(client.map_or_else(|| family.client_id.clone(), |client| client.metadata.name)),
    };
    Ok(mail::seal(authority, &format!("user:{}", family.user_id), Mail::Notice(notice), None))
}

/// The place that the newest token of a family was issued to.
pub(super) fn last_place(family: &Family) -> Place {
    Place {
        ip: family.rotated_ip.clone(),
        user_agent: family.rotated_user_agent.clone(),
        at: family.state.rotated_at.to_string(),
    }
}

/// The place of a request.
pub(super) fn this_place(caller: &Caller, now: Timestamp) -> Place {
    Place { ip: caller.ip.clone(), user_agent: caller.user_agent.clone(), at: now.to_string() }
}
