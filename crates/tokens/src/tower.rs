//! A layer for tower: requests with a good token pass, their `Arc<`[`Claims`](crate::Claims)`>` in the extensions.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, StatusCode, header};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Denied, Guard};

/// Checks every request with a [`Guard`], and one scope if it is asked to.
#[derive(Clone)]
pub struct AccessTokenLayer {
    guard: Guard,
    scope: Option<&'static str>,
}

impl AccessTokenLayer {
    /// A layer that lets requests with a good token pass.
    pub fn new(guard: Guard) -> Self {
        Self { guard, scope: None }
    }

    /// Asks for a scope too.
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

/// What [`AccessTokenLayer`] makes.
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
        // The clone that was polled ready is the one to be called (tower's own advice).
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let AccessTokenLayer { guard, scope } = self.layer.clone();
        Box::pin(async move {
            let headers: Vec<Vec<u8>> = request
                .headers()
                .get_all(header::AUTHORIZATION)
                .iter()
                .map(|value| value.as_bytes().to_vec())
                .collect();
            let claims = match guard.authenticate(headers.iter().map(Vec::as_slice)).await {
                Ok(claims) => claims,
                Err(denied) => return Ok(refusal(&denied, guard.realm())),
            };
            if let Some(scope) = scope
                && !claims.scope.contains(scope)
            {
                return Ok(refusal(&Denied::InsufficientScope(scope), guard.realm()));
            }
            request.extensions_mut().insert(claims);
            inner.call(request).await
        })
    }
}

fn refusal<R: Default>(denied: &Denied, realm: &str) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() =
        StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match denied.challenge(realm).map(|challenge| HeaderValue::from_str(&challenge)) {
        Some(Ok(challenge)) => headers.insert(header::WWW_AUTHENTICATE, challenge),
        _ => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
    };
    response
}
