//! Errors as problem details (RFC 9457).

use actix_web::{HttpResponse, ResponseError as _};
use service::http::problem;

use crate::http::error::Error;

pub(super) fn error(error: &Error) -> HttpResponse {
    let detail = match error {
        Error::Refused { message, .. } | Error::OAuth(_, message) => message.clone(),
        other => other.to_string(),
    };
    problem(error.status_code(), &detail)
}
