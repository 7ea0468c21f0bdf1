//! Errors as problem details (RFC 9457).

use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use service::http::problem;

use super::english::in_english;
use crate::http::error::Error;

pub(super) fn error(request: &HttpRequest, error: &Error) -> HttpResponse {
    let detail = match error {
        Error::Refused { message, detail, .. } => in_english(request, message, detail),
        Error::OAuth(_, description) => description.clone(),
        Error::InvalidClient(_) => {
            "the client is not known or could not be authenticated".to_owned()
        }
        other => other.to_string(),
    };
    let mut response = problem(error.status_code(), &detail);
    let headers = response.headers_mut();
    match error {
        // RFC 9110 §15.5.2: a 401 always says how to authenticate.
        Error::InvalidClient(_) => {
            let challenge = HeaderValue::from_static("Basic realm=\"revocations\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        Error::Refused { retry_after: Some(wait), .. } => {
            headers.insert(RETRY_AFTER, wait.as_secs().max(1).into());
        }
        _ => {}
    }
    response
}
