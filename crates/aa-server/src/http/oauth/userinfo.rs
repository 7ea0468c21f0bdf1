//! `GET` and `POST /oauth/userinfo` (OpenID Connect Core §5.3, RFC 6750).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{Error, json as answer};
use crate::authority::Authority;
use crate::http::request::body_params;
use crate::ops::tokens::userinfo::{UserinfoError, userinfo};

/// With the token in the header.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    respond(&authority, bearer(&request)).await
}

/// With the token in the header or, form-encoded, in the body; not in both.
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let by_header = bearer(&request);
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return respond(&authority, by_header).await;
    }
    let params = body_params(&request, payload).await?;
    let in_body = params.get("access_token")?.map(str::to_owned);
    match (by_header, in_body) {
        (Ok(Some(_)), Some(_)) => respond(&authority, Err(())).await,
        (Ok(None), in_body) => respond(&authority, Ok(in_body)).await,
        (by_header, _) => respond(&authority, by_header).await,
    }
}

/// The one bearer token of the header, none, or nonsense.
fn bearer(request: &HttpRequest) -> Result<Option<String>, ()> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        return Err(());
    }
    match value.to_str().map_err(|_| ())?.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(token.trim().to_owned()))
        }
        _ => Ok(None),
    }
}

async fn respond(
    authority: &Authority,
    token: Result<Option<String>, ()>,
) -> Result<HttpResponse, Error> {
    let token = match token {
        Ok(Some(token)) => token,
        Ok(None) => return Ok(challenge(StatusCode::UNAUTHORIZED, None)),
        Err(()) => return Ok(challenge(StatusCode::BAD_REQUEST, Some("invalid_request"))),
    };
    match userinfo(authority, &token).await {
        Ok(claims) => Ok(answer(&claims)),
        Err(UserinfoError::InvalidToken) => {
            Ok(challenge(StatusCode::UNAUTHORIZED, Some("invalid_token")))
        }
        Err(UserinfoError::InsufficientScope) => {
            Ok(challenge(StatusCode::FORBIDDEN, Some("insufficient_scope")))
        }
        Err(UserinfoError::Store(cause)) => Err(cause.into()),
    }
}

/// RFC 6750 §3: without a token, no error code is told.
fn challenge(status: StatusCode, code: Option<&str>) -> HttpResponse {
    let mut value = "Bearer realm=\"userinfo\"".to_owned();
    if let Some(code) = code {
        value.push_str(", error=\"");
        value.push_str(code);
        value.push('"');
        if code == "insufficient_scope" {
            value.push_str(", scope=\"openid\"");
        }
    }
    let mut response = HttpResponse::build(status);
    response.insert_header((header::WWW_AUTHENTICATE, value));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match code {
        Some(code) => response.json(json!({ "error": code })),
        None => response.finish(),
    }
}
