//! A forgotten password: asking for a link, and choosing a new one with it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::SecretString;

use super::register::{ChoosePassword, password_hint};
use super::{Frame, Wrong, html_with, local_path, mistake, redirect, with_return_to};
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::render::message;
use crate::http::request::{
    Csrf, address, caller, detached, form, form_again, language, query_params,
};
use crate::ops::account::password::{address_of_reset, forgot, reset};

#[derive(Template)]
#[template(path = "ask_email.html")]
pub(super) struct AskEmail<'a> {
    pub(super) frame: Frame,
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) action: &'static str,
    pub(super) return_to: &'a str,
    pub(super) email: &'a str,
    pub(super) submit: String,
    pub(super) sign_in: String,
}

/// `GET /password/forgot`.
pub async fn show_forgot(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let return_to = local_path(&authority, query_params(&request)?.get("return_to")?);
    Ok(ask(&authority, &request, (&return_to, ""), (StatusCode::OK, &[])))
}

fn ask(
    authority: &Authority,
    request: &HttpRequest,
    (return_to, email): (&str, &str),
    (status, errors): (StatusCode, &[Wrong]),
) -> HttpResponse {
    let csrf = Csrf::of(authority, request);
    let frame = Frame::new(authority, request, "forgot-title", &csrf, None).wrong(errors);
    let page = AskEmail {
        title: frame.title.clone(),
        lead: frame.t("forgot-lead"),
        action: "/password/forgot",
        return_to,
        email,
        submit: frame.t("forgot-submit"),
        sign_in: with_return_to("/login", return_to),
        frame,
    };
    html_with(authority, request, &csrf, status, &page)
}

/// `POST /password/forgot`.
pub async fn submit_forgot(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (fields, expired) = form_again(&authority, &request, payload).await?;
    let return_to = local_path(&authority, fields.get("return_to")?);
    let email = fields.get("email")?.unwrap_or_default().to_owned();
    if expired {
        let wrong = ("", Message::new("form-expired"));
        return Ok(ask(
            &authority,
            &request,
            (&return_to, &email),
            (StatusCode::FORBIDDEN, &[wrong]),
        ));
    }
    let (address, language) = (address(&authority, &request)?, language(&request, None));
    let typed = email.clone();
    let done = detached(&authority, |authority| async move {
        forgot(&authority, &typed, language, address).await
    });
    match done.await {
        Ok(()) => Ok(message(&authority, &request, StatusCode::OK, &Message::new("forgot-sent"))),
        Err(refused) => {
            let wrong = mistake(refused)?;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(ask(&authority, &request, (&return_to, &email), (status, &[wrong])))
        }
    }
}

/// `GET /password/reset`, the link of the mail.
pub async fn show_reset(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    choose(&authority, &request, params.get("token")?.unwrap_or_default(), (StatusCode::OK, &[]))
        .await
}

async fn choose(
    authority: &Authority,
    request: &HttpRequest,
    token: &str,
    (status, errors): (StatusCode, &[Wrong]),
) -> Result<HttpResponse, Error> {
    let email = match address_of_reset(authority, token).await {
        Ok(email) => email,
        Err(refused) => return Err(mistake(refused).err().unwrap_or_else(Error::not_found)),
    };
    let csrf = Csrf::of(authority, request);
    let frame = Frame::new(authority, request, "reset-title", &csrf, None).wrong(errors);
    let page = ChoosePassword {
        title: frame.title.clone(),
        lead: frame.t1("reset-lead", "email", &*email),
        action: "/password/reset",
        token,
        email: &email,
        password_hint: password_hint(authority, &frame),
        submit: frame.t("reset-submit"),
        frame,
    };
    Ok(html_with(authority, request, &csrf, status, &page))
}

/// `POST /password/reset`.
pub async fn submit_reset(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let token = fields.get("token")?.unwrap_or_default().to_owned();
    let password: SecretString = fields.get("password")?.unwrap_or_default().into();
    let (address, caller) = (address(&authority, &request)?, caller(&authority, &request)?);
    let shown = token.clone();
    let done = detached(&authority, |authority| async move {
        reset(&authority, (&token, password), address, &caller).await
    });
    match done.await {
        Ok(()) => Ok(redirect("/login?again=1&done=password-reset")),
        Err(refused) => {
            let wrong = mistake(refused)?;
            choose(&authority, &request, &shown, (StatusCode::UNPROCESSABLE_ENTITY, &[wrong])).await
        }
    }
}
