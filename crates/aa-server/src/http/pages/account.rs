//! The user's own account: name and address, password, recent activity.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, When, html_with, redirect, with_session};
use crate::authority::Authority;
use crate::domain::event::EventKind;
use crate::domain::user::describe_browser;
use crate::http::error::Error;
use crate::http::request::{Csrf, CurrentUser, caller, detached, form, query_params, signed_in};
use crate::ops::account::{AccountError, change_password as change};
use crate::ops::lists::{self, PageRequest};
use crate::store::EventFilter;

const PAGE: &str = "/account";
/// The number of events on a page.
const SHOWN: u32 = 50;

#[derive(Template)]
#[template(path = "account.html")]
struct Page {
    frame: Frame,
    name: String,
    email: String,
    min_chars: usize,
    changed: bool,
    error: Option<String>,
}

/// `GET /account`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, PAGE).await?;
    let changed = query_params(&request)?.get("changed")?.is_some();
    Ok(page(&authority, &request, &current_user, changed, None))
}

/// `POST /account/password`.
pub async fn change_password(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, PAGE).await?;
    let current_password = fields.get("current_password")?.unwrap_or_default().into();
    let new = fields.get("new_password")?.unwrap_or_default().into();
    let caller = caller(&authority, &request)?;
    let (done, current_user) = detached(&authority, |authority| async move {
        let who = (&current_user.user, &current_user.browser_session);
        (change(&authority, who, current_password, new, &caller).await, current_user)
    })
    .await;
    match done {
        Ok(token) => Ok(with_session(&authority, redirect("/account?changed=1"), &token)),
        Err(AccountError::Ended) => Err(Error::SignIn(PAGE.to_owned())),
        Err(AccountError::Throttle(refused)) => Err(refused.into()),
        Err(AccountError::Busy(_)) => Err(Error::unavailable()),
        Err(AccountError::Store(cause)) => Err(cause.into()),
        Err(mistake) => {
            Ok(page(&authority, &request, &current_user, false, Some(mistake.to_string())))
        }
    }
}

/// `GET /.well-known/change-password`.
pub async fn change_password_url() -> HttpResponse {
    redirect(PAGE)
}

fn page(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    changed: bool,
    error: Option<String>,
) -> HttpResponse {
    let csrf = Csrf::of(authority, request);
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = Page {
        frame: Frame::new("Account", &csrf, Some(current_user)),
        name: current_user.user.name.clone(),
        email: current_user.user.email.clone(),
        min_chars: authority.config.password_min_chars,
        changed,
        error,
    };
    html_with(authority, &csrf, status, &page)
}

#[derive(Template)]
#[template(path = "activity.html")]
struct Activity {
    frame: Frame,
    events: Vec<Line>,
    older: Option<String>,
}

struct Line {
    what: String,
    app: String,
    at: When,
    ip: String,
    browser: String,
}

/// `GET /account/activity`.
pub async fn activity(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, "/account/activity").await?;
    let query = query_params(&request)?;
    let page = PageRequest { cursor: query.get("cursor")?, limit: SHOWN };
    let only = EventFilter { user: Some(current_user.user.id), ..EventFilter::default() };
    let found = lists::events(&authority, &only, page).await?;
    let now = authority.now();
    let events = found
        .items
        .into_iter()
        .map(|event| Line {
            what: in_words(&event.kind, event.count),
            app: event.client_id.unwrap_or_default(),
            at: When::new(event.at, now),
            ip: event.ip,
            browser: describe_browser(&event.user_agent),
        })
        .collect();
    let csrf = Csrf::of(&authority, &request);
    let page = Activity {
        frame: Frame::new("Activity", &csrf, Some(&current_user)),
        events,
        older: found.next,
    };
    Ok(html_with(&authority, &csrf, StatusCode::OK, &page))
}

/// The sentence of an event's kind. A kind of a newer version has none, and is shown as it is stored.
fn in_words(kind: &str, count: i64) -> String {
    let words = EventKind::from_stored(kind)
        .map_or_else(|| format!("Unknown event ({kind})"), |kind| kind.sentence().to_owned());
    if count > 1 { format!("{words}, {count} times") } else { words }
}
