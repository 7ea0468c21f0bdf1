//! A person's own account: who they are, their password, what happened to it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use foundation::time::Timestamp;

use super::{Frame, When, html_with, redirect};
use crate::app::App;
use crate::domain::people::describe_browser;
use crate::http::error::{Error, busy, too_many};
use crate::http::extract::{Csrf, Person, caller, form, query_params, signed_in, to_the_end};
use crate::ops::people::{PeopleError, change_password as change};
use crate::store::EventFilter;

const PAGE: &str = "/account";
/// How many events the activity page shows.
const SHOWN: u32 = 100;

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
pub async fn show(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let person = signed_in(&app, &request, PAGE).await?;
    let changed = query_params(&request)?.get("changed")?.is_some();
    Ok(page(&app, &request, &person, changed, None))
}

/// `POST /account/password`.
pub async fn change_password(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&app, &request, payload).await?;
    let person = signed_in(&app, &request, PAGE).await?;
    let current = fields.get("current_password")?.unwrap_or_default().into();
    let new = fields.get("new_password")?.unwrap_or_default().into();
    let caller = caller(&app, &request)?;
    let (done, person) = to_the_end(&app, |app| async move {
        let who = (&person.user, &person.identity);
        (change(&app, who, current, new, &caller).await, person)
    })
    .await;
    match done {
        Ok(()) => Ok(redirect("/account?changed=1")),
        Err(PeopleError::TooMany(tries)) => Err(too_many(tries.retry_after)),
        Err(PeopleError::Busy(_)) => Err(busy()),
        Err(PeopleError::Store(cause)) => Err(cause.into()),
        Err(mistake) => Ok(page(&app, &request, &person, false, Some(mistake.to_string()))),
    }
}

/// `GET /.well-known/change-password`.
pub async fn change_password_url() -> HttpResponse {
    redirect(PAGE)
}

fn page(
    app: &App,
    request: &HttpRequest,
    person: &Person,
    changed: bool,
    error: Option<String>,
) -> HttpResponse {
    let csrf = Csrf::of(app, request);
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = Page {
        frame: Frame::new("Account", &csrf, Some(person)),
        name: person.user.name.clone(),
        email: person.user.email.clone(),
        min_chars: app.config.password_min_chars,
        changed,
        error,
    };
    html_with(app, &csrf, status, &page)
}

#[derive(Template)]
#[template(path = "activity.html")]
struct Activity {
    frame: Frame,
    events: Vec<Line>,
}

struct Line {
    what: &'static str,
    app: String,
    at: When,
    ip: String,
    browser: String,
}

/// `GET /account/activity`.
pub async fn activity(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let person = signed_in(&app, &request, "/account/activity").await?;
    let filter = EventFilter { user: Some(person.user.id), limit: SHOWN };
    let now = app.now();
    let events = app
        .store
        .events(&filter)
        .await?
        .into_iter()
        .map(|event| Line {
            what: in_words(&event.kind),
            app: event.client_id.unwrap_or_default(),
            at: When::new(Timestamp::from_millis(event.at), now),
            ip: event.ip,
            browser: describe_browser(&event.user_agent),
        })
        .collect();
    let csrf = Csrf::of(&app, &request);
    let page = Activity { frame: Frame::new("Activity", &csrf, Some(&person)), events };
    Ok(html_with(&app, &csrf, StatusCode::OK, &page))
}

fn in_words(kind: &str) -> &'static str {
    match kind {
        "identity.started" => "Signed in",
        "identity.refused" => "A sign-in failed",
        "identity.ended" => "Signed out",
        "family.started" => "Opened an app",
        "family.ended" => "Ended a session",
        "family.reuse" => "A session was ended: its token was used twice",
        "device.ended" => "Ended all sessions of a browser",
        "user.sessions_ended" => "Ended sessions in other browsers",
        "user.made" => "The account was made",
        "user.password_changed" => "The password was changed",
        "user.password_reset" => "The password was reset",
        "user.disabled" => "The account was disabled",
        "user.enabled" => "The account was enabled",
        _ => "Something else happened",
    }
}
