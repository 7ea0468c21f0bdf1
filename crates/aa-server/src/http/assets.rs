//! Files that never change under their name: the name has a part of the content's hash.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service::embedded::Embedded;

use super::error::Error;

struct Asset {
    name: String,
    file: Embedded,
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
        Self {
            name: format!("{stem}-{hash}.{extension}"),
            file: Embedded::new(media_type, content),
        }
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
pub async fn get(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Error> {
    let asset = [&STYLESHEET, &ICON].into_iter().find(|asset| asset.name == *name);
    let asset = asset.ok_or_else(Error::not_found)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(asset.file.respond(&request, response))
}
