//! The launcher: the apps that the user may open, and opening one.

use std::collections::HashMap;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, html_with, redirect};
use crate::authority::Authority;
use crate::domain::client::ClientMetadata;
use crate::http::assets::icon_path;
use crate::http::error::Error;
use crate::http::oauth::authorize::with_query;
use crate::http::request::{Csrf, is_speculative, query_params, signed_in};
use crate::ops::lists::{self, PageRequest};
use crate::store::Client;

/// Apps that are read for a page.
const SHOWN: u32 = 100;

#[derive(Template)]
#[template(path = "apps.html")]
struct Page {
    frame: Frame,
    apps: Vec<Tile>,
    more: Option<String>,
    is_admin: bool,
    offer_passkey: bool,
}

struct Tile {
    name: String,
    initial: String,
    icon: Option<String>,
    href: String,
    host: String,
}

/// `GET /apps`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, "/apps").await?;
    let (mut apps, more) = launchable(&authority, query_params(&request)?.get("cursor")?).await?;
    let user = &current_user.user;
    // Those used last come first, then the others by name.
    let used = authority.store.recently_used_apps(user.id).await?;
    let place = |href: &str| used.iter().position(|id| href.strip_prefix("/open/") == Some(id));
    apps.sort_by_key(|tile| (place(&tile.href).unwrap_or(usize::MAX), tile.name.to_lowercase()));
    let icons: HashMap<_, _> = authority.store.client_icons().await?.into_iter().collect();
    for app in &mut apps {
        let icon = app.href.strip_prefix("/open/").and_then(|id| icons.get(id));
        app.icon = icon.map(|name| icon_path(name));
    }
    let csrf = Csrf::of(&authority, &request);
    let page = Page {
        is_admin: user.roles().iter().any(|role| role == "admin"),
        offer_passkey: user.factor_offered_at.is_none() && authority.passkeys.is_available(),
        frame: Frame::new(&authority, &request, "apps-title", &csrf, Some(&current_user)),
        apps,
        more,
    };
    Ok(html_with(&authority, &request, &csrf, StatusCode::OK, &page))
}

/// A page of apps that the launcher can open, and the cursor of the next.
async fn launchable(
    authority: &Authority,
    cursor: Option<&str>,
) -> Result<(Vec<Tile>, Option<String>), Error> {
    let mut apps = Vec::new();
    let mut next = cursor.map(str::to_owned);
    loop {
        let page = PageRequest { cursor: next.as_deref(), limit: SHOWN };
        let found = lists::clients(authority, page).await?;
        let shown = |found: &Client| found.enabled && found.metadata.is_launchable();
        apps.extend(
            found.items.iter().filter(|found| shown(found)).map(|found| tile(&found.metadata)),
        );
        next = found.next;
        if next.is_none() || apps.len() >= SHOWN as usize / 2 {
            return Ok((apps, next));
        }
    }
}

fn tile(client: &ClientMetadata) -> Tile {
    let address = client.launch_url.as_ref().or(client.redirect_uris.first());
    let url = address.and_then(|address| url::Url::parse(address).ok());
    Tile {
        name: client.name.clone(),
        icon: None,
        initial: client.name.chars().next().unwrap_or('?').to_uppercase().to_string(),
        href: format!("/open/{}", client.client_id),
        host: url.map_or_else(String::new, |url| {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            format!("{}{port}", url.host_str().unwrap_or_default())
        }),
    }
}

/// `GET /open/{client_id}`.
pub async fn open(
    authority: web::Data<Authority>,
    request: HttpRequest,
    client_id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    if is_speculative(&request) {
        return Ok(HttpResponse::NoContent().finish());
    }
    // Only a user's navigation opens an app; an image or a script of another page does not.
    let mode = request.headers().get("sec-fetch-mode").map(header::HeaderValue::as_bytes);
    if mode.is_some_and(|mode| mode != b"navigate") {
        return Err(Error::refused(StatusCode::FORBIDDEN, "error-not-by-script"));
    }
    let client_id = client_id.into_inner();
    let id_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if client_id.len() > 64 || !client_id.chars().all(id_char) {
        return Err(Error::not_found());
    }
    signed_in(&authority, &request, &format!("/open/{client_id}")).await?;
    let found = authority.store.client(&client_id).await?.filter(|found| found.enabled);
    let metadata = found.map(|found| found.metadata).ok_or_else(Error::not_found)?;
    // Third-party initiated login (OpenID Connect Core §4): the app starts the code flow at once.
    let issuer = authority.config.public_url.as_str();
    let launch_url = metadata.launch_url.ok_or_else(Error::not_found)?;
    Ok(redirect(&with_query(&launch_url, &[("iss", issuer)])))
}
