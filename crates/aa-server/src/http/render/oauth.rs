//! Errors as JSON (RFC 6749 §5.2).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use serde_json::json;

use super::english::in_english;
use crate::http::error::{Error, INVALID_GRANT, OAuthError};

/// The header with the nonce for the next proof (RFC 9449 §8).
const DPOP_NONCE: &str = "DPoP-Nonce";
/// The challenge of the endpoints that take a token of the authority's own.
const BEARER: &str = "Bearer realm=\"registration\"";

pub(super) fn error(request: &HttpRequest, error: &Error) -> HttpResponse {
    let mut response = HttpResponse::build(error.status_code());
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::PRAGMA, "no-cache"));
    let (code, description): (&str, String) = match error {
        Error::OAuth(code, description) => (code.into(), description.clone()),
        Error::InvalidGrant(_) => (OAuthError::InvalidGrant.into(), INVALID_GRANT.to_owned()),
        Error::InvalidClient(_) => {
            // RFC 9110 §15.5.2: a 401 always says how to authenticate.
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"token\""));
            ("invalid_client", "the client is not known or could not be authenticated".to_owned())
        }
        Error::UseDpopNonce(nonce) => {
            response.insert_header((DPOP_NONCE, nonce.as_str()));
            ("use_dpop_nonce", "the DPoP proof needs the nonce of the header DPoP-Nonce".to_owned())
        }
        // RFC 6750 §3.1: a request without a token is told no error code in the challenge.
        Error::NoToken => {
            response.insert_header((header::WWW_AUTHENTICATE, BEARER));
            ("invalid_token", "a bearer token is needed".to_owned())
        }
        Error::InvalidToken(_) => {
            let challenge = format!("{BEARER}, error=\"invalid_token\"");
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
            ("invalid_token", "the token is not valid".to_owned())
        }
        Error::Parameters(bad) => (OAuthError::InvalidRequest.into(), bad.to_string()),
        Error::Refused { status, message, detail, retry_after } => {
            if let Some(wait) = retry_after {
                response.insert_header((header::RETRY_AFTER, wait.as_secs().max(1)));
            }
            (code_of(*status).into(), in_english(request, message, detail))
        }
        Error::SignIn(_) | Error::SignInAgain(_) => {
            response.status(StatusCode::UNAUTHORIZED);
            (OAuthError::InvalidRequest.into(), "a user has to sign in first".to_owned())
        }
    };
    response.json(json!({ "error": code, "error_description": description }))
}

fn code_of(status: StatusCode) -> OAuthError {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => OAuthError::TemporarilyUnavailable,
        StatusCode::INTERNAL_SERVER_ERROR => OAuthError::ServerError,
        _ => OAuthError::InvalidRequest,
    }
}
