//! The front end: embedded files or a folder, and a page for when there is nothing to show.

use std::path::{Path, PathBuf};

use actix_files::{Files, NamedFile};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse, fn_service};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, web};
use askama::Template;
use service::embedded::Embedded;
use service::http::CspNonce;

/// A file that is compiled in.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path.
    pub path: &'static str,
    /// The content of the file.
    pub content: Embedded,
}

/// The source of the front end.
#[derive(Debug, Clone)]
pub enum Front {
    /// From the program itself.
    Embedded(&'static [File]),
    /// From a folder. What is below `assets/` is taken to have names that change with the content.
    Folder(PathBuf),
}

/// The policy of every page: its own files and its own API, nothing else, nothing inline.
pub(super) fn content_security_policy(connect_to: &[String]) -> String {
    let mut connect = String::from("'self'");
    for origin in connect_to {
        connect.push(' ');
        connect.push_str(origin);
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{{nonce}}'; img-src 'self' data:; \
         font-src 'self'; manifest-src 'self'; connect-src {connect}; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'; object-src 'none'"
    )
}

impl Front {
    /// The folder, if one is set, else the embedded files.
    pub fn new(folder: Option<PathBuf>, embedded: &'static [File]) -> Self {
        folder.map_or(Self::Embedded(embedded), Self::Folder)
    }

    /// Serves it for every path that nothing else answers.
    pub(super) fn register(&self, config: &mut web::ServiceConfig) {
        match self {
            Self::Embedded(files) => {
                let files = *files;
                let etag = etag(files);
                let get = move |request: HttpRequest| {
                    std::future::ready(embedded(files, &etag, &request))
                };
                config.service(web::scope("").default_service(web::to(get)));
            }
            Self::Folder(folder) => {
                let index = folder.join("index.html");
                let files = Files::new("/", folder)
                    .index_file("index.html")
                    .method_guard(
                        actix_web::guard::Any(actix_web::guard::Get()).or(actix_web::guard::Head()),
                    )
                    .default_handler(fn_service(move |request| {
                        std::future::ready(in_the_front_ends_hands(&index, request))
                    }));
                config.service(
                    web::scope("").wrap(Compress::default()).wrap(from_fn(cached)).service(files),
                );
            }
        }
    }
}

/// A tag for the whole front end: it changes as one. FNV-1a tells versions of our own files apart; nothing rests on
/// its strength.
fn etag(files: &[File]) -> String {
    let bytes = files.iter().flat_map(|file| file.content.content().iter().copied());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Weak: compressed or not, it is the same.
    format!("W/\"{hash:x}\"")
}

fn embedded(files: &[File], etag: &str, request: &HttpRequest) -> HttpResponse {
    let found = files.iter().find(|file| file.path == request.path());
    let Some(file) = found.filter(|_| is_reading(request.method())) else {
        return nothing_here(request);
    };
    let tags = request.headers().get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let unchanged = tags.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag));
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag));
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    if unchanged {
        return response.finish();
    }
    file.content.respond(request, response)
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Middleware that sets `Cache-Control` for files of the folder.
async fn cached(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let has_changing_name = request.path().starts_with("/assets/");
    let mut response = next.call(request).await?;
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        let value =
            if has_changing_name { "public, max-age=31536000, immutable" } else { "no-cache" };
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, header::HeaderValue::from_static(value));
    }
    Ok(response)
}

/// A page that the folder has no file for may be one of the front end's own router: it gets the index. A missing
/// file is missing.
fn in_the_front_ends_hands(
    index: &Path,
    request: ServiceRequest,
) -> Result<ServiceResponse, Error> {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_page = is_reading(request.method())
        && accepts.is_some_and(|accept| accept.contains("text/html"))
        && Path::new(request.path()).extension().is_none()
        && !["/api", "/auth"].iter().any(|taken| request.path().starts_with(taken));
    let (request, _) = request.into_parts();
    let response = if is_page {
        NamedFile::open(index)?.into_response(&request)
    } else {
        nothing_here(&request)
    };
    Ok(ServiceResponse::new(request, response))
}

fn nothing_here(request: &HttpRequest) -> HttpResponse {
    message(request, StatusCode::NOT_FOUND, "Page not found", "The address may be mistyped.")
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    nonce: String,
    title: &'a str,
    text: &'a str,
}

/// A page that says one thing, and leads on. It needs no file beside it.
pub fn message(request: &HttpRequest, status: StatusCode, title: &str, text: &str) -> HttpResponse {
    let page = Message { nonce: CspNonce::of(request), title, text };
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match page.render() {
        Ok(page) => response.content_type("text/html; charset=utf-8").body(page),
        Err(_) => response.finish(),
    }
}
