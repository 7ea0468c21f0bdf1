//! Protection of forms against cross-site request forgery.

use actix_web::cookie;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage as _, HttpRequest, web};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::params::Params;
use super::{Cookie, body_params};
use crate::authority::Authority;
use crate::domain::refresh_token::SecretHash;
use crate::http::error::Error;

/// A CSRF token: the HMAC of a random cookie, which only our own pages can respond.
#[derive(Debug)]
pub struct Csrf {
    /// The value of the hidden field `csrf`.
    pub field: String,
    cookie: String,
    is_new: bool,
}

/// The cookie for a browser that has none.
struct NewCookie(String);

impl Csrf {
    /// The one of this browser, or a new one.
    pub fn of(authority: &Authority, request: &HttpRequest) -> Self {
        let known = Cookie::Csrf.read(authority, request).filter(|value| value.len() == 43);
        let is_new = known.is_none();
        let cookie = known.unwrap_or_else(|| {
            // Asked twice about one request, the answer is the same.
            let mut extensions = request.extensions_mut();
            if !extensions.contains::<NewCookie>() {
                extensions.insert(NewCookie(authority.random.token()));
            }
            extensions.get::<NewCookie>().map(|new| new.0.clone()).unwrap_or_default()
        });
        let tag = hmac::sign(&authority.csrf_key, cookie.as_bytes());
        Self { field: URL_SAFE_NO_PAD.encode(tag), cookie, is_new }
    }

    /// The hash of its cookie, to which sign-in attempts of this browser are bound.
    pub fn binding(&self) -> SecretHash {
        SecretHash::of(self.cookie.as_bytes())
    }

    /// Its cookie as a response sets it, if the browser has none.
    pub fn set_cookie(&self, authority: &Authority) -> Option<cookie::Cookie<'static>> {
        self.is_new.then(|| Cookie::Csrf.set(authority, &self.cookie))
    }
}

/// The fields of a form of ours.
///
/// *Checks* the content type, the size, how long it takes, that a browser sent it from our own pages
/// (`Sec-Fetch-Site`, `Origin`), and the CSRF token.
///
/// # Errors
/// 415, 413, 408, 403 or 400, as a page.
pub async fn form(
    authority: &Authority,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Params, Error> {
    require_our_pages(authority, request)?;
    let params = body_params(request, payload).await?;
    check_form(authority, request, &params)?;
    Ok(params)
}

/// Checks that fields are those of a form of ours: see [`form`], which reads them too.
///
/// # Errors
/// 403 or 400, as a page.
pub fn check_form(
    authority: &Authority,
    request: &HttpRequest,
    params: &Params,
) -> Result<(), Error> {
    require_our_pages(authority, request)?;
    check_csrf(authority, request, params.get("csrf")?)
}

/// Checks the CSRF token of a form against the cookie of its browser.
///
/// # Errors
/// 403, as a page.
pub(super) fn check_csrf(
    authority: &Authority,
    request: &HttpRequest,
    sent: Option<&str>,
) -> Result<(), Error> {
    let cookie = Cookie::Csrf.read(authority, request).ok_or_else(expired_form)?;
    let sent = sent.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let sent = sent.ok_or_else(expired_form)?;
    hmac::verify(&authority.csrf_key, cookie.as_bytes(), &sent).map_err(|_| expired_form())
}

/// Refuses a form that a browser does not send from our own pages.
///
/// # Errors
/// 403, as a page.
pub(super) fn require_our_pages(authority: &Authority, request: &HttpRequest) -> Result<(), Error> {
    if is_from_our_pages(authority, request) { Ok(()) } else { Err(expired_form()) }
}

fn expired_form() -> Error {
    Error::refused(StatusCode::FORBIDDEN, "error-form-expired")
}

/// As [`form`], for a form that can be shown again, so that nothing typed is lost. Returns also whether it has expired: it
/// comes from our pages, but the browser was restarted since.
///
/// # Errors
/// As [`form`], but for an expired one.
pub async fn form_again(
    authority: &Authority,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Params, bool), Error> {
    require_our_pages(authority, request)?;
    let params = body_params(request, payload).await?;
    match check_form(authority, request, &params) {
        Ok(()) => Ok((params, false)),
        Err(Error::Refused { status: StatusCode::FORBIDDEN, .. }) => Ok((params, true)),
        Err(other) => Err(other),
    }
}

/// Whether a browser says that a form comes from our own pages.
///
/// Pages that send no referrer make browsers write `Origin: null`; then `Sec-Fetch-Site`, which no page can
/// forge, has to say that it is ours. A client that sends neither is no browser, and has no cookies to abuse.
fn is_from_our_pages(authority: &Authority, request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name).map(header::HeaderValue::as_bytes);
    let site = header(header::HeaderName::from_static("sec-fetch-site"));
    match (header(header::ORIGIN), site) {
        (Some(b"null"), site) => site == Some(b"same-origin"),
        (Some(origin), site) => {
            origin == authority.config.public_url.as_str().as_bytes()
                && site.is_none_or(|site| site == b"same-origin")
        }
        (None, site) => site.is_none_or(|site| site == b"same-origin" || site == b"none"),
    }
}
