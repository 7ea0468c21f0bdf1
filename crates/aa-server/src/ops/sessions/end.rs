//! Sessions ended by their user: one app in one browser, one browser, all others, all.

use secrecy::SecretString;
use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EndReason, EventKind};
use crate::domain::ids::{BrowserId, FamilyId};
use crate::domain::refresh_token::SecretHash;
use crate::store::{BrowserSession, Event, KeptSession, Result};

/// Signs out: ends the browser session, and with it its families.
///
/// # Errors
/// When the database cannot answer.
pub async fn sign_out(
    authority: &Authority,
    browser_session: &BrowserSession,
    session_token: &str,
    caller: &Caller,
) -> Result<()> {
    let event = event(
        authority,
        EventKind::BrowserSessionEnded,
        browser_session,
        EndReason::SignedOut,
        caller,
    );
    let hash = SecretHash::of(session_token.as_bytes());
    authority.store.sign_out(&hash, event, authority.now()).await.map(drop)
}

/// Ends one family. `None` when it is not this user's.
///
/// # Errors
/// When the database cannot answer.
pub async fn end_family(
    authority: &Authority,
    browser_session: &BrowserSession,
    family: FamilyId,
    caller: &Caller,
) -> Result<Option<()>> {
    let found = authority.store.family(family).await?;
    let Some(found) = found.filter(|found| found.user_id == browser_session.user_id) else {
        return Ok(None);
    };
    let reason = EndReason::RevokedByUser;
    let event = event(authority, EventKind::FamilyEnded, browser_session, reason, caller)
        .client(&found.client_id)
        .family(family);
    authority.store.end_family(family, reason, None, event, authority.now()).await?;
    Ok(Some(()))
}

/// Ends one browser. `None` when it is not this user's.
///
/// # Errors
/// When the database cannot answer.
pub async fn end_browser(
    authority: &Authority,
    browser_session: &BrowserSession,
    browser: BrowserId,
    caller: &Caller,
) -> Result<Option<()>> {
    let event = event(
        authority,
        EventKind::BrowserEnded,
        browser_session,
        EndReason::RevokedByUser,
        caller,
    )
    .detail(json!({ "device": browser }));
    authority.store.end_browser(browser_session.user_id, browser, event, authority.now()).await
}

/// Ends all sessions of the user except this one, which gets a new token, for its cookie: the answer. `None` when this one
/// has ended meanwhile.
///
/// # Errors
/// When the database cannot answer.
pub async fn end_others(
    authority: &Authority,
    browser_session: &BrowserSession,
    caller: &Caller,
) -> Result<Option<SecretString>> {
    let (token, keep) = keep(authority, browser_session);
    let ended = end_all_but(authority, browser_session, Some(&keep), caller).await?;
    Ok(ended.map(|()| token))
}

/// Ends all sessions of the user, this browser included.
///
/// # Errors
/// When the database cannot answer.
pub async fn end_all(
    authority: &Authority,
    browser_session: &BrowserSession,
    caller: &Caller,
) -> Result<()> {
    end_all_but(authority, browser_session, None, caller).await.map(drop)
}

/// Ends every session of every user, for an operator. Returns how many users there are.
///
/// # Errors
/// When the database cannot answer.
pub async fn end_everything(authority: &Authority, caller: &Caller) -> Result<i64> {
    let event = authority.event(EventKind::EverythingEnded, Actor::Operator, caller);
    let reason = EndReason::RevokedByOperator;
    authority.store.end_everything(reason, event, authority.now()).await
}

/// A new token for a browser session that stays when the others end, so that a copy of its cookie does not stay.
pub(in crate::ops) fn keep(
    authority: &Authority,
    browser_session: &BrowserSession,
) -> (SecretString, KeptSession) {
    let token = authority.random.token();
    let new_token_hash = SecretHash::of(token.as_bytes());
    (token.into(), KeptSession { id: browser_session.id, new_token_hash })
}

async fn end_all_but(
    authority: &Authority,
    browser_session: &BrowserSession,
    keep: Option<&KeptSession>,
    caller: &Caller,
) -> Result<Option<()>> {
    let reason = EndReason::RevokedByUser;
    let kept_browser = keep.map(|_| browser_session.browser_id);
    let event = event(authority, EventKind::UserSessionsEnded, browser_session, reason, caller)
        .detail(json!({ "kept_device": kept_browser }));
    authority
        .store
        .end_sessions_of_user(browser_session.user_id, reason, keep, event, authority.now())
        .await
}

fn event(
    authority: &Authority,
    kind: EventKind,
    browser_session: &BrowserSession,
    reason: EndReason,
    caller: &Caller,
) -> Event {
    authority
        .event(kind, Actor::User(browser_session.user_id), caller)
        .user(browser_session.user_id)
        .detail(json!({ "reason": reason.as_str() }))
}
