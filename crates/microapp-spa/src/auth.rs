//! `/auth/*`: callback, user, access token for the page, sign-out.
//!
//! Signing out begins at `/auth/logout`, where the refresh token is not sent; a 307 leads on below `/auth/refresh`,
//! where it is, so that it can be revoked.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use relying_party::signin::{AccessToken, SESSION_TTL};
use relying_party::web::Site;
use relying_party::web::auth::{
    self, AuthorizationResponse, not_signed_in, token_json, unavailable,
};
use relying_party::{CallbackError, ProviderError, TokenRequest, Tokens};
use secrecy::ExposeSecret as _;
use serde_json::json;
use service::http::problem;
use service::run::detached;
use tracing::{info, warn};

use crate::sealed::{REFRESH, Refresh, SESSION, Seals, Session};

/// Below the refresh cookie's path.
const END: &str = "/auth/refresh/end";
const END_ALL: &str = "/auth/refresh/end-all";

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/auth/callback", web::get().to(callback))
        .route("/auth/me", web::get().to(me))
        .route("/auth/refresh", web::post().to(refresh))
        .route("/auth/logout", web::post().to(logout))
        .route("/auth/logout-all", web::post().to(logout_all))
        .route(END, web::post().to(end))
        .route(END_ALL, web::post().to(end_all));
}

/// The two cookies of a session, after `tokens` came.
fn cookies(
    site: &Site,
    seals: &Seals,
    session: &mut Session,
    refresh: Refresh,
    tokens: &Tokens,
) -> [(HeaderName, String); 2] {
    let life = tokens.refresh_token_expires_in.unwrap_or(SESSION_TTL.as_secs());
    let life = life.min(SESSION_TTL.as_secs());
    session.ends_at = (site.party.now() + std::time::Duration::from_secs(life)).millis();
    [
        site.cookies.set(&SESSION, &seals.seal_session(session), life),
        site.cookies.set(&REFRESH, &seals.seal_refresh(refresh), life),
    ]
}

fn without_cookies(site: &Site, mut response: HttpResponse) -> HttpResponse {
    for (name, value) in [site.cookies.remove(&SESSION), site.cookies.remove(&REFRESH)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn session_expired(site: &Site) -> HttpResponse {
    let expired = HttpResponse::Unauthorized().json(json!({ "error": "session_expired" }));
    without_cookies(site, expired)
}

/// `GET /auth/callback`.
async fn callback(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    request: HttpRequest,
) -> HttpResponse {
    let finish = |site: web::Data<Site>, answer: AuthorizationResponse| async move {
        let confirmed = site.party.confirm(&answer.as_callback()).await?;
        if confirmed.tokens.refresh_token.is_none() {
            let why = "there is no refresh token: ask for offline_access".to_owned();
            return Err(CallbackError::Provider(ProviderError::InvalidResponse(why)));
        }
        Ok(confirmed)
    };
    auth::callback(&site, &request, finish, |confirmed| {
        let tokens = confirmed.tokens;
        let mut session = Session {
            id: site.party.random().token(),
            profile: site.party.user_of(confirmed.claims).profile(),
            ends_at: 0,
        };
        let refresh_token =
            tokens.refresh_token.as_ref().map(|token| token.expose_secret().to_owned());
        let refresh = Refresh {
            session: session.id.clone(),
            refresh_token: refresh_token.unwrap_or_default(),
            id_token: tokens.id_token.clone(),
        };
        let cookies = cookies(&site, &seals, &mut session, refresh, &tokens);
        (confirmed.return_to, cookies.to_vec())
    })
    .await
}

fn session_of(site: &Site, seals: &Seals, request: &HttpRequest) -> Option<Session> {
    seals.unseal_session(&site.cookies.read(&SESSION, request)?, site.party.now())
}

/// `GET /auth/me`: the user, and the CSRF token that `/auth/refresh` requires.
async fn me(site: web::Data<Site>, seals: web::Data<Seals>, request: HttpRequest) -> HttpResponse {
    let Some(session) = session_of(&site, &seals, &request) else { return not_signed_in() };
    let mut answer = session.profile.clone();
    answer["csrf_token"] = json!(seals.csrf_token(&session));
    HttpResponse::Ok().json(answer)
}

/// The request has no valid CSRF token.
struct Forbidden;

impl From<Forbidden> for HttpResponse {
    fn from(_: Forbidden) -> Self {
        problem(StatusCode::FORBIDDEN, "the header `X-CSRF-Token` is not that of /auth/me")
    }
}

/// The session of a request that has to come from our own script; `None` if there is no session.
fn require_same_origin(
    site: &Site,
    seals: &Seals,
    request: &HttpRequest,
) -> Result<Option<Session>, Forbidden> {
    let Some(session) = session_of(site, seals, request) else { return Ok(None) };
    let token = request.headers().get("x-csrf-token").map(HeaderValue::as_bytes);
    if token.is_some_and(|token| seals.is_csrf_token(&session, token)) {
        Ok(Some(session))
    } else {
        Err(Forbidden)
    }
}

/// `POST /auth/refresh`: an application token, and the next refresh token in its cookie.
async fn refresh(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    request: HttpRequest,
) -> HttpResponse {
    let mut session = match require_same_origin(&site, &seals, &request) {
        Ok(Some(session)) => session,
        Ok(None) => return not_signed_in(),
        Err(forbidden) => return forbidden.into(),
    };
    let cookie = site.cookies.read(&REFRESH, &request);
    let opened = cookie.and_then(|cookie| seals.unseal_refresh(&cookie));
    let Some(mut held) = opened.filter(|held| held.session == session.id) else {
        return session_expired(&site);
    };
    let (shared, browser) = (site.clone(), site.browser(&request));
    let token = held.refresh_token.clone().into();
    // Two tabs that ask at the same moment show the same token, and the provider's grace answers both alike.
    let refreshed = detached(&site.runtime, async move {
        let party = &shared.party;
        party.provider().refresh(&token, &TokenRequest::default(), &browser, party.now()).await
    });
    match refreshed.await {
        Ok(tokens) => {
            if let Some(next) = &tokens.refresh_token {
                next.expose_secret().clone_into(&mut held.refresh_token);
            }
            let token = AccessToken::from_tokens(&tokens, site.party.now());
            let mut response = HttpResponse::Ok();
            for cookie in cookies(&site, &seals, &mut session, held, &tokens) {
                response.append_header(cookie);
            }
            response.json(token_json(&token, site.party.now()))
        }
        Err(ProviderError::ErrorResponse(code)) if code == "invalid_grant" => {
            info!("the provider has ended the session");
            session_expired(&site)
        }
        Err(error) => unavailable(&error),
    }
}

/// `POST /auth/logout`: ends this app's session.
async fn logout(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    request: HttpRequest,
) -> HttpResponse {
    on_to(&site, &seals, &request, END)
}

/// `POST /auth/logout-all`: ends this app's session, and says where the sign-in itself can be ended.
async fn logout_all(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    request: HttpRequest,
) -> HttpResponse {
    on_to(&site, &seals, &request, END_ALL)
}

fn on_to(site: &Site, seals: &Seals, request: &HttpRequest, path: &str) -> HttpResponse {
    match require_same_origin(site, seals, request) {
        Ok(_) => HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, path))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish(),
        Err(forbidden) => forbidden.into(),
    }
}

async fn end(site: web::Data<Site>, seals: web::Data<Seals>, request: HttpRequest) -> HttpResponse {
    match sign_out(&site, &seals, &request).await {
        Ok(_) => without_cookies(&site, HttpResponse::Ok().json(json!({ "signed_out": true }))),
        Err(forbidden) => forbidden.into(),
    }
}

async fn end_all(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    request: HttpRequest,
) -> HttpResponse {
    match sign_out(&site, &seals, &request).await {
        Ok(id_token) => {
            let provider = site.party.provider();
            let logout_url = provider.logout_url(id_token.as_deref(), site.party.now()).await;
            let answer = json!({ "signed_out": true, "logout_url": logout_url });
            without_cookies(&site, HttpResponse::Ok().json(answer))
        }
        Err(forbidden) => forbidden.into(),
    }
}

/// Revokes the refresh token, and returns the ID token.
async fn sign_out(
    site: &web::Data<Site>,
    seals: &Seals,
    request: &HttpRequest,
) -> Result<Option<String>, Forbidden> {
    require_same_origin(site, seals, request)?;
    let cookie = site.cookies.read(&REFRESH, request);
    let Some(held) = cookie.and_then(|cookie| seals.unseal_refresh(&cookie)) else {
        warn!("a sign-out came without its refresh token, which cannot be revoked");
        return Ok(None);
    };
    let shared = site.clone();
    let token = held.refresh_token.into();
    detached(&site.runtime, async move { shared.party.revoke(Some(token)).await }).await;
    info!("signed out");
    Ok(held.id_token)
}
