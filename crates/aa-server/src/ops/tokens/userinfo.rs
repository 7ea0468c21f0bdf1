//! The `UserInfo` endpoint: claims about the user of an application token (OpenID Connect Core §5.3).

use serde_json::{Map, Value};

use crate::authority::Authority;
use crate::domain::client::OPENID;
use crate::domain::requested_claims::ClaimTarget;
use crate::ops::tokens::introspect::live_family;
use crate::ops::tokens::issue::released_claims;
use crate::ops::tokens::revoke::own_access_token;
use crate::store;

/// Why a request for claims is refused.
#[derive(Debug, thiserror::Error)]
pub enum UserinfoError {
    /// The token is not accepted, or its session has ended.
    #[error("the token is not valid")]
    InvalidToken,
    /// The token has no scope `openid`.
    #[error("this needs the scope `openid`")]
    InsufficientScope,
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The claims that the token's scope grants, and those that were asked for by name. The family is looked up, so an ended session is refused at once.
///
/// # Errors
/// [`UserinfoError`].
pub async fn userinfo(
    authority: &Authority,
    token: &str,
) -> Result<Map<String, Value>, UserinfoError> {
    let claims = own_access_token(authority, token).map_err(|_| UserinfoError::InvalidToken)?;
    let family = live_family(authority, &claims).await?.ok_or(UserinfoError::InvalidToken)?;
    let user = match claims.sub.user() {
        Some(id) => authority.store.user(id.into()).await?,
        None => None,
    };
    let user = user.ok_or(UserinfoError::InvalidToken)?;
    if !claims.scope.contains(OPENID) {
        return Err(UserinfoError::InsufficientScope);
    }
    let requested = (&family.requested_claims, ClaimTarget::Userinfo);
    let client = match requested {
        (claims, target) if claims.is_empty(target) => None,
        _ => authority.store.client(&family.client_id).await?,
    };
    let may_have =
        |name: &str| client.as_ref().is_some_and(|client| client.metadata.allows_scope(name));
    Ok(released_claims(&user, |name| claims.scope.contains(name), requested, may_have))
}
