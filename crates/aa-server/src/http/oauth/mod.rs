//! OAuth 2.0 and OpenID Connect: one file per endpoint.

mod allow;
pub mod authorize;
pub mod continue_to;
pub mod device;
mod dpop;
pub mod logout;
pub mod par;
pub mod register;
pub mod token;
pub mod tokens;
pub mod userinfo;

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Serialize;
use url::form_urlencoded;

use super::cors::require_own_origin;
use super::error::{Error, OAuthError};
use super::refusals::name_client;
use super::request::body_params;
use crate::authority::Authority;
use crate::domain::client_assertion::{ASSERTION_TYPE, ClientAssertion};
use crate::http::request::params::Params;
use crate::ops::authentication::client::{
    AuthenticateError, ClientSecret, Credentials, PrivateKeyJwt, Unaccepted, Unauthenticated,
    authenticate_client,
};
use crate::services::client_cache::AuthenticatedClient;
use crate::services::refusals::Recognition;

/// The one parameter that an app may send more than once (RFC 8707 §2).
const RESOURCE: &str = "resource";

/// A form-encoded body of an app, whose errors are JSON.
async fn oauth_params(request: &HttpRequest, payload: web::Payload) -> Result<Params, Error> {
    let params = body_params(request, payload).await?;
    if let Some(name) = params.repeated(RESOURCE) {
        return Err(Error::oauth(
            OAuthError::InvalidRequest,
            format!("the parameter `{}` is there more than once", printable(name)),
        ));
    }
    Ok(params)
}

/// The credentials of the calling client (RFC 6749 §2.3). It may use one way, not two.
fn credentials(request: &HttpRequest, params: &Params) -> Result<Credentials, Error> {
    let by_header = basic_credentials(request)?;
    let in_body = params.get("client_id")?;
    let secret = params.get("client_secret")?;
    if let Some(assertion) = params.get("client_assertion")? {
        if by_header.is_some() || secret.is_some() {
            return Err(two_ways());
        }
        return assertion_credentials(request, params, assertion).map(Credentials::PrivateKeyJwt);
    }
    match (by_header, in_body, secret) {
        (Some(_), _, Some(_)) => Err(two_ways()),
        (Some((client_id, _)), Some(other), None) if client_id != other => Err(two_clients()),
        (Some((client_id, secret)), _, None) => {
            Ok(Credentials::ClientSecretBasic(ClientSecret { client_id, secret }))
        }
        (None, Some(client_id), Some(secret)) => {
            let (client_id, secret) = (client_id.to_owned(), secret.into());
            Ok(Credentials::ClientSecretPost(ClientSecret { client_id, secret }))
        }
        (None, Some(client_id), None) => {
            Ok(Credentials::None(Unauthenticated { client_id: client_id.to_owned() }))
        }
        (None, None, _) => Err(Error::InvalidClient("no client is named")),
    }
}

fn two_ways() -> Error {
    Error::oauth(OAuthError::InvalidRequest, "authenticate in one way, not in two")
}

fn two_clients() -> Error {
    Error::oauth(OAuthError::InvalidRequest, "there are two different client_ids")
}

/// `private_key_jwt` (RFC 7523 §2.2). The `client_id` beside the assertion is optional (RFC 7521 §4.2).
fn assertion_credentials(
    request: &HttpRequest,
    params: &Params,
    assertion: &str,
) -> Result<PrivateKeyJwt, Error> {
    if params.get("client_assertion_type")? != Some(ASSERTION_TYPE) {
        return Err(Error::oauth(
            OAuthError::InvalidRequest,
            format!("client_assertion_type must be {ASSERTION_TYPE}"),
        ));
    }
    let assertion = ClientAssertion::parse(assertion).map_err(|why| {
        tracing::info!(%why, "a client was not authenticated");
        Error::InvalidClient("the assertion cannot be read")
    })?;
    if params.get("client_id")?.is_some_and(|named| named != assertion.client_id()) {
        return Err(two_clients());
    }
    Ok(PrivateKeyJwt::new(assertion, request.path().to_owned()))
}

/// The app that calls, authenticated.
async fn calling_client(
    authority: &Authority,
    request: &HttpRequest,
    params: &Params,
) -> Result<Arc<AuthenticatedClient>, Error> {
    let credentials = credentials(request, params)?;
    let found = authenticate_client(authority, &credentials).await;
    identified(authority, request, credentials.client_id(), found)
}

/// The client that was looked for, if it may be answered here. Names it in the log line of its request.
fn identified(
    authority: &Authority,
    request: &HttpRequest,
    client_id: &str,
    found: Result<Arc<AuthenticatedClient>, AuthenticateError>,
) -> Result<Arc<AuthenticatedClient>, Error> {
    let recognition = match &found {
        Ok(_) => Recognition::Authenticated,
        Err(AuthenticateError::Invalid(Unaccepted::Known(_))) => Recognition::Registered,
        Err(_) => Recognition::Unknown,
    };
    name_client(request, client_id, recognition);
    let client = found?;
    require_own_origin(authority, request, &client.metadata)?;
    Ok(client)
}

/// The client of a request without a body, authenticated by `client_secret_basic`.
pub(super) async fn client_of_basic(
    authority: &Authority,
    request: &HttpRequest,
) -> Result<Arc<AuthenticatedClient>, Error> {
    calling_client(authority, request, &Params::default()).await
}

/// `client_secret_basic`: id and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
fn basic_credentials(request: &HttpRequest) -> Result<Option<(String, SecretString)>, Error> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = headers.next() else { return Ok(None) };
    let invalid = || Error::InvalidClient("the Authorization header cannot be read as Basic");
    if headers.next().is_some() {
        return Err(Error::oauth(
            OAuthError::InvalidRequest,
            "there are two Authorization headers",
        ));
    }
    let (scheme, encoded) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(invalid());
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| invalid())?;
    let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
    let (id, secret) = decoded.split_once(':').ok_or_else(invalid)?;
    let id = form_decode(id).ok_or_else(invalid)?;
    let secret = form_decode(secret).ok_or_else(invalid)?;
    Ok(Some((id, secret.into())))
}

fn form_decode(text: &str) -> Option<String> {
    // As the value of a parameter without a name: `=` is all that form decoding would stop at.
    let escaped = format!("={}", text.replace('&', "%26"));
    let decoded = form_urlencoded::parse(escaped.as_bytes()).next()?.1.into_owned();
    (!decoded.contains(['\0', '\u{fffd}'])).then_some(decoded)
}

/// The characters that an `error_description` may have (RFC 6749 §5.2).
fn printable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !"\"\\".contains(*c)).take(64).collect()
}

/// A successful answer that must not be cached.
fn json(body: &impl Serialize) -> HttpResponse {
    uncached("application/json", serde_json::to_string(body).unwrap_or_default())
}

/// A successful answer of this media type that must not be cached.
fn uncached(media_type: &'static str, body: String) -> HttpResponse {
    HttpResponse::build(StatusCode::OK)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::PRAGMA, "no-cache"))
        .content_type(media_type)
        .body(body)
}
