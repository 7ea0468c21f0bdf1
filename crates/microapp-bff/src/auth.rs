//! `/auth/*`: callback, user, sign-out, and forward authentication for a proxy.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use relying_party::web::auth::{
    self, no_token, not_signed_in, parameter, redirect, session_expired, sign_out, store_session,
    unavailable,
};
use relying_party::web::{Site, events};
use relying_party::{TokenError, TokenRequest, local_path};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service::http::problem;
use service::run::detached;
use subtle::ConstantTimeEq as _;
use url::form_urlencoded::byte_serialize;

use crate::{Bff, SESSION};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/auth/callback", web::get().to(callback))
        .route("/auth/me", web::get().to(me))
        .route("/auth/events", web::get().to(tell_end))
        .route("/auth/logout", web::post().to(logout))
        .route("/auth/verify", web::route().to(verify));
}

/// `GET /auth/callback`.
async fn callback(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    store_session(&site, &request, SESSION).await
}

/// `GET /auth/me`.
async fn me(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    auth::me(&site, &request, &SESSION).await
}

/// `GET /auth/events`.
async fn tell_end(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    events::of_store_session(&site, &request, &SESSION).await
}

/// `POST /auth/logout`.
async fn logout(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    sign_out(&site, &request, SESSION).await
}

/// `/auth/verify`: whether a proxy may let a request through (nginx `auth_request`, Caddy `forward_auth`, Traefik
/// `ForwardAuth`). Names the user; the token goes only to a client that knows the secret, because a page's own
/// script can ask too.
async fn verify(site: web::Data<Site>, bff: web::Data<Bff>, request: HttpRequest) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let method = header("x-forwarded-method").or_else(|| header("x-original-method"));
    let is_reading = matches!(method.unwrap_or("GET"), "GET" | "HEAD" | "OPTIONS");
    let is_visit = is_reading && header("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    let from_elsewhere =
        header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    if from_elsewhere && !is_visit {
        return problem(StatusCode::FORBIDDEN, "this comes from another site");
    }
    let uri = header("x-forwarded-uri").or_else(|| header("x-original-uri"));
    let login = || {
        let back: String = byte_serialize(local_path(uri).as_bytes()).collect();
        site.public_url.join(&format!("/auth/login?return_to={back}"))
    };
    let with_login = |mut response: HttpResponse| {
        if response.status() != StatusCode::UNAUTHORIZED {
            return response;
        }
        if is_visit && parameter(&request, "login").as_deref() == Some("redirect") {
            return redirect(&login()).finish();
        }
        if let Ok(url) = HeaderValue::from_str(&login()) {
            response.headers_mut().insert(HeaderName::from_static("x-auth-login"), url);
        }
        response
    };
    let Some(id) = site.cookies.read(&SESSION, &request) else {
        return with_login(not_signed_in());
    };
    let user = match site.party.user(&id).await {
        Ok(Some(user)) => user,
        Ok(None) => return with_login(session_expired(&site, &SESSION)),
        Err(error) => return unavailable(&error),
    };
    let trusted = bff.verify_secret.as_ref().is_some_and(|secret| {
        let given = request.headers().get("x-verify-secret").map(HeaderValue::as_bytes);
        given.is_some_and(|given| given.ct_eq(secret.expose_secret().as_bytes()).into())
    });
    let (shared, browser) = (site.clone(), site.browser(&request));
    let token = detached(&site.runtime, async move {
        shared.party.access_token(&id, &TokenRequest::default(), &browser).await
    });
    let token = match token.await {
        Ok(token) => Some(token),
        // The user is known, although the provider is unavailable.
        Err(TokenError::Unavailable(_)) if !trusted => None,
        Err(error) => return with_login(no_token(&site, &SESSION, &error)),
    };
    let mut response = HttpResponse::Ok();
    for (name, claim) in [("x-auth-subject", "sub"), ("x-auth-email", "email")] {
        if let Some(value) = user.claims.get(claim).and_then(Value::as_str)
            && let Ok(value) = HeaderValue::from_str(value)
        {
            response.insert_header((name, value));
        }
    }
    if let Some(token) = token.filter(|_| trusted) {
        let bearer = format!("Bearer {}", token.token.expose_secret());
        response.insert_header((header::AUTHORIZATION, bearer));
    }
    response.finish()
}
