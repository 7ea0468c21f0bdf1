//! The user's account: name, language, time zone, address, a copy of its data, closing it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use service::http::with_cookies;
use strum::VariantArray as _;

use super::{Frame, When, attachment, html_with, mistake, must_be_recent, redirect, with_session};
use crate::authority::Authority;
use crate::domain::language::Language;
use crate::domain::message::{Message, Value};
use crate::domain::time_zone::TimeZone;
use crate::domain::user::picture_path;
use crate::http::error::Error;
use crate::http::request::{
    Cookie, Csrf, CurrentUser, caller, detached, form, query_params, signed_in,
};
use crate::ops::account::{lifecycle, profile};
use crate::store::Profile;

pub(super) const PAGE: &str = "/account";

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    frame: Frame,
    name: &'a str,
    picture: Option<String>,
    email: &'a str,
    is_verified: bool,
    new_email: &'a str,
    language: &'a str,
    languages: Vec<(&'static str, &'static str)>,
    time_zone: &'a str,
    utc: &'static str,
    /// Whether the browser's zone is to be suggested, for want of a choice.
    suggest_zone: bool,
    areas: Vec<Area>,
    closing: Option<When>,
    close_lead: String,
}

/// The time zones of a part of the world: the name of each, and its place in words.
struct Area {
    name: &'static str,
    zones: Vec<(&'static str, String)>,
}

/// The time zones that are named after a place, by area.
fn areas() -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for zone in TimeZone::places() {
        let Some((area, place)) = zone.area_and_place() else { continue };
        if areas.last().is_none_or(|last| last.name != area) {
            areas.push(Area { name: area, zones: Vec::new() });
        }
        if let Some(last) = areas.last_mut() {
            last.zones.push((zone.name(), place.replace('/', ", ").replace('_', " ")));
        }
    }
    areas
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
        picture: user.picture.as_deref().map(picture_path),
        email: &user.email,
        is_verified: user.email_verified_at.is_some(),
        new_email,
        language: &user.language,
        languages: Language::VARIANTS.iter().map(|known| (known.tag(), known.name())).collect(),
        time_zone: user.zone().map_or("", TimeZone::name),
        utc: TimeZone::UTC.name(),
        suggest_zone: !user.has_chosen_zone(),
        areas: areas(),
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
    let time_zone = fields.get("time_zone")?.unwrap_or_default().to_owned();
    let caller = caller(&authority, &request)?;
    let user = current_user.user.clone();
    let done = detached(&authority, |authority| async move {
        let typed = Profile { name: &name, language: &language, time_zone: &time_zone };
        profile::change(&authority, &user, typed, &caller).await
    });
    match done.await {
        Ok(()) => {
            // What the account says counts from now on, in this browser, too.
            let cookie = Cookie::Language.remove(&authority);
            Ok(with_cookies(redirect("/account?done=saved"), [cookie]))
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
