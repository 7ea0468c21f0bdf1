//! The user who is signed in with the session cookie.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use tracing::Span;

use super::{Cookie, caller};
use crate::authority::Authority;
use crate::domain::refresh_token::SecretHash;
use crate::http::error::Error;
use crate::store::{BrowserSession, User};

/// The interval at which the use of a browser session is recorded.
const TOUCH_INTERVAL: Duration = Duration::from_mins(1);

/// The user who is signed in, with their browser session.
#[derive(Debug)]
pub struct CurrentUser {
    /// Their sign-in.
    pub browser_session: BrowserSession,
    /// The user.
    pub user: User,
    /// The token in the cookie.
    pub token: String,
}

/// The user who is signed in in this browser, if there is one.
///
/// # Errors
/// When the database cannot answer.
pub async fn current_user(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
) -> Result<Option<CurrentUser>, Error> {
    let Some(token) = Cookie::BrowserSession.read(authority, request) else { return Ok(None) };
    let now = authority.now();
    let hash = SecretHash::of(token.as_bytes());
    let Some(browser_session) = authority.store.browser_session(&hash, now).await? else {
        return Ok(None);
    };
    let Some(user) = authority.store.user(browser_session.user_id).await? else { return Ok(None) };
    Span::current().record("user", tracing::field::display(user.id));
    if now.since(browser_session.seen_at) >= TOUCH_INTERVAL {
        let caller = caller(authority, request)?;
        let idle = now + authority.config.ttls.browser_session_idle;
        authority.store.touch_browser_session(&browser_session, idle, caller.place(), now).await?;
    }
    Ok(Some(CurrentUser { browser_session, user, token }))
}

/// The user who is signed in. Without one the answer is the sign-in page, which leads back to this page.
///
/// # Errors
/// [`Error::SignIn`], and what the database says.
pub async fn signed_in(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    page: &str,
) -> Result<CurrentUser, Error> {
    current_user(authority, request).await?.ok_or_else(|| Error::SignIn(page.to_owned()))
}
