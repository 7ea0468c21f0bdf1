//! Password and second factors.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::register::password_hint;
use super::{Frame, When, html_with, is_recent, mistake, redirect, with_session};
use crate::authority::Authority;
use crate::domain::ids::PasskeyId;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::request::{Csrf, CurrentUser, caller, detached, form, query_params, signed_in};
use crate::ops::account::AccountError;
use crate::ops::account::factors::passkey_challenge;
use crate::ops::account::password::{ChangeError, change_password as change};
use crate::services::passkeys::Challenge;

pub(super) const PAGE: &str = "/account/security";

#[derive(Template)]
#[template(path = "security.html")]
struct Page<'a> {
    frame: Frame,
    email: &'a str,
    /// Whether factors can be changed, or the user has to sign in first.
    is_recent: bool,
    codes: Vec<String>,
    passkeys: Vec<PasskeyLine>,
    registration: Option<Challenge>,
    totp: bool,
    has_factor: bool,
    has_codes: bool,
    recovery_left: String,
    password_hint: String,
}

struct PasskeyLine {
    id: PasskeyId,
    name: String,
    synced: bool,
    created: When,
    used: Option<When>,
}

/// The messages of the page after a form was sent.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) errors: &'a [(&'static str, Message)],
    pub(super) codes: Vec<String>,
    pub(super) done: Option<&'static str>,
}

/// `GET /account/security`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, PAGE).await?;
    let done = match query_params(&request)?.get("done")? {
        Some("password-changed") => Some("done-password-changed"),
        Some("passkey-added") => Some("done-passkey-added"),
        Some("passkey-removed") => Some("done-passkey-removed"),
        Some("passkey-renamed") => Some("done-saved"),
        Some("totp-added") => Some("done-totp-added"),
        Some("totp-removed") => Some("done-totp-removed"),
        _ => None,
    };
    page(&authority, &request, &current_user, Said { done, ..Said::default() }).await
}

/// The page.
pub(super) async fn page(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    said: Said<'_>,
) -> Result<HttpResponse, Error> {
    let csrf = Csrf::of(authority, request);
    let user = &current_user.user;
    let counts = authority.store.factor_counts(user.id).await?;
    let rows = authority.store.passkeys(user.id).await?;
    let is_recent = is_recent(authority, current_user).await?;
    let done = said.done.map(Message::new);
    let mut frame = Frame::new(authority, request, "security-title", &csrf, Some(current_user))
        .wrong(said.errors)
        .done(done.as_ref());
    frame.passkeys = accepted(authority, current_user, &rows);
    let now = authority.now();
    let line = |row: &crate::store::PasskeyRow| PasskeyLine {
        id: row.id,
        name: row.name.clone(),
        synced: row.synced,
        created: When::new(row.created_at, now, &frame.texts),
        used: row.last_used_at.map(|at| When::new(at, now, &frame.texts)),
    };
    let left = Message::new("recovery-left").with("count", counts.recovery_codes);
    let page = Page {
        email: &user.email,
        is_recent,
        codes: said.codes,
        passkeys: rows.iter().map(line).collect(),
        registration: passkey_challenge(authority, user, &csrf.binding())
            .await?
            .filter(|_| is_recent),
        totp: counts.totp > 0,
        has_factor: counts.any(),
        has_codes: counts.recovery_codes > 0,
        recovery_left: frame.texts.message(&left),
        password_hint: password_hint(authority, &frame),
        frame,
    };
    let status =
        if said.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(html_with(authority, request, &csrf, status, &page))
}

/// The value for the signal API of browsers: the credentials that the authority accepts, so that password managers forget
/// others.
fn accepted(
    authority: &Authority,
    current_user: &CurrentUser,
    rows: &[crate::store::PasskeyRow],
) -> Option<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let ids: Vec<String> = rows
        .iter()
        .filter_map(|row| serde_json::from_str::<serde_json::Value>(&row.credential).ok())
        .filter_map(|credential| credential["cred"]["cred_id"].as_str().map(str::to_owned))
        .collect();
    let accepted = json!({
        "rpId": authority.passkeys.rp_id()?,
        "userId": URL_SAFE_NO_PAD.encode(current_user.user.id.uuid().as_bytes()),
        "allAcceptedCredentialIds": ids,
    });
    Some(accepted.to_string())
}

/// `POST /account/password`.
pub async fn change_password(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, PAGE).await?;
    let current_password = fields.get("current_password")?.unwrap_or_default().into();
    let new = fields.get("new_password")?.unwrap_or_default().into();
    let caller = caller(&authority, &request)?;
    let (done, current_user) = detached(&authority, |authority| async move {
        let who = (&current_user.user, &current_user.browser_session);
        (change(&authority, who, current_password, new, &caller).await, current_user)
    })
    .await;
    match done {
        Ok(token) => {
            let to = redirect("/account/security?done=password-changed");
            Ok(with_session(&authority, to, &token))
        }
        Err(ChangeError::Account(AccountError::Ended)) => Err(Error::SignIn(PAGE.to_owned())),
        Err(ChangeError::Account(AccountError::Throttle(refused))) => Err(refused.into()),
        Err(ChangeError::Account(refused)) => {
            Err(mistake(refused).err().unwrap_or_else(Error::unavailable))
        }
        Err(ChangeError::Mistakes(mistakes)) => {
            let errors = mistakes.into_iter().map(mistake).collect::<Result<Vec<_>, _>>()?;
            let at = |(field, text)| match field {
                "password" => ("new_password", text),
                _ => (field, text),
            };
            let errors: Vec<_> = errors.into_iter().map(at).collect();
            page(&authority, &request, &current_user, Said { errors: &errors, ..Said::default() })
                .await
        }
    }
}

/// `GET /.well-known/change-password`.
pub async fn change_password_url() -> HttpResponse {
    redirect(PAGE)
}
