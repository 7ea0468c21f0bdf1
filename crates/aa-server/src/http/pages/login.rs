//! Signing in and out.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::ExposeSecret as _;
use url::Url;

use super::{Frame, html_with, local_path, redirect};
use crate::authority::Authority;
use crate::config::RegistrationMode;
use crate::http::error::Error;
use crate::http::render::allow_form_origins;
use crate::http::request::params::Params;
use crate::http::request::{
    Cookie, Csrf, CurrentUser, address, caller, current_user, detached, form, query_params,
};
use crate::ops::authentication::sign_in::{SignIn, SignInError, SignedIn, sign_in};
use crate::ops::sessions::end;

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    frame: Frame,
    return_to: &'a str,
    email: &'a str,
    app: Option<&'a str>,
    can_register: bool,
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
    let hint = parameter_of(&authority, &return_to, "login_hint").unwrap_or_default();
    page(&authority, &request, &return_to, &hint, StatusCode::OK).await
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
        browser_token: Cookie::Device.read(&authority, &request),
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
            page(&authority, &request, &return_to, &email, StatusCode::UNAUTHORIZED).await
        }
        Err(SignInError::TooMany(tries)) => Err(Error::too_many(tries.retry_after)),
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
    let mut response = redirect(to);
    let mut cookies =
        vec![Cookie::BrowserSession.set(authority, signed_in.session_token.expose_secret())];
    // A known device's cookie is set again: its life begins anew.
    let known = Cookie::Device.read(authority, request);
    let new = signed_in.browser_token.as_ref().map(|token| token.expose_secret().to_owned());
    if let Some(token) = new.or(known) {
        cookies.push(Cookie::Device.set(authority, &token));
    }
    for (name, value) in cookies {
        if let Ok(value) = header::HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

async fn page(
    authority: &Authority,
    request: &HttpRequest,
    return_to: &str,
    email: &str,
    status: StatusCode,
) -> Result<HttpResponse, Error> {
    let destination = destination(authority, return_to).await?;
    let csrf = Csrf::of(authority, request);
    let page = Page {
        frame: Frame::new("Sign in", &csrf, None),
        return_to,
        email,
        app: destination.as_ref().map(|found| found.name.as_str()),
        can_register: authority.config.registration == RegistrationMode::Open,
        wrong: status == StatusCode::UNAUTHORIZED,
    };
    let mut response = html_with(authority, &csrf, status, &page);
    if let Some(destination) = destination {
        allow_form_origins(request, &mut response, &destination.origins());
    }
    Ok(response)
}

/// The app that signing in leads to.
async fn destination(
    authority: &Authority,
    return_to: &str,
) -> Result<Option<crate::domain::client::ClientMetadata>, Error> {
    let client_id = match return_to.strip_prefix("/open/") {
        Some(client_id) => Some(client_id.to_owned()),
        None if return_to.starts_with("/oauth/authorize?") => {
            parameter_of(authority, return_to, "client_id")
        }
        None => None,
    };
    let Some(client_id) = client_id.filter(|id| !id.contains('\0')) else { return Ok(None) };
    let found = authority.store.client(&client_id).await?.filter(|found| found.enabled);
    Ok(found.map(|found| found.metadata))
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
    let current = current_user(&authority, &request).await?;
    signed_out(&authority, &request, current, redirect("/login")).await
}

/// Ends the sign-in of this browser, if there is one, and lets it forget its cookie.
pub(in crate::http) async fn signed_out(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    current: Option<CurrentUser>,
    mut response: HttpResponse,
) -> Result<HttpResponse, Error> {
    if let Some(current) = current {
        let caller = caller(authority, request)?;
        let done = detached(authority, |authority| async move {
            end::sign_out(&authority, &current.browser_session, &current.token, &caller).await
        });
        done.await?;
    }
    let (name, value) = Cookie::BrowserSession.remove(authority);
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
