//! The `UserInfo` endpoint: claims about the user of an application token (OpenID Connect Core §5.3).

use serde_json::{Map, Value};

use crate::authority::Authority;
use crate::domain::client::OPENID;
use crate::ops::tokens::introspect::is_live;
use crate::ops::tokens::issue::user_claims;
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

/// The claims that the token's scope grants. The family is looked up, so an ended session is refused at once.
///
/// # Errors
/// [`UserinfoError`].
pub async fn userinfo(
    authority: &Authority,
    token: &str,
) -> Result<Map<String, Value>, UserinfoError> {
    let claims = own_access_token(authority, token).map_err(|_| UserinfoError::InvalidToken)?;
    if !is_live(authority, &claims).await? {
        return Err(UserinfoError::InvalidToken);
    }
    let user = match claims.sub.user() {
        Some(id) => authority.store.user(id.into()).await?,
        None => None,
    };
    let user = user.ok_or(UserinfoError::InvalidToken)?;
    if !claims.scope.contains(OPENID) {
        return Err(UserinfoError::InsufficientScope);
    }
    Ok(user_claims(&user, |name| claims.scope.contains(name)))
}
