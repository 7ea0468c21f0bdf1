//! A person's sessions: one entry per app and browser, each with its own button.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use uuid::Uuid;

use super::{Frame, When, html_with, redirect};
use crate::app::App;
use crate::http::error::Error;
use crate::http::extract::{Cookie, Csrf, Person, caller, form, signed_in, to_the_end};
use crate::http::params::Params;
use crate::ops::end;
use crate::ops::sessions::overview;

const PAGE: &str = "/sessions";

#[derive(Template)]
#[template(path = "sessions.html")]
struct Page {
    frame: Frame,
    devices: Vec<Device>,
    ended: Vec<Ended>,
    others: bool,
}

struct Device {
    id: Uuid,
    title: String,
    browser: String,
    name: String,
    ip: String,
    first_seen: When,
    last_seen: When,
    is_this: bool,
    sessions: Vec<Session>,
}

struct Session {
    id: Uuid,
    app: String,
    started: When,
    last_used: When,
    ip: String,
}

struct Ended {
    app: String,
    browser: String,
    at: When,
    reason: String,
    alarming: bool,
}

/// `GET /sessions`.
pub async fn show(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let person = signed_in(&app, &request, PAGE).await?;
    let now = app.now();
    let seen = overview(&app, person.user.id, Some(person.identity.device_id)).await?;
    let devices: Vec<Device> = seen
        .devices
        .into_iter()
        .map(|device| Device {
            id: device.id,
            title: if device.name.is_empty() {
                device.browser.clone()
            } else {
                device.name.clone()
            },
            browser: device.browser,
            name: device.name,
            ip: device.ip,
            first_seen: When::new(device.first_seen, now),
            last_seen: When::new(device.last_seen, now),
            is_this: device.is_this,
            sessions: device
                .live
                .into_iter()
                .map(|session| Session {
                    id: session.id,
                    app: session.app,
                    started: When::new(session.started, now),
                    last_used: When::new(session.last_used, now),
                    ip: session.ip,
                })
                .collect(),
        })
        .collect();
    let ended = seen
        .ended
        .into_iter()
        .map(|ended| Ended {
            app: ended.app,
            browser: ended.browser,
            at: When::new(ended.at, now),
            reason: ended.reason,
            alarming: ended.alarming,
        })
        .collect();
    let csrf = Csrf::of(&app, &request);
    let page = Page {
        frame: Frame::new("Sessions", &csrf, Some(&person)),
        others: devices.iter().any(|device| !device.is_this),
        devices,
        ended,
    };
    Ok(html_with(&app, &csrf, StatusCode::OK, &page))
}

/// What every form of this page begins with.
async fn submitted(
    app: &web::Data<App>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Person, Params), Error> {
    let fields = form(app, request, payload).await?;
    Ok((signed_in(app, request, PAGE).await?, fields))
}

/// `POST /sessions/{family}/revoke`.
pub async fn end_family(
    app: web::Data<App>,
    request: HttpRequest,
    family: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (person, _) = submitted(&app, &request, payload).await?;
    let family = Uuid::try_parse(&family).map_err(|_| Error::not_found())?;
    let caller = caller(&app, &request)?;
    let done = to_the_end(&app, |app| async move {
        end::end_family(&app, &person.identity, family, &caller).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect(PAGE))
}

/// `POST /sessions/devices/{device}/revoke`.
pub async fn end_device(
    app: web::Data<App>,
    request: HttpRequest,
    device: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (person, _) = submitted(&app, &request, payload).await?;
    let device = Uuid::try_parse(&device).map_err(|_| Error::not_found())?;
    let caller = caller(&app, &request)?;
    let done = to_the_end(&app, |app| async move {
        end::end_device(&app, &person.identity, device, &caller).await
    });
    done.await?.ok_or_else(Error::not_found)?;
    Ok(redirect(PAGE))
}

/// `POST /sessions/devices/{device}/rename`.
pub async fn rename_device(
    app: web::Data<App>,
    request: HttpRequest,
    device: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (person, fields) = submitted(&app, &request, payload).await?;
    let device = Uuid::try_parse(&device).map_err(|_| Error::not_found())?;
    let name = crate::domain::people::check_name(fields.get("name")?.unwrap_or_default())
        .map_err(Error::bad_request)?;
    let renamed = app.store.rename_device(person.user.id, device, &name).await?;
    renamed.ok_or_else(Error::not_found)?;
    Ok(redirect(PAGE))
}

/// `POST /sessions/revoke-others`.
pub async fn end_others(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (person, _) = submitted(&app, &request, payload).await?;
    let caller = caller(&app, &request)?;
    let done =
        to_the_end(
            &app,
            |app| async move { end::end_others(&app, &person.identity, &caller).await },
        );
    done.await?;
    Ok(redirect(PAGE))
}

/// `POST /sessions/revoke-all`.
pub async fn end_all(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (person, _) = submitted(&app, &request, payload).await?;
    let caller = caller(&app, &request)?;
    let done =
        to_the_end(&app, |app| async move { end::end_all(&app, &person.identity, &caller).await });
    done.await?;
    let mut response = redirect("/login");
    let (name, value) = Cookie::Identity.remove(&app);
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
