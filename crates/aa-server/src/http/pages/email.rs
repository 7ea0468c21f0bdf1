//! The address of an account: asking to confirm or to change it, and the links of the mails.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, account, html_with, mistake, must_be_recent, redirect};
use crate::authority::Authority;
use crate::domain::confirmation::ConfirmationKind;
use crate::http::error::Error;
use crate::http::request::{
    Csrf, address, caller, current_user, detached, form, query_params, signed_in,
};
use crate::ops::account::email::{ask_to_change, ask_to_confirm, confirm, confirmed_address};

/// `POST /account/email/confirm`: asks for the link.
pub async fn ask_confirm(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    if let Some(token) = fields.get("token")? {
        return use_link(&authority, &request, token, ConfirmationKind::ConfirmEmail).await;
    }
    let current_user = signed_in(&authority, &request, "/account").await?;
    let address = address(&authority, &request)?;
    let user = current_user.user.clone();
    let done = detached(&authority, |authority| async move {
        ask_to_confirm(&authority, &user, address).await
    });
    match done.await {
        Ok(()) => Ok(redirect("/account?done=email-sent")),
        Err(refused) => {
            let wrong = mistake(refused)?;
            Ok(account::page(&authority, &request, &current_user, ("", &[wrong])))
        }
    }
}

/// `POST /account/email`: asks for the link that changes the address.
pub async fn ask_change(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, "/account").await?;
    must_be_recent(&authority, &current_user, "/account").await?;
    let email = fields.get("email")?.unwrap_or_default().to_owned();
    let (address, caller) = (address(&authority, &request)?, caller(&authority, &request)?);
    let (user, typed) = (current_user.user.clone(), email.clone());
    let done = detached(&authority, |authority| async move {
        ask_to_change(&authority, &user, &typed, address, &caller).await
    });
    match done.await {
        Ok(()) => Ok(redirect("/account?done=email-change-sent")),
        Err(refused) => {
            let wrong = mistake(refused)?;
            Ok(account::page(&authority, &request, &current_user, (&email, &[wrong])))
        }
    }
}

#[derive(Template)]
#[template(path = "confirm_email.html")]
struct Page<'a> {
    frame: Frame,
    lead: String,
    action: &'static str,
    token: &'a str,
}

/// `GET /account/email/confirm`, the link of a mail. A button confirms: what fetches links ahead of time does not.
pub async fn show_confirm(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    show(&authority, &request, ConfirmationKind::ConfirmEmail).await
}

/// `GET /account/email/change`, the link of a mail.
pub async fn show_change(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    show(&authority, &request, ConfirmationKind::ChangeEmail).await
}

async fn show(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    kind: ConfirmationKind,
) -> Result<HttpResponse, Error> {
    let params = query_params(request)?;
    let token = params.get("token")?.unwrap_or_default();
    let email = match confirmed_address(authority, token, kind).await {
        Ok(email) => email,
        Err(refused) => return Err(mistake(refused).err().unwrap_or_else(Error::not_found)),
    };
    let csrf = Csrf::of(authority, request);
    let current_user = current_user(authority, request).await?;
    let frame = Frame::new(authority, request, "confirm-email-title", &csrf, current_user.as_ref());
    let (lead, action) = match kind {
        ConfirmationKind::ChangeEmail => ("change-email-lead", "/account/email/change"),
        _ => ("confirm-email-lead", "/account/email/confirm"),
    };
    let page = Page { lead: frame.t1(lead, "email", &*email), action, token, frame };
    Ok(html_with(authority, request, &csrf, StatusCode::OK, &page))
}

/// `POST /account/email/change`: uses the link.
pub async fn change(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let token = fields.get("token")?.unwrap_or_default();
    use_link(&authority, &request, token, ConfirmationKind::ChangeEmail).await
}

async fn use_link(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    token: &str,
    kind: ConfirmationKind,
) -> Result<HttpResponse, Error> {
    let (token, caller) = (token.to_owned(), caller(authority, request)?);
    let done =
        detached(
            authority,
            |authority| async move { confirm(&authority, &token, kind, &caller).await },
        );
    match done.await {
        Ok(()) => Ok(redirect("/account?done=email-confirmed")),
        Err(crate::ops::account::AccountError::EmailTaken) => {
            Err(Error::refused(StatusCode::CONFLICT, "error-email-taken"))
        }
        Err(refused) => Err(mistake(refused).err().unwrap_or_else(Error::not_found)),
    }
}
