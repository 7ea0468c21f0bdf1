//! A layer for tower: requests with an accepted token pass, with the [`AccessToken`] in their extensions.
//!
//! With axum, a handler takes it as `Extension<tokens::AccessToken>`. Here with tower's traits alone:
//!
//! ```no_run
//! use std::convert::Infallible;
//! use std::future::{Ready, ready};
//! use std::task::{Context, Poll};
//!
//! use http::{Request, Response};
//! use tokens::{AccessToken, AccessTokenLayer, Guard};
//! use tower_layer::Layer;
//! use tower_service::Service;
//!
//! #[derive(Clone)]
//! struct Hello;
//!
//! impl Service<Request<String>> for Hello {
//!     type Response = Response<String>;
//!     type Error = Infallible;
//!     type Future = Ready<Result<Self::Response, Infallible>>;
//!
//!     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, request: Request<String>) -> Self::Future {
//!         let token = request.extensions().get::<AccessToken>().expect("the layer sets it");
//!         ready(Ok(Response::new(format!("Hello, {}!", token.sub))))
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = Guard::connect("https://aa.example", "hello")?;
//! let mut service = AccessTokenLayer::new(guard).require("hello:read").layer(Hello);
//! let response = service.call(Request::new(String::new())).await?;
//! assert_eq!(response.status(), 401); // the request has no token
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, uri};
use tower_layer::Layer;
use tower_service::Service;

use crate::{AccessToken, Denied, Guard, Headers, RequestParts};

impl Headers for HeaderMap {
    fn value(&self, name: &str, index: usize) -> Option<&[u8]> {
        self.get_all(name).iter().nth(index).map(HeaderValue::as_bytes)
    }
}

/// Scheme and authority are taken from the request's URI if it has them; else the scheme is not known, and
/// the authority is the `Host` header's.
impl<'r, B> From<&'r Request<B>> for RequestParts<'r> {
    fn from(request: &'r Request<B>) -> Self {
        let uri = request.uri();
        let origin = (uri.scheme_str(), uri.authority().map(uri::Authority::as_str));
        let path = uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        Self::from_uri(request.method().as_str(), origin, path, request.headers())
    }
}

/// A layer that authenticates every request with a [`Guard`] and optionally requires a scope.
#[derive(Clone)]
pub struct AccessTokenLayer {
    guard: Guard,
    scope: Option<&'static str>,
}

impl AccessTokenLayer {
    /// A layer that lets requests with an accepted token pass.
    pub fn new(guard: Guard) -> Self {
        Self { guard, scope: None }
    }

    /// Requires a scope too: 403 without it.
    #[must_use]
    pub fn require(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }
}

impl<S> Layer<S> for AccessTokenLayer {
    type Service = AccessTokenService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AccessTokenService { layer: self.clone(), inner }
    }
}

/// The service that [`AccessTokenLayer`] wraps around another.
#[derive(Clone)]
pub struct AccessTokenService<S> {
    layer: AccessTokenLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for AccessTokenService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone that was polled ready is the one to be called (see `tower::Service`).
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let AccessTokenLayer { guard, scope } = self.layer.clone();
        Box::pin(async move {
            let parts = RequestParts::from(&request);
            let checked = guard.authenticate(&parts).await.and_then(|token| match scope {
                Some(scope) => token.require(scope).map(|()| token),
                None => Ok(token),
            });
            match checked {
                Ok(token) => {
                    request.extensions_mut().insert::<AccessToken>(token);
                    inner.call(request).await
                }
                Err(denied) => Ok(refusal(&denied, guard.challenge(&denied))),
            }
        })
    }
}

/// An empty answer with the status and the challenge of RFC 6750 §3, or `Retry-After`.
fn refusal<R: Default>(denied: &Denied, challenge: Option<String>) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() =
        StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match challenge.map(|challenge| HeaderValue::from_str(&challenge)) {
        Some(Ok(challenge)) => headers.insert(header::WWW_AUTHENTICATE, challenge),
        _ => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
    };
    response
}
