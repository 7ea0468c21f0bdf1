//! The user's account: name, language, address, a copy of its data, closing it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use strum::VariantArray as _;

use super::{
    Frame, When, append_cookie, attachment, html_with, mistake, must_be_recent, redirect,
    with_session,
};
use crate::authority::Authority;
use crate::domain::language::Language;
use crate::domain::message::{Message, Value};
use crate::http::error::Error;
use crate::http::request::{
    Cookie, Csrf, CurrentUser, caller, detached, form, query_params, signed_in,
};
use crate::ops::account::{lifecycle, profile};

const PAGE: &str = "/account";

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    frame: Frame,
    name: &'a str,
    email: &'a str,
    is_verified: bool,
    new_email: &'a str,
    language: &'a str,
    languages: Vec<(&'static str, &'static str)>,
    closing: Option<When>,
    close_lead: String,
}

/// `GET /account`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, PAGE).await?;
    Ok(page(&authority, &request, &current_user, ("", &[])))
}

/// The page, with what is wrong with a form, and the new address as it was typed.
pub(super) fn page(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    (new_email, errors): (&str, &[(&'static str, Message)]),
) -> HttpResponse {
    let csrf = Csrf::of(authority, request);
    let params = query_params(request).ok();
    let done = params.as_ref().and_then(|params| params.get("done").ok().flatten());
    let done = match done {
        Some("saved") => Some(Message::new("done-saved")),
        Some("email-sent") => Some(Message::new("done-email-sent")),
        Some("email-change-sent") => Some(Message::new("done-email-change-sent")),
        Some("email-confirmed") => Some(Message::new("done-email-confirmed")),
        Some("closed") => Some(Message::new("done-closed")),
        Some("kept") => Some(Message::new("done-kept")),
        _ => None,
    };
    let user = &current_user.user;
    let frame = Frame::new(authority, request, "account-title", &csrf, Some(current_user))
        .done(done.as_ref())
        .wrong(errors);
    let days = authority.config.closing_grace.as_secs() / 86_400;
    let days = Value::Number(i64::try_from(days).unwrap_or(i64::MAX));
    let page = Page {
        name: &user.name,
        email: &user.email,
        is_verified: user.email_verified_at.is_some(),
        new_email,
        language: &user.language,
        languages: Language::VARIANTS.iter().map(|known| (known.tag(), known.name())).collect(),
        closing: user.closes_at.map(|at| When::new(at, authority.now(), &frame.texts)),
        close_lead: frame.texts.get1("close-lead", "days", days),
        frame,
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    html_with(authority, request, &csrf, status, &page)
}

/// `POST /account/profile`.
pub async fn save(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, PAGE).await?;
    let name = fields.get("name")?.unwrap_or_default().to_owned();
    let language = fields.get("language")?.unwrap_or_default().to_owned();
    let caller = caller(&authority, &request)?;
    let (user, tag) = (current_user.user.clone(), language.clone());
    let done = detached(&authority, |authority| async move {
        profile::change(&authority, &user, (&name, &tag), &caller).await
    });
    match done.await {
        Ok(()) => {
            let mut response = redirect("/account?done=saved");
            // What the account says counts from now on, in this browser, too.
            append_cookie(&mut response, Cookie::Language.remove(&authority));
            Ok(response)
        }
        Err(refused) => {
            let wrong = mistake(refused)?;
            Ok(page(&authority, &request, &current_user, ("", &[wrong])))
        }
    }
}

/// `GET /account/export`.
pub async fn export(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, PAGE).await?;
    must_be_recent(&authority, &current_user, PAGE).await?;
    let caller = caller(&authority, &request)?;
    let copy = detached(&authority, |authority| async move {
        profile::export(&authority, &current_user.user, &caller).await
    });
    let copy = serde_json::to_string_pretty(&copy.await?).unwrap_or_default();
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_DISPOSITION, attachment("account.json")))
        .content_type("application/json")
        .body(copy))
}

/// `POST /account/close`.
pub async fn close(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, PAGE).await?;
    must_be_recent(&authority, &current_user, PAGE).await?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        let (user, session) = (&current_user.user, &current_user.browser_session);
        lifecycle::close(&authority, user, session, &caller).await
    });
    match done.await {
        Ok(token) => Ok(with_session(&authority, redirect("/account?done=closed"), &token)),
        Err(refused) => Err(mistake(refused).err().unwrap_or_else(Error::unavailable)),
    }
}

/// `POST /account/keep`.
pub async fn keep(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, PAGE).await?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        lifecycle::keep(&authority, &current_user.user, &caller).await
    });
    done.await?;
    Ok(redirect("/account?done=kept"))
}
