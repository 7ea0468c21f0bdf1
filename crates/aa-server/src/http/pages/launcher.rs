//! The launcher: the apps this person may open, and opening one.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, html_with, redirect};
use crate::app::App;
use crate::domain::client::{DelegationMode, Registration};
use crate::http::error::Error;
use crate::http::extract::{Csrf, caller, is_speculative, signed_in, to_the_end};
use crate::http::oauth::authorize::with_query;
use crate::ops::delegate::{Delegate, delegate};

#[derive(Template)]
#[template(path = "apps.html")]
struct Page {
    frame: Frame,
    apps: Vec<Tile>,
}

struct Tile {
    name: String,
    initial: String,
    href: String,
    host: String,
}

/// `GET /apps`.
pub async fn show(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let person = signed_in(&app, &request, "/apps").await?;
    let found = app.store.apps().await?.into_iter();
    let mut apps: Vec<Tile> = found
        .filter(|found| found.enabled && found.registration.is_launchable())
        .map(|found| tile(&found.registration))
        .collect();
    apps.sort_by_key(|tile| tile.name.to_lowercase());
    let csrf = Csrf::of(&app, &request);
    let page = Page { frame: Frame::new("Apps", &csrf, Some(&person)), apps };
    Ok(html_with(&app, &csrf, StatusCode::OK, &page))
}

fn tile(app: &Registration) -> Tile {
    let address = app.launch_url.as_ref().or(app.redirect_uris.first());
    let url = address.and_then(|address| url::Url::parse(address).ok());
    Tile {
        name: app.name.clone(),
        initial: app.name.chars().next().unwrap_or('?').to_uppercase().to_string(),
        href: format!("/open/{}", app.client_id),
        host: url.map_or_else(String::new, |url| {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            format!("{}{port}", url.host_str().unwrap_or_default())
        }),
    }
}

/// `GET /open/{client_id}`.
pub async fn open(
    app: web::Data<App>,
    request: HttpRequest,
    client_id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    if is_speculative(&request) {
        return Ok(HttpResponse::NoContent().finish());
    }
    // Only a person's navigation opens an app; an image or a script of another page does not.
    let mode = request.headers().get("sec-fetch-mode").map(header::HeaderValue::as_bytes);
    if mode.is_some_and(|mode| mode != b"navigate") {
        return Err(Error::page(
            StatusCode::FORBIDDEN,
            "That does not work here",
            "Apps are opened by following a link.",
        ));
    }
    let client_id = client_id.into_inner();
    let id_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if client_id.len() > 64 || !client_id.chars().all(id_char) {
        return Err(Error::not_found());
    }
    let person = signed_in(&app, &request, &format!("/open/{client_id}")).await?;
    let found = app.store.app(&client_id).await?.filter(|found| found.enabled);
    let registration = found.map(|found| found.registration).ok_or_else(Error::not_found)?;
    if !registration.is_launchable() {
        return Err(Error::not_found());
    }
    if registration.delegation == DelegationMode::Code {
        return registration.launch_url.as_deref().map(redirect).ok_or_else(Error::not_found);
    }
    let caller = caller(&app, &request)?;
    let done = to_the_end(&app, |app| async move {
        let redirect_uri = registration.redirect_uris.first().cloned().unwrap_or_default();
        let command = Delegate {
            identity: &person.identity,
            app: &registration,
            redirect_uri: &redirect_uri,
            scope: &registration.allowed_scopes(),
            audience: registration.allowed_audiences().first().copied().unwrap_or_default(),
            code_challenge: None,
            nonce: None,
        };
        let made = delegate(&app, &command, &caller).await;
        made.map(|token| token.map(|token| (redirect_uri, token)))
    });
    match done.await? {
        Some((redirect_uri, token)) => Ok(redirect(&with_query(
            &redirect_uri,
            &[("token", token.expose()), ("iss", app.config.public_url.as_str())],
        ))),
        None => Err(Error::SignIn(format!("/open/{client_id}"))),
    }
}
