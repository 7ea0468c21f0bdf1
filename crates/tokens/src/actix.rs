//! Extractors for actix-web: put a [`Guard`] into the app's data and take an [`AccessToken`].

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use serde_json::json;

use crate::{AccessToken, Denied, Guard, Headers, RequestParts};

impl Headers for HeaderMap {
    fn value(&self, name: &str, index: usize) -> Option<&[u8]> {
        self.get_all(name).nth(index).map(header::HeaderValue::as_bytes)
    }
}

/// Scheme and authority are taken from the request line if it has them, else from the connection and the
/// `Host` header; headers set by proxies are not read.
impl<'r> From<&'r HttpRequest> for RequestParts<'r> {
    fn from(request: &'r HttpRequest) -> Self {
        let uri = request.uri();
        let connection = if request.app_config().secure() { "https" } else { "http" };
        let scheme = uri.scheme_str().unwrap_or(connection);
        let authority = uri.authority().map(actix_web::http::uri::Authority::as_str);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let origin = (Some(scheme), authority);
        Self::from_uri(request.method().as_str(), origin, path, request.headers())
    }
}

/// A scope as a type, for [`Scoped`].
///
/// ```
/// use tokens::{RequiredScope, Scoped};
///
/// struct NotesRead;
///
/// impl RequiredScope for NotesRead {
///     const SCOPE: &'static str = "notes:read";
/// }
///
/// async fn list(token: Scoped<NotesRead>) -> String {
///     format!("the notes of {}", token.sub)
/// }
/// ```
pub trait RequiredScope: 'static {
    /// The name of the scope (RFC 6749 §3.3).
    const SCOPE: &'static str;
}

/// An [`AccessToken`] with the scope `S`; a request without it is answered 403 before the handler runs.
#[derive(Debug, Clone)]
pub struct Scoped<S>(AccessToken, PhantomData<S>);

impl<S> Deref for Scoped<S> {
    type Target = AccessToken;

    fn deref(&self) -> &AccessToken {
        &self.0
    }
}

impl FromRequest for AccessToken {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let Some(guard) = request.app_data::<Guard>() else {
                // Without a guard in the app's data no request may pass.
                return Err(Problem { denied: Denied::NotReady, challenge: None }.into());
            };
            let checked = guard.authenticate(&RequestParts::from(&request)).await;
            checked.map_err(|denied| Problem::of(denied, Some(guard)).into())
        })
    }
}

impl<S: RequiredScope> FromRequest for Scoped<S> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let token = AccessToken::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let token = token.await?;
            let guard = request.app_data::<Guard>();
            token.require(S::SCOPE).map_err(|denied| Problem::of(denied, guard))?;
            Ok(Self(token, PhantomData))
        })
    }
}

/// A [`Denied`] with its challenge.
#[derive(Debug, thiserror::Error)]
#[error("{denied}")]
struct Problem {
    denied: Denied,
    challenge: Option<String>,
}

impl Problem {
    fn of(denied: Denied, guard: Option<&Guard>) -> Self {
        let challenge = match guard {
            Some(guard) => guard.challenge(&denied),
            None => denied.challenge(""),
        };
        Self { denied, challenge }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status(&self.denied)
    }

    fn error_response(&self) -> HttpResponse {
        respond(&self.denied, self.challenge.clone())
    }
}

impl ResponseError for Denied {
    fn status_code(&self) -> StatusCode {
        status(self)
    }

    fn error_response(&self) -> HttpResponse {
        respond(self, self.challenge("api"))
    }
}

fn status(denied: &Denied) -> StatusCode {
    StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::UNAUTHORIZED)
}

/// The answer: problem details (RFC 9457), with the challenge of RFC 6750 §3 or `Retry-After`.
fn respond(denied: &Denied, challenge: Option<String>) -> HttpResponse {
    let status = status(denied);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match challenge {
        Some(challenge) => response.insert_header((header::WWW_AUTHENTICATE, challenge)),
        None => response.insert_header((header::RETRY_AFTER, "1")),
    };
    response.content_type("application/problem+json").body(
        json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": denied.to_string(),
        })
        .to_string(),
    )
}
