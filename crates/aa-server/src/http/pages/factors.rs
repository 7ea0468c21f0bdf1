//! Adding and removing second factors.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use qrcode::QrCode;
use qrcode::render::svg;

use super::security::{self, Said};
use super::{Frame, html_with, must_be_recent, redirect};
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::domain::user::check_name;
use crate::http::error::Error;
use crate::http::request::params::Params;
use crate::http::request::{Csrf, CurrentUser, caller, detached, form, signed_in};
use crate::ops::account::factors::{self, FactorError};

/// A form of the page, and its user, who has signed in lately.
async fn submitted(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(CurrentUser, Params), Error> {
    let fields = form(authority, request, payload).await?;
    let current_user = signed_in(authority, request, security::PAGE).await?;
    must_be_recent(authority, &current_user, security::PAGE).await?;
    Ok((current_user, fields))
}

fn in_words(refused: FactorError) -> Result<(&'static str, Message), Error> {
    match refused {
        FactorError::WrongCode => Ok(("code", Message::new("wrong-code"))),
        FactorError::Expired => Ok(("", Message::new("form-expired"))),
        FactorError::Passkey(_) => Ok(("", Message::new("wrong-passkey"))),
        FactorError::TooMany => Ok(("", Message::new("passkey-too-many"))),
        FactorError::Known => Ok(("", Message::new("passkey-known"))),
        FactorError::Store(cause) => Err(cause.into()),
    }
}

/// `POST /account/passkeys`.
pub async fn add_passkey(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, fields) = submitted(&authority, &request, payload).await?;
    let state = fields.get("state")?.unwrap_or_default().to_owned();
    let answer = fields.get("credential")?.unwrap_or_default().to_owned();
    let binding = Csrf::of(&authority, &request).binding();
    let caller = caller(&authority, &request)?;
    let user = current_user.user.clone();
    let done = detached(&authority, |authority| async move {
        factors::add_passkey(&authority, &user, (&state, &answer), &binding, &caller).await?;
        first_codes(&authority, &user, &caller).await
    });
    added(&authority, &request, &current_user, done.await, "done-passkey-added").await
}

/// Recovery codes for a user who has none yet.
async fn first_codes(
    authority: &Authority,
    user: &crate::store::User,
    caller: &crate::domain::caller::Caller,
) -> Result<Vec<String>, FactorError> {
    if authority.store.factor_counts(user.id).await?.recovery_codes > 0 {
        return Ok(Vec::new());
    }
    Ok(factors::make_recovery_codes(authority, user, caller).await?)
}

async fn added(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    done: Result<Vec<String>, FactorError>,
    text: &'static str,
) -> Result<HttpResponse, Error> {
    match done {
        Ok(codes) => {
            let said = Said { codes, done: Some(text), ..Said::default() };
            security::page(authority, request, current_user, said).await
        }
        Err(refused) => {
            let said = Said { errors: &[in_words(refused)?], ..Said::default() };
            security::page(authority, request, current_user, said).await
        }
    }
}

/// `POST /account/passkeys/{passkey}/remove`.
pub async fn remove_passkey(
    authority: web::Data<Authority>,
    request: HttpRequest,
    passkey: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let passkey = passkey.parse().map_err(|_| Error::not_found())?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        factors::remove_passkey(&authority, current_user.user.id, passkey, &caller).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect("/account/security?done=passkey-removed"))
}

/// `POST /account/passkeys/{passkey}/rename`.
pub async fn rename_passkey(
    authority: web::Data<Authority>,
    request: HttpRequest,
    passkey: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, fields) = submitted(&authority, &request, payload).await?;
    let passkey = passkey.parse().map_err(|_| Error::not_found())?;
    let name =
        check_name(fields.get("name")?.unwrap_or_default()).ok().filter(|name| !name.is_empty());
    let Some(name) = name else {
        let said = Said { errors: &[("", Message::new("wrong-name"))], ..Said::default() };
        return security::page(&authority, &request, &current_user, said).await;
    };
    let user = current_user.user.id;
    let done = detached(&authority, |authority| async move {
        authority.store.rename_passkey(user, passkey, &name).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect("/account/security?done=passkey-renamed"))
}

/// `POST /account/passkeys/later`: no offer of a passkey on the launcher any more.
pub async fn later(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, "/apps").await?;
    authority.store.put_off_factor(current_user.user.id, authority.now()).await?;
    Ok(redirect("/apps"))
}

#[derive(Template)]
#[template(path = "totp.html")]
pub(super) struct TotpPage<'a> {
    pub(super) frame: Frame,
    pub(super) qr: String,
    pub(super) secret: String,
    pub(super) state: String,
    pub(super) attempt: &'a str,
    pub(super) action: &'static str,
}

/// A QR code as SVG, without a size of its own. Empty if the text is too long for one.
pub(super) fn qr_code(text: &str) -> String {
    let Ok(code) = QrCode::new(text.as_bytes()) else { return String::new() };
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
    // Inline SVG needs no declaration.
    drawn.split_once("?>").map_or_else(|| drawn.clone(), |(_, svg)| svg.to_owned())
}

/// `GET /account/totp`.
pub async fn show_totp(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, "/account/totp").await?;
    must_be_recent(&authority, &current_user, "/account/totp").await?;
    totp_page(&authority, &request, &current_user, "", (StatusCode::OK, &[]))
}

fn totp_page(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    state: &str,
    (status, errors): (StatusCode, &[(&'static str, Message)]),
) -> Result<HttpResponse, Error> {
    let csrf = Csrf::of(authority, request);
    let again = factors::same_totp(authority, &current_user.user, state, &csrf.binding());
    let new = again.or_else(|| factors::new_totp(authority, &current_user.user, &csrf.binding()));
    let new = new.ok_or_else(Error::unavailable)?;
    let page = TotpPage {
        frame: Frame::new(authority, request, "totp-set-up", &csrf, Some(current_user))
            .wrong(errors),
        qr: qr_code(&new.url),
        secret: new.secret.to_string(),
        state: new.state,
        attempt: "",
        action: "/account/totp",
    };
    Ok(html_with(authority, request, &csrf, status, &page))
}

/// `POST /account/totp`.
pub async fn add_totp(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, fields) = submitted(&authority, &request, payload).await?;
    let state = fields.get("state")?.unwrap_or_default().to_owned();
    let code = fields.get("code")?.unwrap_or_default().to_owned();
    let binding = Csrf::of(&authority, &request).binding();
    let caller = caller(&authority, &request)?;
    let (user, sent) = (current_user.user.clone(), state.clone());
    let done = detached(&authority, |authority| async move {
        factors::add_totp(&authority, &user, (&sent, &code), &binding, &caller).await?;
        first_codes(&authority, &user, &caller).await
    });
    match done.await {
        Err(refused @ (FactorError::WrongCode | FactorError::Expired)) => {
            let wrong = in_words(refused)?;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            totp_page(&authority, &request, &current_user, &state, (status, &[wrong]))
        }
        done => added(&authority, &request, &current_user, done, "done-totp-added").await,
    }
}

/// `POST /account/totp/remove`.
pub async fn remove_totp(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        factors::remove_totp(&authority, current_user.user.id, &caller).await
    });
    done.await?;
    Ok(redirect("/account/security?done=totp-removed"))
}

/// `POST /account/recovery-codes`.
pub async fn make_recovery_codes(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (current_user, _) = submitted(&authority, &request, payload).await?;
    let caller = caller(&authority, &request)?;
    let user = current_user.user.clone();
    let codes = detached(&authority, |authority| async move {
        factors::make_recovery_codes(&authority, &user, &caller).await
    });
    let said = Said { codes: codes.await?, ..Said::default() };
    security::page(&authority, &request, &current_user, said).await
}
