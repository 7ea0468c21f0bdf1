//! The front end: three embedded files, and messages for when there is none to show.

use std::sync::LazyLock;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

/// The policy of every page: its own files and its own API, nothing else, nothing inline.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     object-src 'none'";

struct File {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const FILES: [File; 4] = [
    File {
        path: "/",
        media_type: "text/html; charset=utf-8",
        content: include_str!("../front/index.html"),
    },
    File {
        path: "/app.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("../front/app.js"),
    },
    File {
        path: "/app.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("../front/app.css"),
    },
    File {
        path: "/icon.svg",
        media_type: "image/svg+xml",
        content: include_str!("../front/icon.svg"),
    },
];

/// A tag for the whole front end: it changes as one.
static ETAG: LazyLock<String> = LazyLock::new(|| {
    let all: String = FILES.iter().map(|file| file.content).collect();
    format!("\"{:x}\"", fnv(all.as_bytes()))
});

/// FNV-1a: tells versions of our own files apart; nothing rests on its strength.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A file, or 404 as a page.
pub(crate) async fn get(request: HttpRequest) -> HttpResponse {
    let Some(file) = FILES.iter().find(|file| file.path == request.path()) else {
        return message(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "The address may be mistyped.",
        );
    };
    let known = request.headers().get(header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|tag| tag.as_bytes() == ETAG.as_bytes()) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header((header::ETAG, ETAG.as_str()));
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    response.content_type(file.media_type).body(file.content)
}

/// A page that says one thing, and leads on.
pub(crate) fn message(status: StatusCode, title: &str, text: &str) -> HttpResponse {
    let page = include_str!("../front/message.html");
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/html; charset=utf-8")
        .body(page.replace("{title}", title).replace("{text}", text))
}
