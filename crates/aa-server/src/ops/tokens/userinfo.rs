//! Claims about the person an application token speaks for (OpenID Connect Core §5.3).

use serde_json::{Map, Value};

use crate::authority::Authority;
use crate::domain::client::OPENID;
use crate::ops::tokens::introspect::is_live;
use crate::ops::tokens::issue::user_claims;
use crate::ops::tokens::revoke::own_access_token;
use crate::store;

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub enum UserinfoError {
    /// The token is not accepted, or its session has ended.
    #[error("the token is not valid")]
    InvalidToken,
    /// The token has no scope `openid`.
    #[error("this needs the scope `openid`")]
    InsufficientScope,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What the token's scope tells of its person. Asked here, a session that has ended is known at once.
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
        Some(id) => authority.store.user(id).await?,
        None => None,
    };
    let user = user.ok_or(UserinfoError::InvalidToken)?;
    if !claims.scope.contains(OPENID) {
        return Err(UserinfoError::InsufficientScope);
    }
    Ok(user_claims(&user, &claims.scope))
}
