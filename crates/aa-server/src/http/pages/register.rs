//! Making an account.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::login::{destination, welcome, with_return_to};
use super::{Frame, html_with, local_path};
use crate::authority::Authority;
use crate::http::error::Error;
use crate::http::request::{Cookie, Csrf, address, caller, detached, form, query_params};
use crate::ops::account::{AccountError, NewAccount, Register, register, registration_offer};
use crate::store::Invitation;

#[derive(Template)]
#[template(path = "register.html")]
struct Page<'a> {
    frame: Frame,
    invitation: &'a str,
    return_to: &'a str,
    sign_in: String,
    email: &'a str,
    email_is_fixed: bool,
    name: &'a str,
    admin: bool,
    min_chars: usize,
    error: Option<String>,
}

/// The form as it was filled in.
#[derive(Default)]
struct Typed {
    invitation: Option<String>,
    return_to: String,
    email: String,
    name: String,
}

/// `GET /register`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let invitation = params.get("invitation")?.map(str::to_owned);
    let offer = registration_offer(&authority, invitation.as_deref()).await.map_err(refusal)?;
    let return_to = local_path(&authority, params.get("return_to")?);
    let typed = Typed { invitation, return_to, ..Typed::default() };
    page(&authority, &request, &typed, offer.as_ref(), None).await
}

/// `POST /register`.
pub async fn submit(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let text = |name| Ok::<_, Error>(fields.get(name)?.unwrap_or_default().to_owned());
    let typed = Typed {
        invitation: fields.get("invitation")?.map(str::to_owned),
        return_to: local_path(&authority, fields.get("return_to")?),
        email: text("email")?,
        name: text("name")?,
    };
    let command = Register {
        account: NewAccount {
            email: typed.email.clone(),
            name: typed.name.clone(),
            password: text("password")?.into(),
            admin: false,
        },
        invitation: typed.invitation.clone(),
        browser_token: Cookie::Browser.read(&authority, &request),
        session_token: Cookie::BrowserSession.read(&authority, &request),
        address: address(&authority, &request)?,
    };
    let caller = caller(&authority, &request)?;
    let done =
        detached(
            &authority,
            |authority| async move { register(&authority, command, &caller).await },
        )
        .await;
    match done {
        Ok(signed_in) => Ok(welcome(&authority, &request, &signed_in, &typed.return_to)),
        Err(
            mistake @ (AccountError::Invalid(_)
            | AccountError::WeakPassword(_)
            | AccountError::EmailTaken),
        ) => {
            let offer = registration_offer(&authority, typed.invitation.as_deref());
            let offer = offer.await.map_err(refusal)?;
            page(&authority, &request, &typed, offer.as_ref(), Some(mistake.to_string())).await
        }
        Err(other) => Err(refusal(other)),
    }
}

async fn page(
    authority: &Authority,
    request: &HttpRequest,
    typed: &Typed,
    offer: Option<&Invitation>,
    error: Option<String>,
) -> Result<HttpResponse, Error> {
    let csrf = Csrf::of(authority, request);
    let destination = destination(authority, &csrf, &typed.return_to).await?;
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let invited = offer.map(|offer| offer.email.as_str()).filter(|email| !email.is_empty());
    let page = Page {
        frame: Frame::new("Create an account", &csrf, None),
        invitation: typed.invitation.as_deref().unwrap_or_default(),
        return_to: &typed.return_to,
        sign_in: with_return_to("/login", &typed.return_to),
        email: invited.unwrap_or(&typed.email),
        email_is_fixed: invited.is_some(),
        name: &typed.name,
        admin: offer.is_some_and(|offer| offer.admin),
        min_chars: authority.config.password_min_chars,
        error,
    };
    let mut response = html_with(authority, &csrf, status, &page);
    destination.let_forms_lead_there(request, &mut response);
    Ok(response)
}

fn refusal(refused: AccountError) -> Error {
    match refused {
        AccountError::Closed => Error::refused(
            StatusCode::FORBIDDEN,
            "Registration is closed",
            "Accounts are made by an administrator here. Please ask yours.",
        ),
        AccountError::NoInvitation => Error::refused(
            StatusCode::GONE,
            "This invitation is not valid any more",
            "It was used already, or it has expired. Please ask for a new one.",
        ),
        AccountError::Throttle(refused) => refused.into(),
        AccountError::Busy(_) => Error::unavailable(),
        AccountError::Store(cause) => cause.into(),
        other => Error::bad_request(other.to_string()),
    }
}
