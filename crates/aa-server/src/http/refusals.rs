//! What the operator is told when a client is refused: taken where the answer leaves, so that no endpoint has to see to it.

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _};
use tracing::Span;

use super::error::Error;
use super::request::caller;
use crate::authority::Authority;
use crate::services::refusals::{Refusal, Standing};

/// The client that a request names.
#[derive(Debug, Clone)]
struct Named {
    client_id: String,
    standing: Standing,
}

/// A refusal in a response that is not an [`Error`], such as a redirect to the client.
#[derive(Debug, Clone)]
struct Marked {
    error: &'static str,
    reason: String,
}

/// Names the client of a request: in its log line, and in that of its refusal.
pub fn name_client(request: &HttpRequest, client_id: &str, standing: Standing) {
    if standing == Standing::Authenticated {
        Span::current().record("client", client_id);
    }
    request.extensions_mut().insert(Named { client_id: client_id.to_owned(), standing });
}

/// Marks a response as a refusal.
pub fn mark(response: &mut HttpResponse, error: &'static str, reason: impl Into<String>) {
    response.extensions_mut().insert(Marked { error, reason: reason.into() });
}

/// Counts the refusal of an endpoint that clients call, if it is one: a fault is none, nor is a sign-in that is needed first.
pub fn record_error(authority: &Authority, request: &HttpRequest, error: &Error) {
    if !request.path().starts_with("/oauth/") || !error.status_code().is_client_error() {
        return;
    }
    let (code, reason) = error.for_operator();
    record(authority, request, code, reason);
}

/// Counts a response that is marked as a refusal.
pub fn record_marked<B>(authority: &Authority, request: &HttpRequest, response: &HttpResponse<B>) {
    let marked = response.extensions().get::<Marked>().cloned();
    if let Some(Marked { error, reason }) = marked {
        record(authority, request, error, reason);
    }
}

/// Counts a refusal.
pub fn record(authority: &Authority, request: &HttpRequest, error: &'static str, reason: String) {
    let named = request.extensions().get::<Named>().cloned();
    let Named { client_id, standing } =
        named.unwrap_or(Named { client_id: String::new(), standing: Standing::Unknown });
    let endpoint = request.match_pattern().unwrap_or_else(|| request.path().to_owned());
    let refusal = Refusal { client_id, endpoint, error, reason };
    let caller = caller(authority, request).unwrap_or_default();
    authority.refusals.note(refusal, standing, caller, authority.now());
}
