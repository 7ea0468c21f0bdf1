//! An app gives a token back (RFC 7009): its family ends.

use tokens::{Reject, Verifier};
use uuid::Uuid;

use super::Caller;
use crate::app::App;
use crate::domain::client::Registration;
use crate::domain::token::Kind;
use crate::store::{self, EndReason};

/// Why a token is not taken back.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// It is another app's (RFC 7009 §2.1).
    #[error("the token was issued to another client")]
    AnotherApps,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Ends the family of a delegation, refresh or application token of this app.
///
/// What is no token, or of a family that is gone, is no error (RFC 7009 §2.2). A token is genuine whatever its
/// age: giving back an old one ends the family too.
///
/// # Errors
/// [`RevokeError`].
pub async fn revoke(
    app: &App,
    registration: &Registration,
    text: &str,
    caller: &Caller,
) -> Result<(), RevokeError> {
    let Some(family) = family_of(app, text).await? else { return Ok(()) };
    if family.client_id != registration.client_id {
        return Err(RevokeError::AnotherApps);
    }
    let event = app
        .event("family.ended", format!("app:{}", registration.client_id), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id)
        .detail(serde_json::json!({ "reason": EndReason::RevokedByApp.as_str() }));
    app.store.end_family(family.id, EndReason::RevokedByApp, None, event, app.now()).await?;
    Ok(())
}

/// The family of any genuine token.
async fn family_of(app: &App, text: &str) -> Result<Option<store::Family>, store::Error> {
    let opaque =
        [Kind::Refresh, Kind::Delegation].into_iter().find_map(|kind| app.mint.read(kind, text));
    if let Some(token) = opaque {
        let family = app.store.family(token.family).await?;
        return Ok(family.filter(|family| family.secret_hash == token.secret.hash()));
    }
    match own_access_token(app, text).ok().and_then(|claims| claims.sid) {
        Some(sid) => app.store.family(sid).await,
        None => Ok(None),
    }
}

/// The claims of an application token that was signed here with a published key, for whatever audience.
///
/// # Errors
/// [`Reject`].
pub(super) fn own_access_token(app: &App, text: &str) -> Result<tokens::Claims, Reject> {
    let audience = tokens::jws::Compact::parse(text)?
        .claims()?
        .get("aud")
        .and_then(|aud| aud.as_str())
        .unwrap_or_default()
        .to_owned();
    Verifier::new(app.config.public_url.as_str(), audience)
        .leeway(std::time::Duration::ZERO)
        .verify(text, &app.signer.public_keys(), app.now().secs())
}

/// Ends a family by its id, for an operator. Whether it was live until now.
///
/// # Errors
/// What the database says.
pub async fn revoke_by_operator(
    app: &App,
    family: Uuid,
    caller: &Caller,
) -> Result<Option<bool>, store::Error> {
    let Some(found) = app.store.family(family).await? else { return Ok(None) };
    let event = app
        .event("family.ended", "operator", caller)
        .user(found.user_id)
        .client(&found.client_id)
        .family(family)
        .detail(serde_json::json!({ "reason": EndReason::RevokedByOperator.as_str() }));
    let reason = EndReason::RevokedByOperator;
    app.store.end_family(family, reason, None, event, app.now()).await.map(Some)
}
