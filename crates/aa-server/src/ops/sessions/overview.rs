//! The sessions of a user, as the sessions page shows them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use foundation::time::Timestamp;

use crate::authority::Authority;
use crate::domain::event::EndReason;
use crate::domain::ids::{BrowserId, FamilyId, UserId};
use crate::domain::user_agent::UserAgent;
use crate::ops::lists::{self, PageError, PageRequest, Sessions, client_names};
use crate::store::{self, SessionRow, SignedInBrowser, TwoPlaces};

/// The time for which ended sessions are shown.
const SHOWN: Duration = Duration::from_hours(30 * 24);
/// Sessions of a page, live ones and ended ones each.
const PAGE: u32 = 100;

/// One browser of a user.
#[derive(Debug)]
pub struct Browser {
    /// Its id.
    pub id: BrowserId,
    /// The name the user gave it, or empty.
    pub name: String,
    /// Browser and system.
    pub agent: UserAgent,
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
    /// Whether the app is an agent.
    pub is_agent: bool,
    /// The time it was opened.
    pub started: Timestamp,
    /// The time of the last refresh.
    pub last_used: Timestamp,
    /// The address of the last refresh.
    pub ip: String,
    /// The places of a refresh token that was used from two.
    pub two_places: Option<TwoPlaces>,
}

/// A session that ended.
#[derive(Debug)]
pub struct Ended {
    /// The family.
    pub id: FamilyId,
    /// The app's name.
    pub app: String,
    /// Whether the app is an agent.
    pub is_agent: bool,
    /// The name that the user gave the browser, or empty.
    pub browser_name: String,
    /// Browser and system.
    pub agent: UserAgent,
    /// The time of the end.
    pub at: Timestamp,
    /// The reason of the end.
    pub reason: Reason,
}

/// The reason of a session's end.
#[derive(Debug)]
pub enum Reason {
    /// A user, an app or an operator ended it.
    Ended(EndReason),
    /// A token was used twice, from these places.
    Reuse(TwoPlaces),
    /// The session was not used for too long, or reached its greatest age.
    Expired,
    /// A newer version knows why.
    Unknown,
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
    let first_page = live.is_none();
    let live =
        lists::sessions(authority, user, Sessions::Live, PageRequest { cursor: live, limit })
            .await?;
    let which = Sessions::EndedSince(now - SHOWN);
    let past =
        lists::sessions(authority, user, which, PageRequest { cursor: ended, limit }).await?;
    let rows = live.items.iter().chain(&past.items);
    let ids = || rows.clone().map(|row| row.client_id.as_str());
    let clients = Clients {
        names: client_names(authority, ids()).await?,
        agents: lists::agents(authority, ids()).await?,
    };
    let ended = past.items.iter().filter_map(|row| ended_session(row, &clients, now).transpose());
    let mut ended: Vec<Ended> = ended.collect::<store::Result<_>>()?;
    ended.sort_by_key(|ended| std::cmp::Reverse(ended.at));
    let mut browsers = by_browser(&live.items, &clients, this)?;
    if first_page {
        for signed_in in authority.store.signed_in_browsers(user, now).await? {
            match browsers.iter_mut().find(|browser| browser.id == signed_in.id) {
                Some(browser) => browser.last_seen = browser.last_seen.max(signed_in.last_seen_at),
                None => browsers.push(browser_without_apps(signed_in, this)),
            }
        }
        browsers.sort_by_key(|browser| (!browser.is_this, std::cmp::Reverse(browser.last_seen)));
    }
    Ok(Overview { browsers, more: live.next, ended, older: past.next })
}

/// What is known of the clients of a page.
struct Clients {
    names: HashMap<String, String>,
    agents: HashSet<String>,
}

impl Clients {
    fn name(&self, client_id: &str) -> String {
        self.names.get(client_id).map_or(client_id, String::as_str).to_owned()
    }
}

fn ended_session(
    row: &SessionRow,
    clients: &Clients,
    now: Timestamp,
) -> store::Result<Option<Ended>> {
    let Some((at, reason)) = end_of(row, now)? else { return Ok(None) };
    let app = clients.name(&row.client_id);
    let is_agent = clients.agents.contains(&row.client_id);
    let (browser_name, agent) = (row.browser_name.clone(), UserAgent::of(&row.browser_user_agent));
    let ended = Ended { id: row.id, app, is_agent, browser_name, agent, at, reason };
    Ok((at + SHOWN > now).then_some(ended))
}

fn by_browser(
    rows: &[SessionRow],
    clients: &Clients,
    this: Option<BrowserId>,
) -> store::Result<Vec<Browser>> {
    let mut browsers: Vec<Browser> = Vec::new();
    for row in rows {
        let session = Session {
            id: row.id,
            app: clients.name(&row.client_id),
            is_agent: clients.agents.contains(&row.client_id),
            started: row.created_at,
            last_used: row.rotated_at,
            ip: row.rotated_ip.clone(),
            two_places: row.places_of_grace()?,
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

fn browser_without_apps(browser: SignedInBrowser, this: Option<BrowserId>) -> Browser {
    Browser {
        is_this: this == Some(browser.id),
        id: browser.id,
        name: browser.name,
        agent: UserAgent::of(&browser.user_agent),
        ip: browser.ip,
        first_seen: browser.first_seen_at,
        last_seen: browser.last_seen_at,
        live: Vec::new(),
    }
}

fn browser_of_row(row: &SessionRow, this: Option<BrowserId>, first: Session) -> Browser {
    Browser {
        id: row.browser_id,
        name: row.browser_name.clone(),
        agent: UserAgent::of(&row.browser_user_agent),
        ip: row.browser_ip.clone(),
        first_seen: row.browser_first_seen_at,
        last_seen: row.browser_last_seen_at.max(row.rotated_at),
        is_this: this == Some(row.browser_id),
        live: vec![first],
    }
}

/// The time and reason of a session's first end; `None` while it is live.
fn end_of(row: &SessionRow, now: Timestamp) -> store::Result<Option<(Timestamp, Reason)>> {
    let stored = [
        (row.ended_at, &row.end_reason),
        (row.epoch_ended_at, &row.epoch_reason),
        (row.browser_session_ended_at, &row.browser_session_reason),
    ];
    let expired = row.expires_at.min(row.idle_expires_at);
    let stored = stored.into_iter().filter_map(|(at, reason)| Some((at?, reason.as_deref()?)));
    let first = stored.min_by_key(|(at, _)| *at).filter(|(at, _)| *at <= expired);
    let Some((at, reason)) = first else {
        return Ok((expired <= now).then_some((expired, Reason::Expired)));
    };
    let reason = match EndReason::from_stored(reason) {
        Some(EndReason::Reuse) => Reason::Reuse(row.places_of_reuse()?),
        Some(reason) => Reason::Ended(reason),
        None => Reason::Unknown,
    };
    Ok(Some((at, reason)))
}
