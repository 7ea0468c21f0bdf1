//! The sessions of a user, as the sessions page shows them.

use std::collections::HashMap;
use std::time::Duration;

use foundation::time::Timestamp;

use crate::authority::Authority;
use crate::domain::event::EndReason;
use crate::domain::ids::{BrowserId, FamilyId, UserId};
use crate::domain::user::describe_browser;
use crate::ops::lists::{self, PageError, PageRequest, Sessions, client_names};
use crate::store::{self, Place, SessionRow, TwoPlaces};

/// The time for which ended sessions are shown.
const SHOWN: Duration = Duration::from_hours(30 * 24);
/// Sessions of a page, live ones and ended ones each.
const PAGE: u32 = 100;
/// Stands for the reason of a session that no one ended.
const EXPIRED: &str = "expired";

/// One browser of a user.
#[derive(Debug)]
pub struct Browser {
    /// Its id.
    pub id: BrowserId,
    /// The name the user gave it, or empty.
    pub name: String,
    /// Browser and system: "Firefox on Linux".
    pub browser: String,
    /// The address it was last seen at.
    pub ip: String,
    /// The time it was first seen.
    pub first_seen: Timestamp,
    /// The time it was last seen.
    pub last_seen: Timestamp,
    /// Whether it is the one that asks.
    pub is_this: bool,
    /// Apps that are open there.
    pub live: Vec<Session>,
}

/// One app in one browser.
#[derive(Debug)]
pub struct Session {
    /// The family.
    pub id: FamilyId,
    /// The app's name.
    pub app: String,
    /// The time it was opened.
    pub started: Timestamp,
    /// The time of the last refresh.
    pub last_used: Timestamp,
    /// The address of the last refresh.
    pub ip: String,
    /// A warning that it was used from two places, in words.
    pub warning: Option<String>,
}

/// A session that ended.
#[derive(Debug)]
pub struct Ended {
    /// The app's name.
    pub app: String,
    /// The browser, by its name or in words.
    pub browser: String,
    /// The time of the end.
    pub at: Timestamp,
    /// The reason of the end, in words.
    pub reason: String,
    /// Whether the user should act on it.
    pub alarming: bool,
}

/// A page of the sessions page: live sessions by browser, and ended ones.
#[derive(Debug)]
pub struct Overview {
    /// This browser first, then the last used.
    pub browsers: Vec<Browser>,
    /// The cursor of further live sessions.
    pub more: Option<String>,
    /// The latest first.
    pub ended: Vec<Ended>,
    /// The cursor of further ended sessions.
    pub older: Option<String>,
}

/// Reads a page of the sessions of a user, with the cursors of live and of ended ones. `this` is the browser that asks.
///
/// # Errors
/// [`PageError`].
pub async fn overview(
    authority: &Authority,
    user: UserId,
    this: Option<BrowserId>,
    (live, ended): (Option<&str>, Option<&str>),
) -> Result<Overview, PageError> {
    let now = authority.now();
    let limit = PAGE;
    let live =
        lists::sessions(authority, user, Sessions::Live, PageRequest { cursor: live, limit })
            .await?;
    let which = Sessions::EndedSince(now - SHOWN);
    let past =
        lists::sessions(authority, user, which, PageRequest { cursor: ended, limit }).await?;
    let rows = live.items.iter().chain(&past.items);
    let names = client_names(authority, rows.map(|row| row.client_id.as_str())).await?;
    let ended = past.items.iter().filter_map(|row| ended_session(row, &names, now).transpose());
    let mut ended: Vec<Ended> = ended.collect::<store::Result<_>>()?;
    ended.sort_by_key(|ended| std::cmp::Reverse(ended.at));
    let browsers = by_browser(&live.items, &names, this)?;
    Ok(Overview { browsers, more: live.next, ended, older: past.next })
}

fn ended_session(
    row: &SessionRow,
    names: &HashMap<String, String>,
    now: Timestamp,
) -> store::Result<Option<Ended>> {
    let Some((at, reason, alarming)) = end_of(row, now)? else { return Ok(None) };
    let app = names.get(&row.client_id).unwrap_or(&row.client_id).clone();
    let ended = Ended { app, browser: browser_of(row), at, reason, alarming };
    Ok((at + SHOWN > now).then_some(ended))
}

fn by_browser(
    rows: &[SessionRow],
    names: &HashMap<String, String>,
    this: Option<BrowserId>,
) -> store::Result<Vec<Browser>> {
    let mut browsers: Vec<Browser> = Vec::new();
    for row in rows {
        let session = Session {
            id: row.id,
            app: names.get(&row.client_id).unwrap_or(&row.client_id).clone(),
            started: row.created_at,
            last_used: row.rotated_at,
            ip: row.rotated_ip.clone(),
            warning: row.places_of_grace()?.as_ref().map(elsewhere_in_words),
        };
        match browsers.iter_mut().find(|browser| browser.id == row.browser_id) {
            Some(browser) => browser.live.push(session),
            None => browsers.push(browser_of_row(row, this, session)),
        }
    }
    for browser in &mut browsers {
        browser.live.sort_by_key(|session| std::cmp::Reverse(session.last_used));
    }
    browsers.sort_by_key(|browser| (!browser.is_this, std::cmp::Reverse(browser.last_seen)));
    Ok(browsers)
}

fn elsewhere_in_words(places: &TwoPlaces) -> String {
    let places = in_words(places);
    format!(
        "It was used from two places at once: {places}. If one of them is not yours, end it and change your password."
    )
}

fn browser_of_row(row: &SessionRow, this: Option<BrowserId>, first: Session) -> Browser {
    Browser {
        id: row.browser_id,
        name: row.browser_name.clone(),
        browser: describe_browser(&row.browser_user_agent),
        ip: row.browser_ip.clone(),
        first_seen: row.browser_first_seen_at,
        last_seen: row.browser_last_seen_at.max(row.rotated_at),
        is_this: this == Some(row.browser_id),
        live: vec![first],
    }
}

fn browser_of(row: &SessionRow) -> String {
    if row.browser_name.is_empty() {
        describe_browser(&row.browser_user_agent)
    } else {
        row.browser_name.clone()
    }
}

/// The time and reason of a session's first end, in words; `None` while it is live.
fn end_of(row: &SessionRow, now: Timestamp) -> store::Result<Option<(Timestamp, String, bool)>> {
    let stored = [
        (row.ended_at, &row.end_reason),
        (row.epoch_ended_at, &row.epoch_reason),
        (row.browser_session_ended_at, &row.browser_session_reason),
    ];
    let expired = row.expires_at.min(row.idle_expires_at);
    let stored = stored.into_iter().filter_map(|(at, reason)| Some((at?, reason.as_deref()?)));
    let first = stored
        .min_by_key(|(at, _)| *at)
        .filter(|(at, _)| *at <= expired)
        .or((expired <= now).then_some((expired, EXPIRED)));
    let Some((at, reason)) = first else { return Ok(None) };
    let text = match EndReason::from_stored(reason) {
        Some(EndReason::SignedOut) => "You signed out.".to_owned(),
        Some(EndReason::SignedInAgain) => "Another user signed in with this browser.".to_owned(),
        Some(EndReason::RevokedByUser) => "You ended it.".to_owned(),
        Some(EndReason::RevokedByApp) => "You signed out in the app.".to_owned(),
        Some(EndReason::RevokedByOperator) => "An administrator ended it.".to_owned(),
        Some(EndReason::Superseded) => "You opened the app again in the same browser.".to_owned(),
        Some(EndReason::PasswordChanged) => "Your password was changed.".to_owned(),
        Some(EndReason::UserDisabled) => "Your account was disabled.".to_owned(),
        Some(EndReason::ClientDisabled) => "The app was disabled.".to_owned(),
        Some(EndReason::ClientChanged) => {
            "The app may not stay signed in any more. Open it again.".to_owned()
        }
        Some(EndReason::Reuse) => {
            return Ok(Some((at, reuse_in_words(&row.places_of_reuse()?), true)));
        }
        None if reason == EXPIRED => "It was not used for a long time.".to_owned(),
        // A reason of a newer version.
        None => "It has ended.".to_owned(),
    };
    Ok(Some((at, text, false)))
}

fn reuse_in_words(places: &TwoPlaces) -> String {
    let places = in_words(places);
    format!(
        "Its token was used twice, from {places}. If one of them is not yours, change your password."
    )
}

/// "192.0.2.1 (Firefox on Linux) and from 192.0.2.2 (Chrome on Windows)".
fn in_words(places: &TwoPlaces) -> String {
    let place = |place: &Place| format!("{} ({})", place.ip, describe_browser(&place.user_agent));
    format!("{} and from {}", place(&places.first), place(&places.second))
}
