//! Signing in and out.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::ExposeSecret as _;
use url::{Url, form_urlencoded};

use super::{Frame, html_with, local_path, redirect, with_session};
use crate::authority::Authority;
use crate::config::RegistrationMode;
use crate::domain::client::ClientMetadata;
use crate::http::error::Error;
use crate::http::render::allow_form_origins;
use crate::http::request::params::Params;
use crate::http::request::{
    Cookie, Csrf, CurrentUser, address, caller, current_user, detached, form, query_params,
};
use crate::ops::authentication::attempt;
use crate::ops::authentication::sign_in::{SignIn, SignInError, SignedIn, sign_in};
use crate::ops::sessions::end;

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    frame: Frame,
    return_to: &'a str,
    email: &'a str,
    app: Option<&'a str>,
    /// The address of the registration page, if registration is open.
    register: Option<String>,
    wrong: bool,
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
    page(&authority, &request, &return_to, None, StatusCode::OK).await
}

/// `POST /login`.
pub async fn submit(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let return_to = local_path(&authority, fields.get("return_to")?);
    let email = fields.get("email")?.unwrap_or_default().to_owned();
    let command = SignIn {
        email: email.clone(),
        password: fields.get("password")?.unwrap_or_default().into(),
        browser_token: Cookie::Browser.read(&authority, &request),
        session_token: Cookie::BrowserSession.read(&authority, &request),
        address: address(&authority, &request)?,
    };
    let caller = caller(&authority, &request)?;
    let done =
        detached(
            &authority,
            |authority| async move { sign_in(&authority, command, &caller).await },
        )
        .await;
    match done {
        Ok(signed_in) => Ok(welcome(&authority, &request, &signed_in, &return_to)),
        Err(SignInError::Wrong) => {
            page(&authority, &request, &return_to, Some(&email), StatusCode::UNAUTHORIZED).await
        }
        Err(SignInError::Throttle(refused)) => Err(refused.into()),
        Err(SignInError::Busy(_)) => Err(Error::unavailable()),
        Err(SignInError::Store(cause)) => Err(cause.into()),
    }
}

/// Sets the cookies of a new sign-in, and leads on.
pub(super) fn welcome(
    authority: &Authority,
    request: &HttpRequest,
    signed_in: &SignedIn,
    to: &str,
) -> HttpResponse {
    let mut response = with_session(authority, redirect(to), &signed_in.session_token);
    // The cookie of a known browser is set again: its life begins anew.
    let known = Cookie::Browser.read(authority, request);
    let new = signed_in.browser_token.as_ref().map(|token| token.expose_secret().to_owned());
    if let Some(token) = new.or(known) {
        let (name, value) = Cookie::Browser.set(authority, &token);
        if let Ok(value) = header::HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// The page, with the address that was entered before, if there is one.
async fn page(
    authority: &Authority,
    request: &HttpRequest,
    return_to: &str,
    email: Option<&str>,
    status: StatusCode,
) -> Result<HttpResponse, Error> {
    let csrf = Csrf::of(authority, request);
    let destination = destination(authority, &csrf, return_to).await?;
    let can_register = authority.config.registration == RegistrationMode::Open;
    let page = Page {
        frame: Frame::new("Sign in", &csrf, None),
        return_to,
        email: email.or(destination.login_hint.as_deref()).unwrap_or_default(),
        app: destination.client.as_ref().map(|client| client.name.as_str()),
        register: can_register.then(|| with_return_to("/register", return_to)),
        wrong: status == StatusCode::UNAUTHORIZED,
    };
    let mut response = html_with(authority, &csrf, status, &page);
    destination.let_forms_lead_there(request, &mut response);
    Ok(response)
}

/// The link to a page that leads on to the same place.
pub(super) fn with_return_to(page: &str, return_to: &str) -> String {
    if return_to == "/apps" {
        return page.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", return_to)
        .finish();
    format!("{page}?{query}")
}

/// The app or page that a sign-in leads to.
#[derive(Debug, Default)]
pub(super) struct Destination {
    client: Option<ClientMetadata>,
    login_hint: Option<String>,
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
    let client_id = match return_to.strip_prefix("/open/") {
        Some(client_id) => Some(client_id.to_owned()),
        None if return_to.starts_with("/oauth/authorize?") => {
            match (parameter("client_id"), parameter("attempt")) {
                (None, Some(reference)) => {
                    let found = attempt::find(authority, &reference, &csrf.binding()).await?;
                    let request = found.ok_or_else(attempt_expired)?.request;
                    login_hint = request.login_hint;
                    Some(request.client_id)
                }
                (client_id, _) => client_id,
            }
        }
        None => None,
    };
    let Some(client_id) = client_id.filter(|id| !id.contains('\0')) else {
        return Ok(Destination { client: None, login_hint });
    };
    let found = authority.store.client(&client_id).await?.filter(|found| found.enabled);
    Ok(Destination { client: found.map(|found| found.metadata), login_hint })
}

/// The page about an attempt that has expired, or was begun in another browser.
pub(in crate::http) fn attempt_expired() -> Error {
    Error::refused(
        StatusCode::GONE,
        "This sign-in has expired",
        "It was begun more than 30 minutes ago, or in another browser. \
         Please go back to the app that you came from, and sign in there once more.",
    )
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
    signed_out(&authority, &request, current_user, redirect("/login")).await
}

/// Ends the sign-in of this browser, if there is one, and lets it forget its cookie.
pub(in crate::http) async fn signed_out(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    current_user: Option<CurrentUser>,
    mut response: HttpResponse,
) -> Result<HttpResponse, Error> {
    if let Some(current_user) = current_user {
        let caller = caller(authority, request)?;
        let done = detached(authority, |authority| async move {
            end::sign_out(&authority, &current_user.browser_session, &current_user.token, &caller)
                .await
        });
        done.await?;
    }
    let (name, value) = Cookie::BrowserSession.remove(authority);
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
