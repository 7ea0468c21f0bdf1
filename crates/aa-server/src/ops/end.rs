//! A person ends sessions: one app in one browser, one browser, all others, all.

use serde_json::json;
use uuid::Uuid;

use super::Caller;
use crate::app::App;
use crate::domain::token::SecretHash;
use crate::store::{EndReason, Event, Identity, Result};

/// Signs out: ends the identity token in the database, and with it its families.
///
/// # Errors
/// What the database says.
pub async fn sign_out(
    app: &App,
    identity: &Identity,
    identity_token: &str,
    caller: &Caller,
) -> Result<()> {
    let event = event(app, "identity.ended", identity, EndReason::SignedOut, caller);
    let hash = SecretHash::of(identity_token.as_bytes());
    app.store.sign_out(&hash, event, app.now()).await.map(drop)
}

/// Ends one app in one browser. `None` when it is not this user's.
///
/// # Errors
/// What the database says.
pub async fn end_family(
    app: &App,
    identity: &Identity,
    family: Uuid,
    caller: &Caller,
) -> Result<Option<()>> {
    let found = app.store.family(family).await?;
    let Some(found) = found.filter(|found| found.user_id == identity.user_id) else {
        return Ok(None);
    };
    let reason = EndReason::RevokedByUser;
    let event = event(app, "family.ended", identity, reason, caller)
        .client(&found.client_id)
        .family(family);
    app.store.end_family(family, reason, None, event, app.now()).await?;
    Ok(Some(()))
}

/// Ends one browser. `None` when it is not this user's.
///
/// # Errors
/// What the database says.
pub async fn end_device(
    app: &App,
    identity: &Identity,
    device: Uuid,
    caller: &Caller,
) -> Result<Option<()>> {
    let event = event(app, "device.ended", identity, EndReason::RevokedByUser, caller)
        .detail(json!({ "device": device }));
    app.store.end_device(identity.user_id, device, event, app.now()).await
}

/// Ends everything but this browser.
///
/// # Errors
/// What the database says.
pub async fn end_others(app: &App, identity: &Identity, caller: &Caller) -> Result<()> {
    end_all_but(app, identity, Some(identity.device_id), caller).await
}

/// Ends everything, this browser too.
///
/// # Errors
/// What the database says.
pub async fn end_all(app: &App, identity: &Identity, caller: &Caller) -> Result<()> {
    end_all_but(app, identity, None, caller).await
}

async fn end_all_but(
    app: &App,
    identity: &Identity,
    keep: Option<Uuid>,
    caller: &Caller,
) -> Result<()> {
    let reason = EndReason::RevokedByUser;
    let event = event(app, "user.sessions_ended", identity, reason, caller)
        .detail(json!({ "kept_device": keep }));
    app.store.end_sessions_of_user(identity.user_id, reason, keep, event, app.now()).await
}

fn event(
    app: &App,
    kind: &'static str,
    identity: &Identity,
    reason: EndReason,
    caller: &Caller,
) -> Event {
    app.event(kind, format!("user:{}", identity.user_id), caller)
        .user(identity.user_id)
        .detail(json!({ "reason": reason.as_str() }))
}
