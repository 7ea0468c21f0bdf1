//! Files that never change under their name: the name has a part of the content's hash.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::Error;

struct Asset {
    name: String,
    media_type: &'static str,
    content: &'static [u8],
}

static STYLESHEET: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("aa", "css", "text/css; charset=utf-8", include_bytes!("../../assets/aa.css"))
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../../assets/icon.svg"))
});

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, content: &'static [u8]) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(&digest(&SHA256, content).as_ref()[..9]);
        Self { name: format!("{stem}-{hash}.{extension}"), media_type, content }
    }
}

/// The path of the one stylesheet.
pub fn stylesheet() -> String {
    format!("/assets/{}", STYLESHEET.name)
}

/// The path of the icon.
pub fn icon() -> String {
    format!("/assets/{}", ICON.name)
}

/// `GET /assets/{name}`.
pub async fn get(name: web::Path<String>) -> Result<HttpResponse, Error> {
    let asset = [&STYLESHEET, &ICON].into_iter().find(|asset| asset.name == *name);
    let asset = asset.ok_or_else(Error::not_found)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .content_type(asset.media_type)
        .body(asset.content))
}
