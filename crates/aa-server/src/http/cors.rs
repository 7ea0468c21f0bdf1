//! CORS (Fetch Standard): which pages of other origins may read which answers.
//!
//! Documents for everyone are for every page. The endpoints for clients are for pages of the origins that public clients have
//! among their redirect URIs. Everything else is for no page but the authority's own.
//!
//! `Access-Control-Allow-Credentials` is given with a client's origin, because keycloak-js 26 fetches the token endpoint with
//! `credentials: "include"`. It adds nothing that a page could use: these endpoints read no cookie and set none, and those of
//! the authority are `SameSite=Lax`.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};

use super::error::{Error, OAuthError};
use super::{refusals, render};
use crate::authority::Authority;
use crate::domain::browser_origin::BrowserOrigins;
use crate::domain::client::ClientMetadata;

/// A path, and its methods.
type Path = (&'static str, &'static str);

/// The endpoints that browser apps call, with no more than what a client has.
const FOR_PUBLIC_CLIENTS: &[Path] = &[
    ("/oauth/token", "POST"),
    ("/oauth/revoke", "POST"),
    ("/oauth/device", "POST"),
    ("/oauth/par", "POST"),
    ("/oauth/userinfo", "GET, POST"),
];
/// Documents that everyone may read.
const FOR_EVERYONE: &[Path] = &[
    ("/.well-known/openid-configuration", "GET"),
    ("/.well-known/oauth-authorization-server", "GET"),
    ("/.well-known/jwks.json", "GET"),
];

const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, dpop, if-none-match");
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("Date, WWW-Authenticate, DPoP-Nonce, Retry-After");
/// The time for which a browser keeps the answer to a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const EVERY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// A page of this origin will be able to read the answer.
#[derive(Debug, Clone, Copy)]
struct Readable;

/// The pages of other origins that may read an answer.
pub(super) enum Readers {
    /// Those that its handler names, if any.
    OfHandler,
    /// Pages of public clients: the origin of the page that asks, if it is one of theirs.
    OfClients(Option<HeaderValue>),
}

/// Who may read the answer to a request.
///
/// # Errors
/// With the response to a preflight, and to a request whose origin cannot be judged: before anything is used up, because the
/// page could not read what it gets.
pub(super) async fn readers(request: &HttpRequest) -> Result<Readers, HttpResponse> {
    let find = |paths: &[Path]| paths.iter().find(|(path, _)| *path == request.path()).copied();
    if let Some((_, methods)) = find(FOR_PUBLIC_CLIENTS) {
        let allowed = allowed_origin(request).await.map_err(|error| {
            let mut rendered = render::error(request, render::Kind::OAuth, &error, None);
            vary(rendered.headers_mut());
            rendered
        })?;
        if is_preflight(request) {
            let refused = || refuse_preflight(request);
            return Err(allowed.map_or_else(refused, |origin| preflight(methods, origin)));
        }
        if allowed.is_some() {
            request.extensions_mut().insert(Readable);
        }
        return Ok(Readers::OfClients(allowed));
    }
    match find(FOR_EVERYONE) {
        Some((_, methods)) if is_preflight(request) => Err(preflight(methods, EVERY_ORIGIN)),
        _ => Ok(Readers::OfHandler),
    }
}

/// Tells browsers who may read this answer.
pub(super) fn tell(headers: &mut HeaderMap, readers: Readers) {
    let Readers::OfClients(origin) = readers else { return };
    if let Some(origin) = origin {
        allow(headers, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
    vary(headers);
}

/// The origin of the page that asks, if the answer is for it.
async fn allowed_origin(request: &HttpRequest) -> Result<Option<HeaderValue>, Error> {
    let Some(value) = request.headers().get(header::ORIGIN) else { return Ok(None) };
    let authority = request.app_data::<web::Data<Authority>>().ok_or_else(Error::unavailable)?;
    let Ok(origin) = value.to_str() else { return Ok(None) };
    let known = authority.browser_origins.contains(&authority.store, origin, authority.now()).await;
    let known = known.map_err(|_| Error::unavailable())?;
    Ok(known.then(|| value.clone()))
}

/// Refuses a page that could not read the answer to a public client, before anything is used up: it is of another origin than
/// the redirect URIs of this client.
///
/// # Errors
/// `invalid_request`.
pub fn require_own_origin(
    authority: &Authority,
    request: &HttpRequest,
    client: &ClientMetadata,
) -> Result<(), Error> {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    // A client with a secret is no page, whatever headers it sends.
    if !client.is_public() || origin == authority.config.public_url.as_str() {
        return Ok(());
    }
    let is_own = origin.to_str().is_ok_and(|origin| BrowserOrigins::of(client).contains(origin));
    if is_own && request.extensions().contains::<Readable>() {
        return Ok(());
    }
    let description = "the page is of another origin than the redirect URIs of this app";
    Err(Error::oauth(OAuthError::InvalidRequest, description))
}

fn is_preflight(request: &HttpRequest) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(methods: &'static str, origin: HeaderValue) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if origin == EVERY_ORIGIN {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    } else {
        allow(headers, origin);
        vary(headers);
    }
    response
}

fn refuse_preflight(request: &HttpRequest) -> HttpResponse {
    if let Some(authority) = request.app_data::<web::Data<Authority>>() {
        let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
        let origin = origin.unwrap_or_default();
        let reason = format!("no public app has a redirect URI of the origin {origin}");
        refusals::record(authority, request, OAuthError::InvalidRequest.into(), reason);
    }
    let mut response = HttpResponse::new(StatusCode::FORBIDDEN);
    vary(response.headers_mut());
    response
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
