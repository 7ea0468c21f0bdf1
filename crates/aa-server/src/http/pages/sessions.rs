//! The user's sessions: one entry per app and browser, each with its own button.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, When, html_with, redirect, with_session};
use crate::authority::Authority;
use crate::domain::ids::{BrowserId, FamilyId};
use crate::http::error::Error;
use crate::http::request::params::Params;
use crate::http::request::{
    Cookie, Csrf, CurrentUser, caller, detached, form, query_params, signed_in,
};
use crate::ops::sessions::end;
use crate::ops::sessions::followers::followers;
use crate::ops::sessions::overview::overview;
use crate::ops::sessions::rename;

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
    title: String,
    browser: String,
    name: String,
    ip: String,
    first_seen: When,
    last_seen: When,
    is_this: bool,
    sessions: Vec<Session>,
}

struct Session {
    id: FamilyId,
    app: String,
    started: When,
    last_used: When,
    ip: String,
    warning: Option<String>,
}

struct Ended {
    app: String,
    browser: String,
    at: When,
    reason: String,
    alarming: bool,
    /// How many followers know of it, for administrators.
    known_to: Option<usize>,
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
    let browsers: Vec<BrowserCard> = seen
        .browsers
        .into_iter()
        .map(|browser| BrowserCard {
            id: browser.id,
            title: if browser.name.is_empty() {
                browser.browser.clone()
            } else {
                browser.name.clone()
            },
            browser: browser.browser,
            name: browser.name,
            ip: browser.ip,
            first_seen: When::new(browser.first_seen, now),
            last_seen: When::new(browser.last_seen, now),
            is_this: browser.is_this,
            sessions: browser
                .live
                .into_iter()
                .map(|session| Session {
                    id: session.id,
                    app: session.app,
                    started: When::new(session.started, now),
                    last_used: When::new(session.last_used, now),
                    ip: session.ip,
                    warning: session.warning,
                })
                .collect(),
        })
        .collect();
    let is_admin = current_user.user.roles().iter().any(|role| role == "admin");
    let followers = if is_admin { followers(&authority).await? } else { Vec::new() };
    let known_to = |at| is_admin.then(|| followers.iter().filter(|one| one.knows(at)).count());
    let ended = seen
        .ended
        .into_iter()
        .map(|ended| Ended {
            app: ended.app,
            browser: ended.browser,
            at: When::new(ended.at, now),
            reason: ended.reason,
            alarming: ended.alarming,
            known_to: known_to(ended.at),
        })
        .collect();
    let csrf = Csrf::of(&authority, &request);
    let page = Page {
        frame: Frame::new("Sessions", &csrf, Some(&current_user)),
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
                confirmed: follower.confirmed.map(|at| When::new(at, now)),
                seen: When::new(follower.seen_at, now),
            })
            .collect(),
    };
    Ok(html_with(&authority, &csrf, StatusCode::OK, &page))
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
    let family = family.parse().map_err(|_| Error::not_found())?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        end::end_family(&authority, &current_user.browser_session, family, &caller).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect(PAGE))
}

/// `POST /sessions/browsers/{device}/revoke`.
pub async fn end_browser(
    authority: web::Data<Authority>,
    request: HttpRequest,
    browser: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let browser = browser.parse().map_err(|_| Error::not_found())?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        end::end_browser(&authority, &current_user.browser_session, browser, &caller).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect(PAGE))
}

/// `POST /sessions/browsers/{device}/rename`.
pub async fn rename_browser(
    authority: web::Data<Authority>,
    request: HttpRequest,
    browser: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, fields) = submitted(&authority, &request, payload).await?;
    let browser = browser.parse().map_err(|_| Error::not_found())?;
    let name = crate::domain::user::check_name(fields.get("name")?.unwrap_or_default())
        .map_err(Error::bad_request)?;
    let caller = caller(&authority, &request)?;
    let renamed = detached(&authority, |authority| async move {
        rename::rename_browser(&authority, &current_user.browser_session, browser, &name, &caller)
            .await
    });
    renamed.await?.ok_or_else(Error::not_found)?;
    Ok(redirect(PAGE))
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
    Ok(with_session(&authority, redirect(PAGE), &token))
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
    let mut response = redirect("/login");
    let (name, value) = Cookie::BrowserSession.remove(&authority);
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
