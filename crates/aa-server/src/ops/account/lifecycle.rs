//! The end of an account: closed by its user, kept after all, or deleted.

use secrecy::SecretString;

use super::AccountError;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::ops::mail;
use crate::ops::sessions::end;
use crate::store::{BrowserSession, Result, User};

/// Closes an account: it is deleted after a time of grace. All sessions end except the one it is closed in, which gets a new
/// token, for its cookie: the answer.
///
/// # Errors
/// [`AccountError::Ended`], [`AccountError::Store`].
pub async fn close(
    authority: &Authority,
    user: &User,
    browser_session: &BrowserSession,
    caller: &Caller,
) -> std::result::Result<SecretString, AccountError> {
    let now = authority.now();
    let event = authority
        .event(EventKind::UserClosed, Actor::User(user.id), caller)
        .user(user.id)
        .tell(mail::notice(authority, user.id, EventKind::UserClosed, caller));
    let (token, keep) = end::keep(authority, browser_session);
    let closes_at = now + authority.config.closing_grace;
    let closed = authority.store.close_account(user.id, closes_at, &keep, event, now).await?;
    closed.ok_or(AccountError::Ended)?;
    Ok(token)
}

/// Keeps an account that was closed.
///
/// # Errors
/// When the database cannot answer.
pub async fn keep(authority: &Authority, user: &User, caller: &Caller) -> Result<()> {
    let event = authority.event(EventKind::UserKept, Actor::User(user.id), caller).user(user.id);
    authority.store.keep_account(user.id, event, authority.now()).await.map(drop)
}

/// Deletes the accounts whose time of grace is over. Returns how many.
///
/// # Errors
/// When the database cannot answer.
pub async fn delete_closed(authority: &Authority) -> Result<usize> {
    let mut deleted = 0;
    for user in authority.store.accounts_to_delete(authority.now()).await? {
        let event =
            authority.event(EventKind::UserDeleted, Actor::System, &Caller::operator()).user(user);
        if authority.store.delete_account(user, event, authority.now()).await? {
            deleted += 1;
        }
    }
    Ok(deleted)
}
