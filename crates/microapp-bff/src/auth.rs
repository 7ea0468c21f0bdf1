//! `/auth/*`: sign in, come back, who am I, sign out.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use relying_party::attempt::{ATTEMPT_TTL, Attempt, local_path};
use relying_party::signin::Callback;
use relying_party::{FinishError, ProviderError};
use secrecy::ExposeSecret as _;
use serde_json::json;
use service::http::{SetCookie, problem, single_cookie};
use service::run::detached;
use tracing::{error, info, warn};
use url::form_urlencoded;

use crate::{App, front, session_cookie, session_id};

/// How long the browser keeps the session cookie: as long as a session can last.
const SESSION_SECONDS: u64 = 90 * 24 * 3600;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/auth/login", web::get().to(login))
        .route("/auth/callback", web::get().to(callback))
        .route("/auth/me", web::get().to(me))
        .route("/auth/logout", web::post().to(logout));
}

/// The value of a query parameter that is there once.
fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(request.query_string().as_bytes())
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned());
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

fn attempt_cookie(app: &App, label: &str) -> String {
    app.public_url.cookie_name(&format!("bff_attempt_{label}"))
}

fn cookie(app: &App, name: &str, value: &str, max_age: u64) -> (header::HeaderName, String) {
    let secure = app.public_url.is_https();
    // Lax: the way back from the provider is another site's redirect, and the session before has to be seen
    // there to be ended. What changes something asks for more than a cookie.
    SetCookie { name, value, same_site: "Lax", max_age: Some(max_age), secure }.header()
}

fn redirect(to: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, to));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

/// `GET /auth/login?return_to=/path`.
async fn login(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let return_to = local_path(parameter(&request, "return_to").as_deref());
    match app.party.begin(&return_to, None).await {
        Ok(begun) => {
            let name = attempt_cookie(&app, &begun.label);
            redirect(&begun.url)
                .append_header(cookie(&app, &name, &begun.cookie, ATTEMPT_TTL.as_secs()))
                .finish()
        }
        Err(error) => {
            error!(%error, "a sign-in could not begin");
            front::message(
                StatusCode::SERVICE_UNAVAILABLE,
                "Sign-in cannot be reached right now",
                "Please try again in a moment.",
            )
        }
    }
}

/// `GET /auth/callback`.
async fn callback(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let Some(state) = parameter(&request, "state") else { return start_again() };
    let name = attempt_cookie(&app, &Attempt::label(&state));
    let Some(attempt) = single_cookie(request.headers(), &name).map(str::to_owned) else {
        return start_again();
    };
    if let Some(code) = parameter(&request, "error") {
        return refused(&app, &name, &code);
    }
    let Some(code) = parameter(&request, "code") else { return start_again() };
    let iss = parameter(&request, "iss");
    let old = session_id(&app, &request);
    let shared = app.clone();
    // The code works once: what it gives must be kept even if the browser goes away meanwhile.
    let finished = detached(&app.runtime, async move {
        let callback =
            Callback { code: &code, state: &state, iss: iss.as_deref(), cookie: &attempt };
        shared.party.finish(&callback, old.as_deref()).await
    })
    .await;
    match finished {
        Ok(finished) => {
            let id = finished.session_id.expose_secret();
            redirect(&finished.return_to)
                .append_header(cookie(&app, &session_cookie(&app), id, SESSION_SECONDS))
                .append_header(cookie(&app, &name, "", 0))
                .finish()
        }
        Err(FinishError::NoAttempt) => start_again(),
        Err(FinishError::Provider(ProviderError::Refused(code))) => refused(&app, &name, &code),
        Err(error) => {
            error!(%error, "a sign-in could not be finished");
            front::message(
                StatusCode::SERVICE_UNAVAILABLE,
                "Signing in did not work",
                "The sign-in service or this app cannot answer right now. Please try again in a moment.",
            )
        }
    }
}

fn start_again() -> HttpResponse {
    front::message(
        StatusCode::BAD_REQUEST,
        "This sign-in is over",
        "It was finished before, took too long, or was started in another browser. You can start a new one.",
    )
}

fn refused(app: &App, attempt: &str, code: &str) -> HttpResponse {
    // The code comes from the query: only what such codes are made of gets into the log.
    let code: String =
        code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    warn!(code, "the provider refused a sign-in");
    let mut response = front::message(
        StatusCode::FORBIDDEN,
        "You were not signed in",
        "The sign-in service refused. You can try again.",
    );
    let (name, value) = cookie(app, attempt, "", 0);
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
    response
}

/// `GET /auth/me`: who is signed in. No token, ever.
async fn me(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let Some(id) = session_id(&app, &request) else { return signed_out() };
    match app.party.person(&id).await {
        Ok(Some(person)) => {
            let claim = |name: &str| person.claims.get(name).cloned();
            HttpResponse::Ok().json(json!({
                "sub": claim("sub"),
                "name": claim("name"),
                "email": claim("email"),
            }))
        }
        Ok(None) => session_expired(&app, "not_signed_in"),
        Err(error) => unavailable(&error),
    }
}

fn signed_out() -> HttpResponse {
    HttpResponse::Unauthorized().json(json!({ "error": "not_signed_in" }))
}

/// 401 that also removes the cookie.
pub(crate) fn session_expired(app: &App, code: &str) -> HttpResponse {
    HttpResponse::Unauthorized()
        .append_header(cookie(app, &session_cookie(app), "", 0))
        .json(json!({ "error": code }))
}

pub(crate) fn unavailable(error: &dyn std::fmt::Display) -> HttpResponse {
    error!(%error, "the session cannot be used right now");
    let mut response =
        problem(StatusCode::SERVICE_UNAVAILABLE, "the session cannot be checked right now");
    response.headers_mut().insert(header::RETRY_AFTER, 1.into());
    response
}

/// `POST /auth/logout`: the session is gone here, and its refresh token is given back.
async fn logout(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    if let Some(id) = session_id(&app, &request) {
        let shared = app.clone();
        let done = detached(&app.runtime, async move { shared.party.sign_out(&id).await }).await;
        if let Err(error) = done {
            return unavailable(&error);
        }
        info!("signed out");
    }
    HttpResponse::Ok()
        .append_header(cookie(&app, &session_cookie(&app), "", 0))
        .json(json!({ "signed_out": true }))
}
