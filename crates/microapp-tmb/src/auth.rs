//! `/auth/*`: callback, user, access token for the page, sign-out.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use relying_party::signin::AccessToken;
use relying_party::web::auth::{
    self, dpop_refused, no_token, not_signed_in, redirect, sign_out, store_session, tell_nonce,
    token_json, token_request, unavailable,
};
use relying_party::web::{Site, events};
use relying_party::{Browser, TokenError, TokenRequest};
use serde_json::json;
use service::run::detached;

use crate::SESSION;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/auth/callback", web::get().to(callback))
        .route("/auth/session", web::get().to(session))
        .route("/auth/token", web::get().to(token))
        .route("/auth/userinfo", web::get().to(userinfo))
        .route("/auth/events", web::get().to(tell_end))
        .route("/auth/logout", web::post().to(logout))
        .route("/auth/logout/callback", web::get().to(after_logout));
}

/// `GET /auth/callback`.
async fn callback(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    store_session(&site, &request, SESSION).await
}

/// `GET /auth/session`: the user and an access token, or `logged_in: false`.
async fn session(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let signed_out =
        json!({ "logged_in": false, "user": null, "access_token": null, "expires_at": null });
    let Some(id) = site.cookies.read(&SESSION, &request) else {
        return HttpResponse::Ok().json(signed_out);
    };
    let over = || HttpResponse::Ok().cookie(site.cookies.remove(&SESSION)).json(&signed_out);
    let (wanted, browser) = match token_request(&site, &request) {
        Ok(wanted) => wanted,
        Err(refusal) => return dpop_refused(&refusal),
    };
    let user = match site.party.user(&id).await {
        Ok(Some(user)) => user,
        Ok(None) => return over(),
        Err(error) => return unavailable(&error),
    };
    match fresh_token(&site, id, wanted, browser, None).await {
        Ok(token) => {
            let mut answer = token_json(&token, site.party.now());
            answer["logged_in"] = json!(true);
            answer["user"] = user.profile();
            let mut response = HttpResponse::Ok();
            tell_nonce(&mut response, &token);
            response.json(answer)
        }
        Err(TokenError::NoSession | TokenError::Ended) => over(),
        Err(error) => no_token(&site, &SESSION, &error),
    }
}

/// `GET /auth/token`: a valid access token. An `Authorization` header shows one that an API has refused.
async fn token(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let Some(id) = site.cookies.read(&SESSION, &request) else { return not_signed_in() };
    let (wanted, browser) = match token_request(&site, &request) {
        Ok(wanted) => wanted,
        Err(refusal) => return dpop_refused(&refusal),
    };
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let refused = shown.and_then(|shown| shown.strip_prefix("Bearer ")).map(str::to_owned);
    match fresh_token(&site, id, wanted, browser, refused).await {
        Ok(token) => {
            let mut response = HttpResponse::Ok();
            tell_nonce(&mut response, &token);
            response.json(token_json(&token, site.party.now()))
        }
        Err(error) => no_token(&site, &SESSION, &error),
    }
}

async fn fresh_token(
    site: &web::Data<Site>,
    id: String,
    wanted: TokenRequest,
    browser: Browser,
    refused: Option<String>,
) -> Result<AccessToken, TokenError> {
    let shared = site.clone();
    // A refresh that has begun is finished, or its token might be lost.
    let token = detached(&site.runtime, async move {
        let party = &shared.party;
        match refused {
            Some(refused) => {
                party.token_after_refusal(&id, &wanted, &browser, &refused.into()).await
            }
            None => party.access_token(&id, &wanted, &browser).await,
        }
    });
    token.await
}

/// `GET /auth/userinfo`: the user.
async fn userinfo(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
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

/// `GET /auth/logout/callback`: back from the provider, where the sign-in has ended.
async fn after_logout(site: web::Data<Site>) -> HttpResponse {
    redirect(&site.front_url.join("/")).finish()
}
