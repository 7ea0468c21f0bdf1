//! Form-encoded parameters of the query and the body.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use bytes::Bytes;

use super::params::Params;
use crate::http::error::Error;

/// The largest form, in bytes.
const MAX_FORM: usize = 64 * 1024;
/// The time within which a form must arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The parameters of a form-encoded body.
///
/// # Errors
/// 415, 413, 408 or 400, as a page.
pub async fn body_params(request: &HttpRequest, payload: web::Payload) -> Result<Params, Error> {
    if !is_form(request) {
        return Err(not_a_form());
    }
    Ok(Params::parse(&read(payload).await?)?)
}

/// As [`body_params`], where the body may be empty, whatever type it is said to have.
///
/// # Errors
/// See [`body_params`].
pub async fn body_params_if_any(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Params, Error> {
    let body = read(payload).await?;
    if body.is_empty() {
        return Ok(Params::default());
    }
    if !is_form(request) {
        return Err(not_a_form());
    }
    Ok(Params::parse(&body)?)
}

fn is_form(request: &HttpRequest) -> bool {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn not_a_form() -> Error {
    Error::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "error-bad-request")
        .because("the body must be application/x-www-form-urlencoded")
}

async fn read(payload: web::Payload) -> Result<Bytes, Error> {
    let arrived = tokio::time::timeout(FORM_TIMEOUT, payload.to_bytes_limited(MAX_FORM)).await;
    match arrived {
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
