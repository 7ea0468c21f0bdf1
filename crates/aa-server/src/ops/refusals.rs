//! Records refusals as events.

use serde_json::json;
use tracing::warn;

use crate::authority::Authority;
use crate::domain::event::{Actor, EventKind};
use crate::services::refusals::Due;
use crate::store;

/// Records the refusals that are due, or all of them. What cannot be recorded stays due.
pub async fn record(authority: &Authority, all: bool) {
    let _alone = authority.refusals.recording.lock().await;
    for due in authority.refusals.due(authority.now(), all) {
        if let Err(error) = record_one(authority, &due).await {
            warn!(%error, "refusals could not be recorded; the next run tries again");
            return;
        }
    }
}

async fn record_one(authority: &Authority, due: &Due) -> store::Result<()> {
    let refusal = &due.refusal;
    let actor =
        if due.authenticated { Actor::Client(refusal.client_id.clone()) } else { Actor::Anonymous };
    let mut event = authority
        .event(EventKind::ClientRefused, actor, &due.caller)
        .client(&refusal.client_id)
        .detail(json!({
            "endpoint": refusal.endpoint,
            "error": refusal.error,
            "reason": refusal.reason,
        }));
    event.id = due.event.unwrap_or(event.id);
    authority.store.count_event(&event, due.count, authority.now()).await?;
    authority.refusals.recorded(due, event.id, authority.now());
    Ok(())
}
