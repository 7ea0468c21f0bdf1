//! An extractor for actix-web: put a [`Guard`] into the app's data and take an [`AccessToken`].

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use serde_json::json;

use crate::{Claims, Denied, Guard};

/// The checked token of a request; a request without a good one never reaches the handler.
#[derive(Debug, Clone)]
pub struct AccessToken(Arc<Claims>);

impl AccessToken {
    /// Asks for a scope.
    ///
    /// # Errors
    /// [`Denied::InsufficientScope`]: 403 with the scope named.
    pub fn require(&self, scope: &'static str) -> Result<(), Denied> {
        if self.scope.contains(scope) { Ok(()) } else { Err(Denied::InsufficientScope(scope)) }
    }

    /// The claims themselves.
    pub fn into_claims(self) -> Claims {
        Arc::unwrap_or_clone(self.0)
    }
}

impl Deref for AccessToken {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.0
    }
}

/// A scope as a type, for [`Scoped`].
pub trait RequiredScope: 'static {
    /// Its name.
    const SCOPE: &'static str;
}

/// An [`AccessToken`] that has the scope `S`: the handler's signature says what it needs.
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
                // A forgotten guard must close the door, not open it.
                return Err(Problem { denied: Denied::NotReady, realm: String::new() }.into());
            };
            let headers = request.headers().get_all(header::AUTHORIZATION);
            let checked = guard.authenticate(headers.map(header::HeaderValue::as_bytes)).await;
            let realm = guard.realm().to_owned();
            checked.map(Self).map_err(|denied| Problem { denied, realm }.into())
        })
    }
}

impl<S: RequiredScope> FromRequest for Scoped<S> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let token = AccessToken::from_request(request, payload);
        let realm = request.app_data::<Guard>().map(|guard| guard.realm().to_owned());
        Box::pin(async move {
            let token = token.await?;
            token
                .require(S::SCOPE)
                .map_err(|denied| Problem { denied, realm: realm.unwrap_or_default() })?;
            Ok(Self(token, PhantomData))
        })
    }
}

/// A [`Denied`] with the realm to name.
#[derive(Debug, thiserror::Error)]
#[error("{denied}")]
struct Problem {
    denied: Denied,
    realm: String,
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status(&self.denied)
    }

    fn error_response(&self) -> HttpResponse {
        respond(&self.denied, &self.realm)
    }
}

impl ResponseError for Denied {
    fn status_code(&self) -> StatusCode {
        status(self)
    }

    fn error_response(&self) -> HttpResponse {
        respond(self, "api")
    }
}

fn status(denied: &Denied) -> StatusCode {
    StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::UNAUTHORIZED)
}

/// Problem details (RFC 9457) with the challenge of RFC 6750.
fn respond(denied: &Denied, realm: &str) -> HttpResponse {
    let status = status(denied);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match denied.challenge(realm) {
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
