//! The user's sessions: one entry per app and browser, each with its own button.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, When, agent_in_words, html_with, redirect, with_session};
use foundation::time::Timestamp;
use service::http::with_cookies;

use crate::authority::Authority;
use crate::domain::ids::{BrowserId, FamilyId};
use crate::domain::message::Message;
use crate::domain::user::check_name;
use crate::domain::user_agent::UserAgent;
use crate::http::error::Error;
use crate::http::request::params::Params;
use crate::http::request::{
    Cookie, Csrf, CurrentUser, caller, detached, form, query_params, signed_in,
};
use crate::ops::sessions::end;
use crate::ops::sessions::followers::followers;
use crate::ops::sessions::overview::{self, Reason, overview};
use crate::ops::sessions::rename;
use crate::services::catalogue::Texts;
use crate::store::{Place, TwoPlaces};

const PAGE: &str = "/sessions";

#[derive(Template)]
#[template(path = "sessions.html")]
struct Page {
    frame: Frame,
    browsers: Vec<BrowserCard>,
    more: Option<String>,
    ended: Vec<Ended>,
    older: Option<String>,
    others: bool,
    /// For administrators.
    followers: Vec<FollowerRow>,
}

struct BrowserCard {
    id: BrowserId,
    kind: &'static str,
    title: String,
    browser: String,
    name: String,
    place: String,
    question: String,
    first_seen: When,
    last_seen: When,
    is_this: bool,
    sessions: Vec<Session>,
}

struct Session {
    id: FamilyId,
    app: String,
    is_agent: bool,
    started: When,
    last_used: When,
    ip: String,
    warning: Option<String>,
}

struct Ended {
    app: String,
    is_agent: bool,
    browser: String,
    at: When,
    reason: String,
    alarming: bool,
    /// How many followers know of it, for administrators.
    known_to: Option<String>,
}

struct FollowerRow {
    client: String,
    name: String,
    confirmed: Option<When>,
    seen: When,
}

/// `GET /sessions`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, PAGE).await?;
    let now = authority.now();
    let query = query_params(&request)?;
    let cursors = (query.get("cursor")?, query.get("ended")?);
    let this = Some(current_user.browser_session.browser_id);
    let seen = overview(&authority, current_user.user.id, this, cursors).await?;
    let csrf = Csrf::of(&authority, &request);
    let frame = Frame::new(&authority, &request, "sessions-title", &csrf, Some(&current_user));
    let texts = &frame.texts;
    let done = notice(texts, query.get("done")?, query.get("session")?, &seen.ended);
    let browsers: Vec<BrowserCard> =
        seen.browsers.into_iter().map(|browser| card(&authority, texts, browser, now)).collect();
    let is_admin = current_user.user.roles().iter().any(|role| role == "admin");
    let followers = if is_admin { followers(&authority).await? } else { Vec::new() };
    let known_to = |at| {
        let known = followers.iter().filter(|one| one.knows(at)).count();
        let text = Message::new("ended-known-to").with("known", known).with("all", followers.len());
        is_admin.then(|| texts.message(&text))
    };
    let ended = seen
        .ended
        .into_iter()
        .map(|ended| Ended {
            browser: name_of(texts, &ended.browser_name, &ended.agent),
            at: When::new(ended.at, now, texts),
            alarming: matches!(ended.reason, Reason::Reuse(_)),
            reason: reason_in_words(&authority, texts, &ended.app, &ended.reason),
            known_to: known_to(ended.at),
            app: ended.app,
            is_agent: ended.is_agent,
        })
        .collect();
    let page = Page {
        others: browsers.iter().any(|browser| !browser.is_this),
        browsers,
        more: seen.more,
        ended,
        older: seen.older,
        followers: followers
            .into_iter()
            .map(|follower| FollowerRow {
                client: follower.client,
                name: follower.name,
                confirmed: follower.confirmed.map(|at| When::new(at, now, texts)),
                seen: When::new(follower.seen_at, now, texts),
            })
            .collect(),
        frame: frame.clone().noticed(done),
    };
    Ok(html_with(&authority, &request, &csrf, StatusCode::OK, &page))
}

/// The outcome of a form, in words.
fn notice(
    texts: &Texts,
    done: Option<&str>,
    session: Option<&str>,
    ended: &[overview::Ended],
) -> String {
    let id = match done {
        Some("session") => {
            let found = ended.iter().find(|ended| session == Some(&*ended.id.to_string()));
            return found.map_or_else(String::new, |ended| {
                let browser = name_of(texts, &ended.browser_name, &ended.agent);
                let text =
                    Message::new("done-session").with("app", &*ended.app).with("browser", browser);
                texts.message(&text)
            });
        }
        Some("browser") => "done-browser",
        Some("others") => "done-others",
        Some("renamed") => "done-saved",
        _ => return String::new(),
    };
    texts.get(id)
}

/// The name that the user gave a browser, or what it is.
fn name_of(texts: &Texts, name: &str, agent: &UserAgent) -> String {
    if name.is_empty() { agent_in_words(texts, agent) } else { name.to_owned() }
}

fn card(
    authority: &Authority,
    texts: &Texts,
    browser: overview::Browser,
    now: Timestamp,
) -> BrowserCard {
    let title = name_of(texts, &browser.name, &browser.agent);
    let session = |session: overview::Session| Session {
        id: session.id,
        warning: session
            .two_places
            .as_ref()
            .map(|places| two_places(authority, texts, "session-two-places", &session.app, places)),
        app: session.app,
        is_agent: session.is_agent,
        started: When::new(session.started, now, texts),
        last_used: When::new(session.last_used, now, texts),
        ip: authority.countries.describe(&session.ip, texts.language()),
    };
    BrowserCard {
        id: browser.id,
        kind: browser.agent.device.into(),
        browser: agent_in_words(texts, &browser.agent),
        question: texts.get1(
            if browser.is_this { "ask-this-device" } else { "ask-device" },
            "browser",
            &*title,
        ),
        title,
        name: browser.name,
        place: authority.countries.describe(&browser.ip, texts.language()),
        first_seen: When::new(browser.first_seen, now, texts),
        last_seen: When::new(browser.last_seen, now, texts),
        is_this: browser.is_this,
        sessions: browser.live.into_iter().map(session).collect(),
    }
}

/// A sentence about two places. An app's servers say nothing to a person about whose they are, so they are not named as such.
fn two_places(
    authority: &Authority,
    texts: &Texts,
    id: &'static str,
    app: &str,
    places: &TwoPlaces,
) -> String {
    let agents = [&places.first, &places.second].map(|place| UserAgent::of(&place.user_agent));
    if agents.iter().all(|agent| !agent.is_browser()) {
        let id = if id == "end-reuse" { "end-reuse-server" } else { "session-two-places-server" };
        let text = Message::new(id)
            .with("app", app)
            .with("first", &*places.first.ip)
            .with("second", &*places.second.ip);
        return texts.message(&text);
    }
    let place = |place: &Place| {
        let agent = agent_in_words(texts, &UserAgent::of(&place.user_agent));
        texts.message(
            &Message::new("place-browser")
                .with("ip", authority.countries.describe(&place.ip, texts.language()))
                .with("agent", agent),
        )
    };
    let text =
        Message::new(id).with("first", place(&places.first)).with("second", place(&places.second));
    texts.message(&text)
}

fn reason_in_words(authority: &Authority, texts: &Texts, app: &str, reason: &Reason) -> String {
    let id = match reason {
        Reason::Reuse(places) => return two_places(authority, texts, "end-reuse", app, places),
        Reason::Expired => "end-expired",
        Reason::Unknown => "end-unknown",
        Reason::Ended(reason) => return texts.get(&reason.text()),
    };
    texts.get(id)
}

/// Reads a form of this page, and the user who sent it.
async fn submitted(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(CurrentUser, Params), Error> {
    let fields = form(authority, request, payload).await?;
    Ok((signed_in(authority, request, PAGE).await?, fields))
}

/// `POST /sessions/{family}/revoke`.
pub async fn end_family(
    authority: web::Data<Authority>,
    request: HttpRequest,
    family: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let family: FamilyId = family.parse().map_err(|_| Error::not_found())?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        end::end_family(&authority, &current_user.browser_session, family, &caller).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect(&format!("/sessions?done=session&session={family}")))
}

/// `POST /sessions/devices/{device}/revoke`.
pub async fn end_browser(
    authority: web::Data<Authority>,
    request: HttpRequest,
    browser: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let browser = browser.parse().map_err(|_| Error::not_found())?;
    let is_this = browser == current_user.browser_session.browser_id;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        end::end_browser(&authority, &current_user.browser_session, browser, &caller).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect(if is_this { "/login?done=signed-out" } else { "/sessions?done=browser" }))
}

/// `POST /sessions/devices/{device}/rename`.
pub async fn rename_browser(
    authority: web::Data<Authority>,
    request: HttpRequest,
    browser: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, fields) = submitted(&authority, &request, payload).await?;
    let browser = browser.parse().map_err(|_| Error::not_found())?;
    let name = check_name(fields.get("name")?.unwrap_or_default())
        .map_err(|wrong| Error::bad_request(wrong.to_string()))?;
    let caller = caller(&authority, &request)?;
    let renamed = detached(&authority, |authority| async move {
        rename::rename_browser(&authority, &current_user.browser_session, browser, &name, &caller)
            .await
    });
    renamed.await?.ok_or_else(Error::not_found)?;
    Ok(redirect("/sessions?done=renamed"))
}

/// `POST /sessions/revoke-others`.
pub async fn end_others(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        end::end_others(&authority, &current_user.browser_session, &caller).await
    });
    let token = done.await?.ok_or_else(|| Error::SignIn(PAGE.to_owned()))?;
    Ok(with_session(&authority, redirect("/sessions?done=others"), &token))
}

/// `POST /sessions/revoke-all`.
pub async fn end_all(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        end::end_all(&authority, &current_user.browser_session, &caller).await
    });
    done.await?;
    let response = redirect("/login?done=signed-out-everywhere");
    Ok(with_cookies(response, [Cookie::BrowserSession.remove(&authority)]))
}
