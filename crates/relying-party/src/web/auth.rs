//! `/auth/login`, the callback, and the responses about sessions that all backends share.

use actix_web::cookie::{self, SameSite};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use foundation::time::Timestamp;
use oidc_client::{ATTEMPT_TTL, Attempt, local_path};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::http::{problem, with_cookies};
use service::run::detached;
use tokens::dpop::Proof;
use tracing::{error, info, warn};
use url::form_urlencoded;

use super::cookies::Cookie;
use super::{Site, front};
use crate::signin::{AccessToken, Callback, LogoutError, SESSION_TTL};
use crate::{Browser, CallbackError, DpopRefusal, ProviderError, TokenError, TokenRequest};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/auth/login", web::get().to(login))
        .route(BACK_CHANNEL_LOGOUT, web::post().to(back_channel_logout));
}

/// The nonce for the next DPoP proof (RFC 9449 §8).
const DPOP_NONCE: &str = "dpop-nonce";

/// Where the provider says that sessions have ended. Its signed token is what counts, not who brings it.
pub const BACK_CHANNEL_LOGOUT: &str = "/auth/backchannel-logout";

#[derive(serde::Deserialize)]
struct LogoutRequest {
    logout_token: String,
}

/// `POST /auth/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0 §2.5).
async fn back_channel_logout(
    site: web::Data<Site>,
    request: web::Form<LogoutRequest>,
) -> HttpResponse {
    let shared = site.clone();
    let token = request.into_inner().logout_token;
    let done =
        detached(&site.runtime, async move { shared.party.back_channel_logout(&token).await });
    let mut response = match done.await {
        Ok(_) => HttpResponse::Ok(),
        Err(LogoutError::Provider(ProviderError::InvalidResponse(why))) => {
            warn!(why, "a logout token was refused");
            let mut refused = HttpResponse::BadRequest();
            refused.insert_header((header::CACHE_CONTROL, "no-store"));
            return refused.json(json!({ "error": "invalid_request", "error_description": why }));
        }
        Err(error) => return unavailable(&error),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store")).finish()
}

/// The value of a query parameter that is there once.
pub fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(request.query_string().as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned());
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

/// The cookie of an attempt: Lax, because the way back from the provider is another site's redirect.
fn attempt_cookie(name: &str) -> Cookie<'_> {
    Cookie { name, path: "/", same_site: SameSite::Lax, shared: false }
}

fn attempt_name(site: &Site, label: &str) -> String {
    format!("{}_attempt_{label}", site.program.name.trim_start_matches("microapp-"))
}

/// Attempts that a browser may have under way. Their cookies are sent with every request, and a page elsewhere can make
/// a browser begin as many as it likes.
const MAX_ATTEMPTS: usize = 5;

/// The cookies that remove what a browser holds of earlier attempts, except for the newest: a new one has room.
fn without_old_attempts(site: &Site, request: &HttpRequest) -> Vec<cookie::Cookie<'static>> {
    let first = site.cookies.name(&attempt_cookie(&attempt_name(site, "")));
    let bare = attempt_name(site, "");
    let now = site.party.now();
    let mut held: Vec<_> = service::http::all_cookies(request.headers())
        .filter_map(|(name, value)| Some((name.strip_prefix(&first)?, value)))
        .map(|(label, value)| (site.party.attempt_expiry(value).filter(|at| now < *at), label))
        .collect();
    held.sort_by(|one, other| other.cmp(one));
    let is_kept = |(at, (expiry, _)): &(usize, &(Option<Timestamp>, &str))| {
        *at < MAX_ATTEMPTS - 1 && expiry.is_some()
    };
    let old = held.iter().enumerate().filter(|one| !is_kept(one));
    old.map(|(_, (_, label))| site.cookies.remove(&attempt_cookie(&format!("{bare}{label}"))))
        .collect()
}

/// A 303 that is not cached.
pub fn redirect(to: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, to));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

/// `GET /auth/login?return_to=/path`, and `?iss=…` from the provider's launcher (third-party initiated login, OpenID
/// Connect Core §4).
async fn login(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    if parameter(&request, "iss").is_some_and(|issuer| issuer != site.party.issuer()) {
        return front::message(
            &request,
            StatusCode::BAD_REQUEST,
            "This link is for another sign-in service",
            "Open the app from the page of the service that it belongs to.",
        );
    }
    let return_to = local_path(parameter(&request, "return_to").as_deref());
    let prompt = parameter(&request, "prompt")
        .filter(|prompt| ["login", "select_account"].contains(&prompt.as_str()));
    match site.party.begin(&return_to, prompt.as_deref()).await {
        Ok(begun) => {
            let name = attempt_name(&site, &begun.label);
            let cookie = attempt_cookie(&name);
            let mut response = redirect(&begun.url);
            for old in without_old_attempts(&site, &request) {
                response.cookie(old);
            }
            response.cookie(site.cookies.set(&cookie, &begun.cookie, ATTEMPT_TTL)).finish()
        }
        Err(error) => {
            error!(%error, "a sign-in could not begin");
            front::message(
                &request,
                StatusCode::SERVICE_UNAVAILABLE,
                "Sign-in cannot be reached right now",
                "Please try again in a moment.",
            )
        }
    }
}

/// An authorization response, owned.
#[derive(Debug)]
pub struct AuthorizationResponse {
    code: String,
    state: String,
    iss: Option<String>,
    attempt: String,
    browser: Browser,
}

impl AuthorizationResponse {
    /// The response as the relying party takes it.
    pub fn as_callback(&self) -> Callback<'_> {
        Callback {
            code: &self.code,
            state: &self.state,
            iss: self.iss.as_deref(),
            cookie: &self.attempt,
            browser: &self.browser,
        }
    }
}

/// The callback: reads the authorization response, passes it to `finish`, and redirects with the path and the cookies
/// that `lead_on` returns. Every error ends at a page with a link to go on.
pub async fn callback<T, F>(
    site: &web::Data<Site>,
    request: &HttpRequest,
    finish: impl FnOnce(web::Data<Site>, AuthorizationResponse) -> F,
    lead_on: impl FnOnce(T) -> (String, Vec<cookie::Cookie<'static>>),
) -> HttpResponse
where
    T: Send + 'static,
    F: Future<Output = Result<T, CallbackError>> + Send + 'static,
{
    let Some(state) = parameter(request, "state") else { return start_again(request) };
    let name = attempt_name(site, &Attempt::label(&state));
    let cookie = attempt_cookie(&name);
    let Some(attempt) = site.cookies.read(&cookie, request) else { return start_again(request) };
    let forget = site.cookies.remove(&cookie);
    if let Some(code) = parameter(request, "error") {
        return error_response(request, forget, &code);
    }
    let Some(code) = parameter(request, "code") else { return start_again(request) };
    let iss = parameter(request, "iss");
    let browser = site.browser(request);
    let answer = AuthorizationResponse { code, state, iss, attempt, browser };
    // The code works once: what it gives must be kept even if the browser goes away meanwhile.
    match detached(&site.runtime, finish(site.clone(), answer)).await {
        Ok(finished) => {
            let (path, cookies) = lead_on(finished);
            let elsewhere = site.front_url != site.public_url;
            let to = if elsewhere { site.front_url.join(&path) } else { path };
            let mut response = redirect(&to);
            for cookie in cookies.into_iter().chain([forget]) {
                response.cookie(cookie);
            }
            response.finish()
        }
        Err(CallbackError::NoAttempt) => start_again(request),
        Err(CallbackError::Provider(ProviderError::ErrorResponse(code)))
            if code == "invalid_client" =>
        {
            site.credentials_refused();
            front::message(
                request,
                StatusCode::SERVICE_UNAVAILABLE,
                "Signing in does not work yet",
                "This app is not set up right: the sign-in service does not accept it. Please tell its operator.",
            )
        }
        Err(CallbackError::Provider(ProviderError::ErrorResponse(code))) => {
            error_response(request, forget, &code)
        }
        Err(error) => {
            error!(%error, "a sign-in could not be finished");
            front::message(
                request,
                StatusCode::SERVICE_UNAVAILABLE,
                "Signing in did not work",
                "The sign-in service or this app cannot answer right now. Please try again in a moment.",
            )
        }
    }
}

fn start_again(request: &HttpRequest) -> HttpResponse {
    front::message(
        request,
        StatusCode::BAD_REQUEST,
        "This sign-in link has expired",
        "It was finished before, took too long, or was started in another browser. You can start a new one.",
    )
}

fn error_response(
    request: &HttpRequest,
    forget: cookie::Cookie<'static>,
    code: &str,
) -> HttpResponse {
    // The code comes from the query: only what such codes are made of gets into the log.
    let code: String =
        code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    warn!(code, "the provider refused a sign-in");
    let response = front::message(
        request,
        StatusCode::FORBIDDEN,
        "You were not signed in",
        "The sign-in service refused. You can try again.",
    );
    with_cookies(response, [forget])
}

/// `GET /auth/callback` of an app that keeps its sessions in the store.
pub async fn store_session(
    site: &web::Data<Site>,
    request: &HttpRequest,
    cookie: Cookie<'static>,
) -> HttpResponse {
    let old = site.cookies.read(&cookie, request);
    let finish = |site: web::Data<Site>, answer: AuthorizationResponse| async move {
        site.party.finish(&answer.as_callback(), old.as_deref()).await
    };
    callback(site, request, finish, |session| {
        let id = session.session_id.expose_secret();
        (session.return_to, vec![site.cookies.set(&cookie, id, SESSION_TTL)])
    })
    .await
}

/// `POST /auth/logout` of such an app: removes the session and revokes its refresh token. `revoked` is false if the
/// provider could not be told yet; `logout_url` is the URL at which the sign-in at the provider is ended.
pub async fn sign_out(
    site: &web::Data<Site>,
    request: &HttpRequest,
    cookie: Cookie<'static>,
) -> HttpResponse {
    let (mut revoked, mut logout_url) = (true, None);
    if let Some(id) = site.cookies.read(&cookie, request) {
        let shared = site.clone();
        let done = detached(&site.runtime, async move { shared.party.sign_out(&id).await }).await;
        match done {
            Ok(done) => (revoked, logout_url) = (done.is_revoked, done.logout_url),
            Err(error) => return unavailable(&error),
        }
        info!("signed out");
    }
    HttpResponse::Ok()
        .cookie(site.cookies.remove(&cookie))
        .json(json!({ "signed_out": true, "revoked": revoked, "logout_url": logout_url }))
}

/// `GET /auth/me` of such an app: the user, without tokens.
pub async fn me(site: &Site, request: &HttpRequest, cookie: &Cookie<'_>) -> HttpResponse {
    let Some(id) = site.cookies.read(cookie, request) else { return not_signed_in() };
    match site.party.user(&id).await {
        Ok(Some(user)) => HttpResponse::Ok().json(user.profile()),
        Ok(None) => session_expired(site, cookie),
        Err(error) => unavailable(&error),
    }
}

/// The token request that a page's request stands for, and the browser that it comes from. With a proof in the header `DPoP`,
/// the access token is to be bound to its key; the provider verifies the proof, which is made for its token endpoint.
///
/// # Errors
/// [`DpopRefusal`] for a header that is no proof, and for a page that has to send one and does not: a script that got into the
/// page must not get a token that works elsewhere.
pub fn token_request(
    site: &Site,
    request: &HttpRequest,
) -> Result<(TokenRequest, Browser), DpopRefusal> {
    let browser = site.browser(request);
    let mut headers = request.headers().get_all("dpop");
    let header = headers.next();
    if header.is_none() && !site.requires_dpop {
        return Ok((TokenRequest::default(), browser));
    }
    let proof = header.and_then(|proof| proof.to_str().ok()).filter(|_| headers.next().is_none());
    let named = proof.and_then(|proof| Some((proof, Proof::named_thumbprint(proof).ok()?)));
    let Some((proof, jkt)) = named else {
        let code = "invalid_dpop_proof".to_owned();
        return Err(DpopRefusal { code, nonce: None });
    };
    let wanted = TokenRequest { dpop_jkt: Some(jkt), ..TokenRequest::default() };
    Ok((wanted, browser.with_dpop_proof(Some(proof.to_owned()))))
}

/// 400, as the token endpoint answers (RFC 9449 §5, §8): the page makes another proof.
pub fn dpop_refused(refusal: &DpopRefusal) -> HttpResponse {
    let mut response = HttpResponse::BadRequest();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(nonce) = &refusal.nonce {
        response.insert_header((DPOP_NONCE, nonce.as_str()));
    }
    response.json(json!({ "error": refusal.code }))
}

/// Tells the page the nonce for its next proof, if the provider has told one with this token (RFC 9449 §8.2).
pub fn tell_nonce(response: &mut HttpResponseBuilder, token: &AccessToken) {
    if let Some(nonce) = &token.dpop_nonce {
        response.insert_header((DPOP_NONCE, nonce.as_str()));
    }
}

/// A token for a page: `expires_at` in Unix seconds, and `expires_in` for pages whose clock is wrong.
pub fn token_json(token: &AccessToken, now: Timestamp) -> Value {
    json!({
        "access_token": token.token.expose_secret(),
        "token_type": token.token_type,
        "expires_at": token.expires_at.secs(),
        "expires_in": token.expires_at.since(now).as_secs(),
    })
}

/// 401 for a browser that never had a session.
pub fn not_signed_in() -> HttpResponse {
    HttpResponse::Unauthorized().json(json!({ "error": "not_signed_in" }))
}

/// 401 for a session that is over; its cookie is removed.
pub fn session_expired(site: &Site, cookie: &Cookie<'_>) -> HttpResponse {
    HttpResponse::Unauthorized()
        .cookie(site.cookies.remove(cookie))
        .json(json!({ "error": "session_expired" }))
}

/// 503: the provider or the store does not answer. Nothing is lost.
pub fn unavailable(error: &dyn std::fmt::Display) -> HttpResponse {
    error!(%error, "the session cannot be used right now");
    let mut response =
        problem(StatusCode::SERVICE_UNAVAILABLE, "the session cannot be checked right now");
    response.headers_mut().insert(header::RETRY_AFTER, 1.into());
    response
}

/// The response for a [`TokenError`].
pub fn no_token(site: &Site, cookie: &Cookie<'_>, error: &TokenError) -> HttpResponse {
    match error {
        TokenError::NoSession | TokenError::Ended => session_expired(site, cookie),
        TokenError::DpopProof(refusal) => dpop_refused(refusal),
        TokenError::Unavailable(error) => unavailable(error),
    }
}
