//! Making an account.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::login::welcome;
use super::{Frame, html_with};
use crate::app::App;
use crate::http::error::{Error, busy, too_many};
use crate::http::extract::{Cookie, Csrf, address, caller, form, query_params, to_the_end};
use crate::ops::people::{NewPerson, PeopleError, Register, register, registration_offer};
use crate::store::Invitation;

#[derive(Template)]
#[template(path = "register.html")]
struct Page<'a> {
    frame: Frame,
    invitation: &'a str,
    email: &'a str,
    email_is_fixed: bool,
    name: &'a str,
    admin: bool,
    min_chars: usize,
    error: Option<String>,
}

/// What was typed.
#[derive(Default)]
struct Typed {
    invitation: Option<String>,
    email: String,
    name: String,
}

/// `GET /register`.
pub async fn show(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let invitation = params.get("invitation")?.map(str::to_owned);
    let offer = registration_offer(&app, invitation.as_deref()).await.map_err(refusal)?;
    let typed = Typed { invitation, ..Typed::default() };
    Ok(page(&app, &request, &typed, offer.as_ref(), None))
}

/// `POST /register`.
pub async fn submit(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&app, &request, payload).await?;
    let text = |name| Ok::<_, Error>(fields.get(name)?.unwrap_or_default().to_owned());
    let typed = Typed {
        invitation: fields.get("invitation")?.map(str::to_owned),
        email: text("email")?,
        name: text("name")?,
    };
    let command = Register {
        person: NewPerson {
            email: typed.email.clone(),
            name: typed.name.clone(),
            password: text("password")?.into(),
            admin: false,
        },
        invitation: typed.invitation.clone(),
        device_token: Cookie::Device.read(&app, &request),
        identity_token: Cookie::Identity.read(&app, &request),
        address: address(&app, &request)?,
    };
    let caller = caller(&app, &request)?;
    let done = to_the_end(&app, |app| async move { register(&app, command, &caller).await }).await;
    match done {
        Ok(signed_in) => Ok(welcome(&app, &request, &signed_in, "/apps")),
        Err(
            mistake @ (PeopleError::Invalid(_)
            | PeopleError::WeakPassword(_)
            | PeopleError::EmailTaken),
        ) => {
            let offer = registration_offer(&app, typed.invitation.as_deref());
            let offer = offer.await.map_err(refusal)?;
            Ok(page(&app, &request, &typed, offer.as_ref(), Some(mistake.to_string())))
        }
        Err(other) => Err(refusal(other)),
    }
}

fn page(
    app: &App,
    request: &HttpRequest,
    typed: &Typed,
    offer: Option<&Invitation>,
    error: Option<String>,
) -> HttpResponse {
    let csrf = Csrf::of(app, request);
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let invited = offer.map(|offer| offer.email.as_str()).filter(|email| !email.is_empty());
    let page = Page {
        frame: Frame::new("Create an account", &csrf, None),
        invitation: typed.invitation.as_deref().unwrap_or_default(),
        email: invited.unwrap_or(&typed.email),
        email_is_fixed: invited.is_some(),
        name: &typed.name,
        admin: offer.is_some_and(|offer| offer.admin),
        min_chars: app.config.password_min_chars,
        error,
    };
    html_with(app, &csrf, status, &page)
}

fn refusal(refused: PeopleError) -> Error {
    match refused {
        PeopleError::Closed => Error::page(
            StatusCode::FORBIDDEN,
            "Registration is closed",
            "Accounts are made by an administrator here. Please ask yours.",
        ),
        PeopleError::NoInvitation => Error::page(
            StatusCode::GONE,
            "This invitation is not valid any more",
            "It was used already, or it has expired. Please ask for a new one.",
        ),
        PeopleError::TooMany(tries) => too_many(tries.retry_after),
        PeopleError::Busy(_) => busy(),
        PeopleError::Store(cause) => cause.into(),
        other => Error::bad_request(other.to_string()),
    }
}
