//! Signing in by password or by passkey, and signing out.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use service::http::with_cookies;
use url::Url;

use super::{Frame, html_with, lead_on, local_path, origin_of, redirect, with_return_to};
use crate::authority::Authority;
use crate::config::RegistrationMode;
use crate::domain::client::ClientMetadata;
use crate::domain::message::Message;
use crate::http::assets::icon_path;
use crate::http::error::{Error, too_many_attempts};
use crate::http::render::allow_form_origins;
use crate::http::request::params::Params;
use crate::http::request::{
    Cookie, Csrf, CurrentUser, address, caller, current_user, detached, form, form_again,
    query_params,
};
use crate::ops::authentication::next::{Demand, Origin, Outcome};
use crate::ops::authentication::sign_in::{SignIn, SignInError, sign_in};
use crate::ops::authentication::{attempt, passkey};
use crate::ops::sessions::end;
use crate::services::passkeys::Challenge;
use crate::services::throttle::ThrottleError;

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    frame: Frame,
    return_to: &'a str,
    email: &'a str,
    focus_email: &'static str,
    focus_password: &'static str,
    app: Option<&'a str>,
    app_icon: Option<String>,
    forgot: String,
    by_mail: Option<String>,
    /// The address of the registration page, if registration is open.
    register: Option<String>,
    passkey: Option<Challenge>,
}

/// The state of the form, and what is to be said about it.
#[derive(Default)]
struct Shown<'a> {
    return_to: &'a str,
    email: Option<&'a str>,
    done: Option<Message>,
    errors: Vec<(&'static str, Message)>,
    status: StatusCode,
    retry_after: Option<std::time::Duration>,
}

/// `GET /login`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let return_to = local_path(&authority, params.get("return_to")?);
    let again = params.get("again")?.is_some();
    if !again && current_user(&authority, &request).await?.is_some() {
        return Ok(redirect(&return_to));
    }
    let done = match params.get("done")? {
        Some("signed-out") => Some(Message::new("done-signed-out")),
        Some("password-reset") => Some(Message::new("done-password-reset")),
        Some("signed-out-everywhere") => Some(Message::new("done-signed-out-everywhere")),
        _ => None,
    };
    let shown = Shown { return_to: &return_to, done, ..Shown::default() };
    page(&authority, &request, shown).await
}

/// `POST /login`.
pub async fn submit(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (fields, expired) = form_again(&authority, &request, payload).await?;
    let return_to = local_path(&authority, fields.get("return_to")?);
    let email = fields.get("email")?.unwrap_or_default().to_owned();
    let shown = Shown { return_to: &return_to, email: Some(&email), ..Shown::default() };
    if expired {
        return page(&authority, &request, again(shown)).await;
    }
    let command = SignIn {
        email: email.clone(),
        password: fields.get("password")?.unwrap_or_default().into(),
        address: address(&authority, &request)?,
    };
    let origin = origin(&authority, &request, &return_to).await?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        sign_in(&authority, command, &origin, &caller).await
    });
    answer(&authority, &request, done.await, shown, "wrong-sign-in").await
}

/// `POST /login/passkey`.
pub async fn by_passkey(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (fields, expired) = form_again(&authority, &request, payload).await?;
    let return_to = local_path(&authority, fields.get("return_to")?);
    let shown = Shown { return_to: &return_to, ..Shown::default() };
    if expired {
        return page(&authority, &request, again(shown)).await;
    }
    let state = fields.get("state")?.unwrap_or_default().to_owned();
    let credential = fields.get("credential")?.unwrap_or_default().to_owned();
    let origin = origin(&authority, &request, &return_to).await?;
    let (address, caller) = (address(&authority, &request)?, caller(&authority, &request)?);
    let done = detached(&authority, |authority| async move {
        passkey::sign_in(&authority, (&state, &credential), &origin, address, &caller).await
    });
    answer(&authority, &request, done.await, shown, "wrong-passkey").await
}

/// Leads on after a first step, or shows the form again with what is wrong.
async fn answer(
    authority: &Authority,
    request: &HttpRequest,
    done: Result<Outcome, SignInError>,
    mut shown: Shown<'_>,
    wrong: &'static str,
) -> Result<HttpResponse, Error> {
    match done {
        Ok(outcome) => return Ok(lead_on(authority, request, &outcome, shown.return_to)),
        Err(SignInError::Wrong) => {
            shown.errors.push(("", Message::new(wrong)));
            shown.status = StatusCode::UNAUTHORIZED;
        }
        Err(SignInError::UnknownPasskey) => {
            shown.errors.push(("", Message::new("unknown-passkey")));
            shown.status = StatusCode::UNAUTHORIZED;
        }
        Err(SignInError::Throttle(ThrottleError::TooManyTries { retry_after })) => {
            shown.errors.push(("", too_many_attempts(retry_after)));
            shown.status = StatusCode::TOO_MANY_REQUESTS;
            shown.retry_after = Some(retry_after);
        }
        Err(SignInError::Throttle(refused)) => return Err(refused.into()),
        Err(SignInError::Busy(_)) => return Err(Error::unavailable()),
        Err(SignInError::Store(cause)) => return Err(cause.into()),
    }
    page(authority, request, shown).await
}

/// The form that had been open for too long, filled in.
fn again(mut shown: Shown<'_>) -> Shown<'_> {
    shown.errors.push(("", Message::new("form-expired")));
    shown.status = StatusCode::FORBIDDEN;
    shown
}

/// The origin of a sign-in that leads there.
pub(super) async fn origin(
    authority: &Authority,
    request: &HttpRequest,
    return_to: &str,
) -> Result<Origin, Error> {
    let csrf = Csrf::of(authority, request);
    let demand =
        destination(authority, &csrf, return_to).await.map_or(Demand::Policy, |to| to.demand);
    Ok(origin_of(authority, request, return_to, demand))
}

async fn page(
    authority: &Authority,
    request: &HttpRequest,
    shown: Shown<'_>,
) -> Result<HttpResponse, Error> {
    let csrf = Csrf::of(authority, request);
    let destination = destination(authority, &csrf, shown.return_to).await?;
    let can_register = authority.config.registration == RegistrationMode::Open;
    let email = shown.email.or(destination.login_hint.as_deref()).unwrap_or_default();
    let (focus_email, focus_password) = match (email.is_empty(), shown.errors.is_empty()) {
        (true, true) => ("required maxlength=\"254\" autofocus", ""),
        (true, false) => ("required maxlength=\"254\"", ""),
        _ => ("required maxlength=\"254\"", "autofocus"),
    };
    let icon = match &destination.client {
        Some(client) => authority.store.client_icon(&client.client_id).await?,
        None => None,
    };
    let page = Page {
        frame: Frame::new(authority, request, "login-title", &csrf, None)
            .done(shown.done.as_ref())
            .wrong(&shown.errors),
        return_to: shown.return_to,
        email,
        focus_email,
        focus_password,
        app: destination.client.as_ref().map(|client| client.name.as_str()),
        app_icon: icon.as_deref().map(icon_path),
        forgot: with_return_to("/password/forgot", shown.return_to),
        by_mail: authority
            .config
            .sign_in_code
            .then(|| with_return_to("/login/code", shown.return_to)),
        register: can_register.then(|| with_return_to("/register", shown.return_to)),
        passkey: authority.passkeys.begin_sign_in(&csrf.binding(), authority.now()).ok(),
    };
    let mut response = html_with(authority, request, &csrf, shown.status, &page);
    if let Some(wait) = shown.retry_after {
        response
            .headers_mut()
            .insert(actix_web::http::header::RETRY_AFTER, wait.as_secs().max(1).into());
    }
    destination.let_forms_lead_there(request, &mut response);
    Ok(response)
}

/// The app or page that a sign-in leads to.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) client: Option<ClientMetadata>,
    pub(super) login_hint: Option<String>,
    demand: Demand,
}

impl Destination {
    /// Lets the forms of a page be redirected to the client.
    pub(super) fn let_forms_lead_there(&self, request: &HttpRequest, response: &mut HttpResponse) {
        if let Some(client) = &self.client {
            allow_form_origins(request, response, &client.origins());
        }
    }
}

/// Finds out what signing in leads to.
///
/// # Errors
/// [`attempt_expired`] when it is an attempt that this browser cannot use, and when the database cannot answer.
pub(super) async fn destination(
    authority: &Authority,
    csrf: &Csrf,
    return_to: &str,
) -> Result<Destination, Error> {
    let parameter = |name| parameter_of(authority, return_to, name);
    let mut login_hint = parameter("login_hint");
    let mut demand =
        if return_to.starts_with("/account") { Demand::KnownFactor } else { Demand::Policy };
    // The device page checks it again: leaving it out gains nothing.
    if return_to.starts_with("/device?") && parameter("two_factors").is_some() {
        demand = Demand::TwoFactors;
    }
    let client_id = match return_to.strip_prefix("/open/") {
        Some(client_id) => Some(client_id.to_owned()),
        None if return_to.starts_with("/oauth/authorize?") => {
            match (parameter("client_id"), parameter("attempt")) {
                (None, Some(reference)) => {
                    let found = attempt::find(authority, &reference, &csrf.binding()).await?;
                    let request = found.ok_or_else(attempt_expired)?.request;
                    login_hint = request.login_hint;
                    if request.two_factors {
                        demand = Demand::TwoFactors;
                    }
                    Some(request.client_id)
                }
                (client_id, _) => client_id,
            }
        }
        None => None,
    };
    let Some(client_id) = client_id.filter(|id| !id.contains('\0')) else {
        return Ok(Destination { client: None, login_hint, demand });
    };
    let found = authority.store.client(&client_id).await?.filter(|found| found.enabled);
    let client = found.map(|found| found.metadata);
    if client.as_ref().is_some_and(|client| client.two_factors) {
        demand = Demand::TwoFactors;
    }
    Ok(Destination { client, login_hint, demand })
}

/// The page about an attempt that has expired, or was begun in another browser.
pub(in crate::http) fn attempt_expired() -> Error {
    Error::refused(StatusCode::GONE, "error-attempt-expired")
}

fn parameter_of(authority: &Authority, path: &str, name: &'static str) -> Option<String> {
    let url = Url::parse(authority.config.public_url.as_str()).ok()?.join(path).ok()?;
    let params = Params::parse(url.query()?.as_bytes()).ok()?;
    params.get(name).ok()?.map(str::to_owned)
}

/// `POST /logout`.
pub async fn sign_out(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    form(&authority, &request, payload).await?;
    let current_user = current_user(&authority, &request).await?;
    signed_out(&authority, &request, current_user, redirect("/login?done=signed-out")).await
}

/// Ends the sign-in of this browser, if there is one, and lets it forget its cookie.
pub(in crate::http) async fn signed_out(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    current_user: Option<CurrentUser>,
    response: HttpResponse,
) -> Result<HttpResponse, Error> {
    if let Some(current_user) = current_user {
        let caller = caller(authority, request)?;
        let done = detached(authority, |authority| async move {
            end::sign_out(&authority, &current_user.browser_session, &current_user.token, &caller)
                .await
        });
        done.await?;
    }
    Ok(with_cookies(response, [Cookie::BrowserSession.remove(authority)]))
}
