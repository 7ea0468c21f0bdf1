//! `GET` and `POST /device` (RFC 8628 §3.3): a user types the code that a device shows, sees which app asks from where, and
//! answers. A link with the code leads to the question, and never answers it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use url::form_urlencoded;

use super::{Frame, When, Wrong, agent_in_words, html_with, redirect};
use crate::authority::Authority;
use crate::domain::device::UserCode;
use crate::domain::message::Message;
use crate::domain::user_agent::UserAgent;
use crate::http::error::{Error, too_many_attempts};
use crate::http::render::message_to;
use crate::http::request::{
    Csrf, CurrentUser, address, caller, detached, form, query_params, signed_in,
};
use crate::ops::grants::device_authorization::{self, Waiting};
use crate::services::throttle::ThrottleError;

#[derive(Template)]
#[template(path = "device.html")]
struct AskCode<'a> {
    frame: Frame,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "device_question.html")]
struct Question<'a> {
    frame: Frame,
    question: String,
    warning: String,
    code: &'a UserCode,
    user_id: String,
    app: &'a str,
    place: String,
    browser: String,
    asked: When,
}

/// `GET /device`, with or without a `user_code`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let typed = params.get("user_code")?;
    let current_user = signed_in(&authority, &request, &page_of(typed, false)).await?;
    let done = match params.get("done")? {
        Some("approved") => Some(Message::new("device-approved")),
        Some("denied") => Some(Message::new("device-denied")),
        _ => None,
    };
    if let Some(done) = done {
        return Ok(message_to(&authority, &request, StatusCode::OK, &done, Some(&current_user)));
    }
    let Some(typed) = typed else {
        return Ok(ask_code(&authority, &request, &current_user, ("", StatusCode::OK, None)));
    };
    match find(&authority, &request, &current_user, typed).await? {
        Ok((code, waiting)) => question(&authority, &request, &current_user, &code, &waiting),
        Err(page) => Ok(page),
    }
}

/// `POST /device`: a code alone leads to the question; with `answer` it is answered.
pub async fn submit(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let typed = fields.get("user_code")?.unwrap_or_default();
    let current_user = signed_in(&authority, &request, &page_of(Some(typed), false)).await?;
    let (code, waiting) = match find(&authority, &request, &current_user, typed).await? {
        Ok(found) => found,
        Err(page) => return Ok(page),
    };
    // Of the user whom the page named: another may have signed in since.
    let is_of_user = fields.get("user")? == Some(current_user.user.id.to_string().as_str());
    let approves = match fields.get("answer")?.filter(|_| is_of_user) {
        Some("continue") => true,
        Some(_) => false,
        None => return question(&authority, &request, &current_user, &code, &waiting),
    };
    if approves {
        require_strong(&current_user, &code, &waiting)?;
    }
    let caller = caller(&authority, &request)?;
    let session = current_user.browser_session.clone();
    let done = detached(&authority, |authority| async move {
        if approves {
            device_authorization::approve(&authority, &waiting, &session, &caller).await
        } else {
            device_authorization::deny(&authority, &waiting, &session, &caller).await
        }
    });
    if done.await?.is_none() {
        // Answered in another tab, expired, or signed out meanwhile.
        let wrong = ("user_code", Message::new("device-unknown"));
        let shown = (typed, StatusCode::GONE, Some(wrong));
        return Ok(ask_code(&authority, &request, &current_user, shown));
    }
    Ok(redirect(if approves { "/device?done=approved" } else { "/device?done=denied" }))
}

/// The page with a code, to come back to after signing in; with two factors, if the app demands them.
fn page_of(code: Option<&str>, two_factors: bool) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if two_factors {
        query.append_pair("two_factors", "1");
    }
    // What is no code is not kept.
    if let Some(code) = code.and_then(|code| code.parse::<UserCode>().ok()) {
        query.append_pair("user_code", &code.to_string());
    }
    match query.finish() {
        query if query.is_empty() => "/device".to_owned(),
        query => format!("/device?{query}"),
    }
}

/// Leads to the sign-in page where the app demands a second factor that this sign-in did not show.
fn require_strong(
    current_user: &CurrentUser,
    code: &UserCode,
    waiting: &Waiting,
) -> Result<(), Error> {
    let session = &current_user.browser_session;
    if device_authorization::is_strong_enough(&waiting.client, session) {
        return Ok(());
    }
    Err(Error::SignInAgain(page_of(Some(&code.to_string()), true)))
}

/// The request with a code; the page to be shown instead if there is none.
async fn find(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    current_user: &CurrentUser,
    typed: &str,
) -> Result<Result<(UserCode, Waiting), HttpResponse>, Error> {
    let wrong = |status, message| {
        let shown = (typed, status, Some(("user_code", message)));
        Ok(Err(ask_code(authority, request, current_user, shown)))
    };
    let unknown = || wrong(StatusCode::NOT_FOUND, Message::new("device-unknown"));
    let Ok(code) = typed.parse::<UserCode>() else { return unknown() };
    let (session, address) = (current_user.browser_session.clone(), address(authority, request)?);
    let asked = code.clone();
    let found = detached(authority, |authority| async move {
        device_authorization::find(&authority, &asked, &session, address).await
    });
    match found.await {
        Ok(Some(waiting)) => Ok(Ok((code, waiting))),
        Ok(None) => unknown(),
        Err(ThrottleError::TooManyTries { retry_after }) => {
            let page = wrong(StatusCode::TOO_MANY_REQUESTS, too_many_attempts(retry_after))?;
            Ok(page.map_err(|mut page| {
                let seconds = retry_after.as_secs().max(1);
                page.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                page
            }))
        }
        Err(fault) => Err(fault.into()),
    }
}

fn ask_code(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    (typed, status, wrong): (&str, StatusCode, Option<Wrong>),
) -> HttpResponse {
    let csrf = Csrf::of(authority, request);
    let errors: Vec<Wrong> = wrong.into_iter().collect();
    let frame = Frame::new(authority, request, "device-title", &csrf, Some(current_user));
    let page = AskCode { frame: frame.wrong(&errors), code: typed };
    html_with(authority, request, &csrf, status, &page)
}

fn question(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    code: &UserCode,
    waiting: &Waiting,
) -> Result<HttpResponse, Error> {
    require_strong(current_user, code, waiting)?;
    let (asked, app) = (&waiting.request, waiting.client.name.as_str());
    let csrf = Csrf::of(authority, request);
    let mut frame = Frame::new(authority, request, "device-title", &csrf, Some(current_user));
    frame.title = frame.t1("device-question-title", "app", app);
    let question = Message::new("device-question")
        .with("app", app)
        .with("email", current_user.user.email.as_str());
    let page = Question {
        question: frame.texts.message(&question),
        warning: frame.t("device-warning"),
        code,
        user_id: current_user.user.id.to_string(),
        app,
        place: authority.countries.describe(&asked.ip, frame.texts.language()),
        browser: agent_in_words(&frame.texts, &UserAgent::of(&asked.user_agent)),
        asked: When::new(asked.created_at, authority.now(), &frame.texts),
        frame,
    };
    Ok(html_with(authority, request, &csrf, StatusCode::OK, &page))
}
