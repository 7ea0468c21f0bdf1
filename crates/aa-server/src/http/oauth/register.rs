//! `/oauth/register`: clients register themselves (RFC 7591), and read, replace and remove their registration (RFC 7592).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::userinfo::bearer;
use super::{Error, OAuthError, json as answer};
use crate::authority::Authority;
use crate::config::ClientRegistration;
use crate::domain::client_registration::{BadMetadata, Registration};
use crate::http::refusals::name_client;
use crate::http::request::{address, caller, detached, plain_body, require_json};
use crate::ops::client_registration::{
    Bearer, Registered, RegistrationError, read, register, remove, replace,
};
use crate::services::refusals::Recognition;

/// Registers a client (RFC 7591 §3).
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let body = plain_body(payload).await?;
    let bearer = token_of(&authority, &request)?;
    require_json(&request)?;
    let work =
        |authority: web::Data<Authority>| async move { register(&authority, &bearer, &body).await };
    let done =
        detached(&authority, work).await.map_err(|refused| refusal(&request, "", refused))?;
    Ok(information(&authority, StatusCode::CREATED, &done))
}

/// Tells a client what it is registered with (RFC 7592 §2.1).
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
    client_id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let bearer = token_of(&authority, &request)?;
    let done = read(&authority, &client_id, &bearer).await;
    let done = done.map_err(|refused| refusal(&request, &client_id, refused))?;
    Ok(information(&authority, StatusCode::OK, &done))
}

/// Replaces what a client is registered with (RFC 7592 §2.2).
pub async fn put(
    authority: web::Data<Authority>,
    request: HttpRequest,
    client_id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let body = plain_body(payload).await?;
    let bearer = token_of(&authority, &request)?;
    require_json(&request)?;
    let id = client_id.clone();
    let work = |authority: web::Data<Authority>| async move {
        replace(&authority, &id, &bearer, &body).await
    };
    let done = detached(&authority, work).await;
    let done = done.map_err(|refused| refusal(&request, &client_id, refused))?;
    Ok(information(&authority, StatusCode::OK, &done))
}

/// Removes a client (RFC 7592 §2.3).
pub async fn delete(
    authority: web::Data<Authority>,
    request: HttpRequest,
    client_id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let bearer = token_of(&authority, &request)?;
    let id = client_id.clone();
    let work =
        |authority: web::Data<Authority>| async move { remove(&authority, &id, &bearer).await };
    let done = detached(&authority, work).await;
    done.map_err(|refused| refusal(&request, &client_id, refused))?;
    Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

/// The token of a request, where clients may register themselves; 404 where they may not.
fn token_of(authority: &Authority, request: &HttpRequest) -> Result<Bearer, Error> {
    if authority.config.client_registration == ClientRegistration::Off {
        return Err(Error::not_found());
    }
    let token = bearer(request).map_err(|why| Error::oauth(OAuthError::InvalidRequest, why))?;
    Ok(Bearer {
        token: token.ok_or(Error::NoToken)?.into(),
        address: address(authority, request)?,
        caller: caller(authority, request)?,
    })
}

/// The client information response (RFC 7591 §3.2.1, RFC 7592 §3).
fn information(authority: &Authority, status: StatusCode, client: &Registered) -> HttpResponse {
    let id = &client.metadata.client_id;
    let uri = authority.config.public_url.join(&format!("/oauth/register/{id}"));
    let mut members = Registration::of(&client.metadata).to_members();
    let mut add = |name: &str, value| members.insert(name.to_owned(), value);
    add("client_id", json!(id));
    add("client_id_issued_at", json!(client.issued_at.secs()));
    add("registration_access_token", json!(client.access_token.expose_secret()));
    add("registration_client_uri", json!(uri));
    if let Some(secret) = &client.client_secret {
        add("client_secret", json!(secret.expose_secret()));
        add("client_secret_expires_at", json!(0));
    }
    let mut response = answer(&members);
    *response.status_mut() = status;
    response
}

/// Names the client in the record of the refusal, if there is one.
fn refusal(request: &HttpRequest, client_id: &str, refused: RegistrationError) -> Error {
    let recognition = match &refused {
        RegistrationError::InvalidToken { known: true, .. } => Recognition::Registered,
        RegistrationError::Metadata(_) | RegistrationError::Managed if !client_id.is_empty() => {
            Recognition::Authenticated
        }
        _ => Recognition::Unknown,
    };
    if recognition != Recognition::Unknown {
        name_client(request, client_id, recognition);
    }
    match refused {
        RegistrationError::InvalidToken { reason, .. } => Error::InvalidToken(reason),
        RegistrationError::TooManyClients | RegistrationError::Managed => {
            Error::refused(StatusCode::FORBIDDEN, "error-bad-request").because(refused.to_string())
        }
        RegistrationError::Metadata(BadMetadata::RedirectUri(why)) => {
            Error::oauth(OAuthError::InvalidRedirectUri, printable(&why))
        }
        RegistrationError::Metadata(BadMetadata::Metadata(why)) => {
            Error::oauth(OAuthError::InvalidClientMetadata, printable(&why))
        }
        RegistrationError::Changed => Error::unavailable(),
        RegistrationError::Throttle(cause) => cause.into(),
        RegistrationError::Store(cause) => cause.into(),
    }
}

/// What a description may have (RFC 6749 §5.2); of what the client sent, no more than is needed to find it.
fn printable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !"\"\\".contains(*c)).take(400).collect()
}
