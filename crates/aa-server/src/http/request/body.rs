//! Form-encoded parameters of the query and the body.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use bytes::Bytes;

use super::params::Params;
use crate::http::error::Error;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
/// The largest form, in bytes.
pub(super) const MAX_FORM: usize = 64 * 1024;
/// The time within which a form must arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The parameters of a form-encoded body.
///
/// # Errors
/// 415, 413, 408 or 400, as a page.
pub async fn body_params(request: &HttpRequest, payload: web::Payload) -> Result<Params, Error> {
    if !is_of_type(request, FORM) {
        return Err(not_of_type(FORM));
    }
    Ok(Params::parse(&read_body(payload, MAX_FORM, FORM_TIMEOUT).await?)?)
}

/// As [`body_params`], where the body may be empty, whatever type it is said to have.
///
/// # Errors
/// See [`body_params`].
pub async fn body_params_if_any(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Params, Error> {
    let body = read_body(payload, MAX_FORM, FORM_TIMEOUT).await?;
    if body.is_empty() {
        return Ok(Params::default());
    }
    if !is_of_type(request, FORM) {
        return Err(not_of_type(FORM));
    }
    Ok(Params::parse(&body)?)
}

/// A body as it is, whatever type it is said to have: see [`require_json`].
///
/// # Errors
/// 413, 408 or 400, as a page.
pub async fn plain_body(payload: web::Payload) -> Result<Bytes, Error> {
    read_body(payload, MAX_FORM, FORM_TIMEOUT).await
}

/// Checks that the body is said to be JSON.
///
/// # Errors
/// 415.
pub fn require_json(request: &HttpRequest) -> Result<(), Error> {
    if is_of_type(request, JSON) { Ok(()) } else { Err(not_of_type(JSON)) }
}

fn is_of_type(request: &HttpRequest, expected: &str) -> bool {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(expected))
}

fn not_of_type(expected: &str) -> Error {
    Error::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "error-bad-request")
        .because(format!("the body must be {expected}"))
}

/// A body of at most `max` bytes that arrives in time.
///
/// # Errors
/// 413, 408 or 400, as a page.
pub(super) async fn read_body(
    payload: web::Payload,
    max: usize,
    timeout: Duration,
) -> Result<Bytes, Error> {
    match tokio::time::timeout(timeout, payload.to_bytes_limited(max)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Error::bad_request("the request broke off")),
        Ok(Err(_)) => Err(Error::refused(StatusCode::PAYLOAD_TOO_LARGE, "error-too-large")),
        Err(_) => Err(Error::refused(StatusCode::REQUEST_TIMEOUT, "error-too-slow")),
    }
}

/// The parameters of the query.
///
/// # Errors
/// 400, as a page.
pub fn query_params(request: &HttpRequest) -> Result<Params, Error> {
    Ok(Params::parse(request.query_string().as_bytes())?)
}
