//! Token revocation (RFC 7009): it ends the family of the token.

use tokens::{Reject, Verifier};

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::event::{Actor, EndReason, EventKind};
use crate::domain::ids::FamilyId;
use crate::domain::refresh_token::TokenKind;
use crate::store::{self};

/// Why a token is not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The token was issued to another client (RFC 7009 §2.1).
    #[error("the token was issued to another client")]
    AnotherClient,
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Ends the family of a delegation, refresh or application token of this client.
///
/// An invalid token, or one of a family that is gone, is not an error (RFC 7009 §2.2). An old token of a family is as
/// good as its newest one: revoking it ends the family too.
///
/// # Errors
/// [`RevokeError`].
pub async fn revoke(
    authority: &Authority,
    metadata: &ClientMetadata,
    text: &str,
    caller: &Caller,
) -> Result<(), RevokeError> {
    let Some(family) = family_of(authority, text).await? else { return Ok(()) };
    if family.client_id != metadata.client_id {
        return Err(RevokeError::AnotherClient);
    }
    let event = authority
        .event(EventKind::FamilyEnded, Actor::Client(metadata.client_id.clone()), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id)
        .detail(serde_json::json!({ "reason": EndReason::RevokedByApp.as_str() }));
    authority
        .store
        .end_family(family.id, EndReason::RevokedByApp, None, event, authority.now())
        .await?;
    Ok(())
}

/// The family of a genuine token of any kind.
async fn family_of(
    authority: &Authority,
    text: &str,
) -> Result<Option<store::Family>, store::Error> {
    let opaque = [TokenKind::Refresh, TokenKind::Delegation]
        .into_iter()
        .find_map(|kind| authority.refresh_tokens.decode(kind, text));
    if let Some(token) = opaque {
        let family = authority.store.family(token.family).await?;
        return Ok(family.filter(|family| family.secret_hash == token.secret.hash()));
    }
    match own_access_token(authority, text).ok().and_then(|claims| claims.sid) {
        Some(sid) => authority.store.family(sid.into()).await,
        None => Ok(None),
    }
}

/// The claims of an application token that was signed with a published key of this issuer, for any audience.
///
/// # Errors
/// [`Reject`].
pub(super) fn own_access_token(
    authority: &Authority,
    text: &str,
) -> Result<tokens::Claims, Reject> {
    let audience = tokens::jws::Compact::parse(text)?
        .claims()?
        .get("aud")
        .and_then(|aud| aud.as_str())
        .unwrap_or_default()
        .to_owned();
    Verifier::new(authority.config.public_url.as_str(), audience)
        .leeway(std::time::Duration::ZERO)
        .verify(text, &authority.keyring.public_keys(), authority.now().secs())
}

/// The client of an application token that was signed here, though it may have expired.
pub(super) fn client_of_signed(authority: &Authority, text: &str) -> Option<String> {
    let token = tokens::jws::Compact::parse(text).ok()?;
    authority.keyring.public_keys().check(&token, &tokens::Algorithm::ALL).ok()?;
    Some(token.claims().ok()?.get("client_id")?.as_str()?.to_owned())
}

/// Ends a family by its id, for an operator: `true` if it was live, `None` if there is none with this id.
///
/// # Errors
/// When the database cannot answer.
pub async fn revoke_by_operator(
    authority: &Authority,
    family: FamilyId,
    caller: &Caller,
) -> Result<Option<bool>, store::Error> {
    let Some(found) = authority.store.family(family).await? else { return Ok(None) };
    let event = authority
        .event(EventKind::FamilyEnded, Actor::Operator, caller)
        .user(found.user_id)
        .client(&found.client_id)
        .family(family)
        .detail(serde_json::json!({ "reason": EndReason::RevokedByOperator.as_str() }));
    let reason = EndReason::RevokedByOperator;
    authority.store.end_family(family, reason, None, event, authority.now()).await.map(Some)
}
