//! Files that never change under their name.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::error::Error;
use crate::authority::Authority;

/// `GET /assets/{name}`.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let asset = authority.branding.asset(&name).ok_or_else(Error::not_found)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(asset.file.respond(&request, response))
}

/// The path of an app's icon.
pub fn icon_path(name: &str) -> String {
    format!("/icons/{name}.png")
}

/// `GET /icons/{name}`: the icon of an app.
pub async fn icon(
    authority: web::Data<Authority>,
    name: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let name = name.strip_suffix(".png").filter(|name| name.len() == 16 && name.is_ascii());
    let name = name.ok_or_else(Error::not_found)?;
    let png = authority.store.icon(name).await?.ok_or_else(Error::not_found)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .content_type("image/png")
        .body(png))
}

/// `GET /pictures/{name}`: the picture of a user, for those who know its address. No cache that people share keeps it.
pub async fn picture(
    authority: web::Data<Authority>,
    name: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let name = name.strip_suffix(".png").filter(|name| name.len() == 43 && name.is_ascii());
    let name = name.ok_or_else(Error::not_found)?;
    let png = authority.store.picture(name).await?.ok_or_else(Error::not_found)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "private, max-age=31536000, immutable"))
        // Apps show it, too: they are told its address (claim `picture`).
        .insert_header(("Cross-Origin-Resource-Policy", "cross-origin"))
        .content_type("image/png")
        .body(png))
}
