//! `/auth/*`: callback, user, access token for the page, sign-out.
//!
//! Signing out begins at `/auth/logout`, where the refresh token is not sent; a 307 leads on below `/auth/refresh`,
//! where it is, so that it can be revoked.

use std::time::Duration;

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use relying_party::session::IdHash;
use relying_party::signin::{AccessToken, SESSION_TTL};
use relying_party::web::auth::{
    self, AuthorizationResponse, dpop_refused, not_signed_in, tell_nonce, token_json,
    token_request, unavailable,
};
use relying_party::web::{Site, events};
use relying_party::{
    Browser, CallbackError, ProviderError, RelyingParty, StoreError, TokenError, TokenRequest,
    Tokens,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use service::http::{problem, with_cookies};
use service::run::detached;
use tokens::feed::SessionIdentity;
use tracing::{info, warn};

use crate::pairs::{self, Pairs, Presented};
use crate::sealed::{REFRESH, Refresh, SESSION, Seals, Session};

/// Below the refresh cookie's path.
const END: &str = "/auth/refresh/end";
const END_ALL: &str = "/auth/refresh/end-all";

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/auth/callback", web::get().to(callback))
        .route("/auth/me", web::get().to(me))
        .route("/auth/events", web::get().to(tell_end))
        .route("/auth/refresh", web::post().to(refresh))
        .route("/auth/logout", web::post().to(logout))
        .route("/auth/logout-all", web::post().to(logout_all))
        .route(END, web::post().to(end))
        .route(END_ALL, web::post().to(end_all));
}

/// The life of a session from these tokens on.
fn life_of(tokens: &Tokens) -> Duration {
    tokens.refresh_token_expires_in.map_or(SESSION_TTL, Duration::from_secs).min(SESSION_TTL)
}

/// The two cookies of a session that lives for so long.
fn cookies(
    site: &Site,
    seals: &Seals,
    session: &mut Session,
    refresh: Refresh,
    life: Duration,
) -> [Cookie<'static>; 2] {
    session.ends_at = (site.party.now() + life).millis();
    [
        site.cookies.set(&SESSION, &seals.seal_session(session), life),
        site.cookies.set(&REFRESH, &seals.seal_refresh(refresh), life),
    ]
}

fn without_cookies(site: &Site, response: HttpResponse) -> HttpResponse {
    with_cookies(response, [site.cookies.remove(&SESSION), site.cookies.remove(&REFRESH)])
}

fn session_expired(site: &Site) -> HttpResponse {
    let expired = HttpResponse::Unauthorized().json(json!({ "error": "session_expired" }));
    without_cookies(site, expired)
}

/// `GET /auth/callback`.
async fn callback(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    pairs: web::Data<Pairs>,
    request: HttpRequest,
) -> HttpResponse {
    let old = session_of(&site, &seals, &request);
    let finish = |site: web::Data<Site>, answer: AuthorizationResponse| async move {
        let party = &site.party;
        let confirmed = party.confirm(&answer.as_callback()).await?;
        if confirmed.tokens.refresh_token.is_none() {
            let why = "there is no refresh token: ask for offline_access".to_owned();
            return Err(CallbackError::Provider(ProviderError::InvalidResponse(why)));
        }
        let id = party.random().token();
        let now = party.now();
        party.add_handles(&IdHash::of(&id), &confirmed.claims, now + SESSION_TTL).await?;
        pairs.begin(&id, now, now + life_of(&confirmed.tokens)).await?;
        if let Some(old) = old
            && let Err(error) = end_session(party, &pairs, &old.id).await
        {
            warn!(%error, "the session before could not be removed");
        }
        Ok((id, confirmed))
    };
    auth::callback(&site, &request, finish, |(id, confirmed)| {
        let tokens = confirmed.tokens;
        let profile = site.party.user_of(confirmed.claims).profile();
        let identity = SessionIdentity::of_received(tokens.access_token.expose_secret());
        let mut session = Session { id, profile, pair: pairs::FIRST, ends_at: 0, identity };
        let refresh_token =
            tokens.refresh_token.as_ref().map(|token| token.expose_secret().to_owned());
        let refresh = Refresh {
            session: session.id.clone(),
            pair: session.pair,
            refresh_token: refresh_token.unwrap_or_default(),
            id_token: tokens.id_token.clone(),
        };
        let cookies = cookies(&site, &seals, &mut session, refresh, life_of(&tokens));
        (confirmed.return_to, cookies.to_vec())
    })
    .await
}

fn session_of(site: &Site, seals: &Seals, request: &HttpRequest) -> Option<Session> {
    seals.unseal_session(&site.cookies.read(&SESSION, request)?, site.party.now())
}

/// `GET /auth/me`: the user, and the CSRF token that `/auth/refresh` requires.
async fn me(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    pairs: web::Data<Pairs>,
    request: HttpRequest,
) -> HttpResponse {
    let Some(session) = session_of(&site, &seals, &request) else { return not_signed_in() };
    match is_live(&site, &pairs, &session).await {
        Ok(true) => {}
        Ok(false) => return session_expired(&site),
        Err(error) => return unavailable(&error),
    }
    let mut answer = session.profile.clone();
    answer["csrf_token"] = json!(seals.csrf_token(&session));
    HttpResponse::Ok().json(answer)
}

/// Ends a session for every holder of its cookies, and for its open tabs.
async fn end_session(party: &RelyingParty, pairs: &Pairs, id: &str) -> Result<(), StoreError> {
    pairs.end(id).await?;
    party.tell_end(id);
    Ok(())
}

/// Whether a session lives, here and as far as is known at the provider.
async fn is_live(site: &Site, pairs: &Pairs, session: &Session) -> Result<bool, StoreError> {
    if session.identity.as_ref().and_then(|identity| site.party.known_end(identity)).is_some() {
        end_session(&site.party, pairs, &session.id).await?;
        return Ok(false);
    }
    pairs.is_live(&session.id, site.party.now()).await
}

/// `GET /auth/events`.
async fn tell_end(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    pairs: web::Data<Pairs>,
    request: HttpRequest,
) -> HttpResponse {
    let Some(session) = session_of(&site, &seals, &request) else { return events::over(None) };
    let known = session.identity.as_ref().and_then(|identity| site.party.known_end(identity));
    match is_live(&site, &pairs, &session).await {
        Ok(true) => {
            let watch = site.party.watch_identity(&session.id, session.identity);
            events::respond(&site, watch, None)
        }
        Ok(false) => {
            let reason = known.or_else(|| site.party.reason_of_end(&session.id));
            without_cookies(&site, events::over(reason.as_ref()))
        }
        Err(error) => unavailable(&error),
    }
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

/// `POST /auth/refresh`: an application token, and the next pair of cookies.
async fn refresh(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    pairs: web::Data<Pairs>,
    request: HttpRequest,
) -> HttpResponse {
    let session = match require_same_origin(&site, &seals, &request) {
        Ok(Some(session)) => session,
        Ok(None) => return not_signed_in(),
        Err(forbidden) => return forbidden.into(),
    };
    let cookie = site.cookies.read(&REFRESH, &request);
    let opened = cookie.and_then(|cookie| seals.unseal_refresh(&cookie));
    let is_pair = |held: &Refresh| held.session == session.id && held.pair == session.pair;
    let Some(held) = opened.filter(is_pair) else { return session_expired(&site) };
    let presented = match pairs.look_at(&session.id, held.pair, site.party.now()).await {
        Ok(presented) => presented,
        Err(error) => return unavailable(&error),
    };
    let browser = match token_request(&site, &request) {
        // The pair of cookies holds no access token: there is none to choose.
        Ok((_, browser)) => browser,
        Err(refusal) => return dpop_refused(&refusal),
    };
    let (shared, pairs) = (site.clone(), pairs.as_ref().clone());
    let id = session.id.clone();
    let token: SecretString = held.refresh_token.clone().into();
    // What has begun is finished, or its token might be lost.
    let refreshed = detached(&site.runtime, async move {
        next_pair(&shared.party, &pairs, &id, presented, token, &browser).await
    });
    match refreshed.await {
        Ok((tokens, pair)) => {
            let next = tokens.refresh_token.as_ref().map(|next| next.expose_secret().to_owned());
            let refresh_token = next.unwrap_or_else(|| held.refresh_token.clone());
            let held = Refresh { pair, refresh_token, ..held };
            let identity = SessionIdentity::of_received(tokens.access_token.expose_secret());
            let mut session = Session { pair, identity, ..session };
            let token = AccessToken::from_tokens(&tokens, site.party.now());
            let mut response = HttpResponse::Ok();
            for cookie in cookies(&site, &seals, &mut session, held, life_of(&tokens)) {
                response.cookie(cookie);
            }
            tell_nonce(&mut response, &token);
            response.json(token_json(&token, site.party.now()))
        }
        Err(TokenError::NoSession | TokenError::Ended) => session_expired(&site),
        Err(TokenError::DpopProof(refusal)) => dpop_refused(&refusal),
        Err(TokenError::Unavailable(error)) => unavailable(&error),
    }
}

/// Refreshes at the provider, and replaces the pair of cookies. Returns the number of the next pair.
///
/// A pair that was replaced before is a copy, or the original of one: the session ends for both holders.
async fn next_pair(
    party: &RelyingParty,
    pairs: &Pairs,
    session: &str,
    presented: Presented,
    token: SecretString,
    browser: &Browser,
) -> Result<(Tokens, i64), TokenError> {
    match presented {
        Presented::Newest(_) | Presented::JustReplaced(_) => {}
        Presented::Ended => return Err(TokenError::NoSession),
        Presented::Copied => {
            warn!(
                ?browser,
                "a pair of cookies was presented after it had been replaced: there is a copy of a session's \
                 cookies. The session ends, and its tokens are revoked"
            );
            end_session(party, pairs, session).await?;
            party.revoke(token).await;
            return Err(TokenError::Ended);
        }
    }
    // Two tabs that ask at the same moment show the same token, and the provider's grace answers both alike.
    let refreshed =
        party.provider().refresh(&token, &TokenRequest::default(), browser, party.now()).await;
    let tokens = match refreshed {
        Ok(tokens) => tokens,
        Err(ProviderError::ErrorResponse(code)) if code == "invalid_grant" => {
            info!("the provider has ended the session");
            end_session(party, pairs, session).await?;
            return Err(TokenError::Ended);
        }
        Err(ProviderError::DpopProof(refusal)) => return Err(TokenError::DpopProof(refusal)),
        Err(error) => return Err(TokenError::Unavailable(error.to_string())),
    };
    let newest = match presented {
        Presented::JustReplaced(newest) => return Ok((tokens, newest.version)),
        Presented::Newest(newest) => newest,
        Presented::Copied | Presented::Ended => return Err(TokenError::NoSession),
    };
    let (now, number) = (party.now(), newest.version);
    match pairs.replace(session, newest, now, now + life_of(&tokens)).await {
        Ok(Some(next)) => Ok((tokens, next)),
        Ok(None) => {
            // Signed out meanwhile: the new refresh token must not live on.
            if let Some(token) = tokens.refresh_token {
                party.revoke(token).await;
            }
            Err(TokenError::NoSession)
        }
        Err(error) => {
            // The tokens must not be lost; the pair keeps its number.
            warn!(%error, "the newest pair of a session could not be noted");
            Ok((tokens, number))
        }
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

async fn end(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    pairs: web::Data<Pairs>,
    request: HttpRequest,
) -> HttpResponse {
    match sign_out(&site, &seals, &pairs, &request).await {
        Ok(done) => {
            let answer = json!({ "signed_out": true, "revoked": done.is_revoked });
            without_cookies(&site, HttpResponse::Ok().json(answer))
        }
        Err(response) => response,
    }
}

async fn end_all(
    site: web::Data<Site>,
    seals: web::Data<Seals>,
    pairs: web::Data<Pairs>,
    request: HttpRequest,
) -> HttpResponse {
    match sign_out(&site, &seals, &pairs, &request).await {
        Ok(done) => {
            let provider = site.party.provider();
            let logout_url = provider.logout_url(done.id_token.as_deref(), site.party.now()).await;
            let answer =
                json!({ "signed_out": true, "revoked": done.is_revoked, "logout_url": logout_url });
            without_cookies(&site, HttpResponse::Ok().json(answer))
        }
        Err(response) => response,
    }
}

/// The result of a sign-out.
struct SignedOut {
    /// Whether the provider knows.
    is_revoked: bool,
    id_token: Option<String>,
}

/// Ends the session for every holder of its cookies, and revokes the refresh token.
async fn sign_out(
    site: &web::Data<Site>,
    seals: &Seals,
    pairs: &Pairs,
    request: &HttpRequest,
) -> Result<SignedOut, HttpResponse> {
    let session = require_same_origin(site, seals, request)?;
    let Some(session) = session else { return Ok(SignedOut { is_revoked: true, id_token: None }) };
    end_session(&site.party, pairs, &session.id).await.map_err(|error| unavailable(&error))?;
    let cookie = site.cookies.read(&REFRESH, request);
    let opened = cookie.and_then(|cookie| seals.unseal_refresh(&cookie));
    let Some(held) = opened.filter(|held| held.session == session.id) else {
        warn!("a sign-out came without its refresh token, which cannot be revoked");
        return Ok(SignedOut { is_revoked: false, id_token: None });
    };
    let shared = site.clone();
    let token = held.refresh_token.into();
    let is_revoked = detached(&site.runtime, async move { shared.party.revoke(token).await }).await;
    info!("signed out");
    Ok(SignedOut { is_revoked, id_token: held.id_token })
}
