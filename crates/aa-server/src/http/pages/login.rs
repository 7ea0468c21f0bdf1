//! Signing in and out.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::ExposeSecret as _;
use url::Url;

use super::{Frame, html_with, local_path, redirect};
use crate::app::App;
use crate::config::RegistrationMode;
use crate::http::error::{Error, busy, too_many};
use crate::http::extract::{
    Cookie, Csrf, Person, address, caller, form, person, query_params, to_the_end,
};
use crate::http::let_forms_lead_to;
use crate::http::params::Params;
use crate::ops::end;
use crate::ops::sign_in::{SignIn, SignInError, SignedIn, sign_in};

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
pub async fn show(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let return_to = local_path(&app, params.get("return_to")?);
    let again = params.get("again")?.is_some();
    if !again && person(&app, &request).await?.is_some() {
        return Ok(redirect(&return_to));
    }
    let hint = parameter_of(&app, &return_to, "login_hint").unwrap_or_default();
    page(&app, &request, &return_to, &hint, StatusCode::OK).await
}

/// `POST /login`.
pub async fn submit(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&app, &request, payload).await?;
    let return_to = local_path(&app, fields.get("return_to")?);
    let email = fields.get("email")?.unwrap_or_default().to_owned();
    let command = SignIn {
        email: email.clone(),
        password: fields.get("password")?.unwrap_or_default().into(),
        device_token: Cookie::Device.read(&app, &request),
        identity_token: Cookie::Identity.read(&app, &request),
        address: address(&app, &request)?,
    };
    let caller = caller(&app, &request)?;
    let done = to_the_end(&app, |app| async move { sign_in(&app, command, &caller).await }).await;
    match done {
        Ok(signed_in) => Ok(welcome(&app, &request, &signed_in, &return_to)),
        Err(SignInError::Wrong) => {
            page(&app, &request, &return_to, &email, StatusCode::UNAUTHORIZED).await
        }
        Err(SignInError::TooMany(tries)) => Err(too_many(tries.retry_after)),
        Err(SignInError::Busy(_)) => Err(busy()),
        Err(SignInError::Store(cause)) => Err(cause.into()),
    }
}

/// Sets the cookies of a new sign-in, and leads on.
pub(super) fn welcome(
    app: &App,
    request: &HttpRequest,
    signed_in: &SignedIn,
    to: &str,
) -> HttpResponse {
    let mut response = redirect(to);
    let mut cookies = vec![Cookie::Identity.set(app, signed_in.identity_token.expose_secret())];
    // A known device's cookie is set again: its life begins anew.
    let known = Cookie::Device.read(app, request);
    let new = signed_in.device_token.as_ref().map(|token| token.expose_secret().to_owned());
    if let Some(token) = new.or(known) {
        cookies.push(Cookie::Device.set(app, &token));
    }
    for (name, value) in cookies {
        if let Ok(value) = header::HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

async fn page(
    app: &App,
    request: &HttpRequest,
    return_to: &str,
    email: &str,
    status: StatusCode,
) -> Result<HttpResponse, Error> {
    let destination = destination(app, return_to).await?;
    let csrf = Csrf::of(app, request);
    let page = Page {
        frame: Frame::new("Sign in", &csrf, None),
        return_to,
        email,
        app: destination.as_ref().map(|found| found.name.as_str()),
        can_register: app.config.registration == RegistrationMode::Open,
        wrong: status == StatusCode::UNAUTHORIZED,
    };
    let mut response = html_with(app, &csrf, status, &page);
    if let Some(destination) = destination {
        let_forms_lead_to(request, &mut response, &destination.origins());
    }
    Ok(response)
}

/// The app that signing in leads to.
async fn destination(
    app: &App,
    return_to: &str,
) -> Result<Option<crate::domain::client::Registration>, Error> {
    let client_id = match return_to.strip_prefix("/open/") {
        Some(client_id) => Some(client_id.to_owned()),
        None if return_to.starts_with("/oauth/authorize?") => {
            parameter_of(app, return_to, "client_id")
        }
        None => None,
    };
    let Some(client_id) = client_id.filter(|id| !id.contains('\0')) else { return Ok(None) };
    let found = app.store.app(&client_id).await?.filter(|found| found.enabled);
    Ok(found.map(|found| found.registration))
}

fn parameter_of(app: &App, path: &str, name: &'static str) -> Option<String> {
    let url = Url::parse(app.config.public_url.as_str()).ok()?.join(path).ok()?;
    let params = Params::parse(url.query()?.as_bytes()).ok()?;
    params.get(name).ok()?.map(str::to_owned)
}

/// `POST /logout`.
pub async fn sign_out(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    form(&app, &request, payload).await?;
    let person = person(&app, &request).await?;
    signed_out(&app, &request, person, redirect("/login")).await
}

/// Ends the sign-in of this browser, if there is one, and lets it forget its cookie.
pub(in crate::http) async fn signed_out(
    app: &web::Data<App>,
    request: &HttpRequest,
    person: Option<Person>,
    mut response: HttpResponse,
) -> Result<HttpResponse, Error> {
    if let Some(person) = person {
        let caller = caller(app, request)?;
        let done = to_the_end(app, |app| async move {
            end::sign_out(&app, &person.identity, &person.token, &caller).await
        });
        done.await?;
    }
    let (name, value) = Cookie::Identity.remove(app);
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
