//! `GET` and `POST /oauth/userinfo` (OpenID Connect Core §5.3, RFC 6750).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use tokens::dpop::AsymmetricAlgorithm;

use super::dpop::proof_for;
use super::{Error, json as answer, uncached};
use crate::authority::Authority;
use crate::http::refusals::{mark, name_client};
use crate::http::request::body_params_if_any;
use crate::ops::tokens::userinfo::{Userinfo, UserinfoError, userinfo};
use crate::services::refusals::Recognition;

/// With the token in the header.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    respond(&authority, &request, presented(&request)).await
}

/// With the token in the header or, form-encoded, in the body; not in both.
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let by_header = presented(&request);
    let params = body_params_if_any(&request, payload).await?;
    let in_body = params.get("access_token")?.map(|token| (Scheme::Bearer, token.to_owned()));
    let token = match (by_header, in_body) {
        (Ok(Some(_)), Some(_)) => Err("there are two access tokens"),
        (Ok(None), in_body) => Ok(in_body),
        (by_header, _) => by_header,
    };
    respond(&authority, &request, token).await
}

/// The way in which a token is presented.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

/// The one bearer token of the header, none, or nonsense.
pub(super) fn bearer(request: &HttpRequest) -> Result<Option<String>, &'static str> {
    let presented = presented(request)?;
    Ok(presented.and_then(|(scheme, token)| (scheme == Scheme::Bearer).then_some(token)))
}

/// The one token of the header, none, or nonsense.
fn presented(request: &HttpRequest) -> Result<Option<(Scheme, String)>, &'static str> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        return Err("there are two Authorization headers");
    }
    match value.to_str().map_err(|_| "the Authorization header is no text")?.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some((Scheme::Bearer, token.trim().to_owned())))
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("dpop") => {
            Ok(Some((Scheme::Dpop, token.trim().to_owned())))
        }
        _ => Ok(None),
    }
}

async fn respond(
    authority: &Authority,
    request: &HttpRequest,
    token: Result<Option<(Scheme, String)>, &'static str>,
) -> Result<HttpResponse, Error> {
    let (scheme, token) = match token {
        Ok(Some(presented)) => presented,
        Ok(None) => {
            let why = "there is no access token";
            return Ok(challenge(Scheme::Bearer, StatusCode::UNAUTHORIZED, None, why));
        }
        Err(why) => {
            let code = Some("invalid_request");
            return Ok(challenge(Scheme::Bearer, StatusCode::BAD_REQUEST, code, why));
        }
    };
    let refused = |status, code, why: String| Ok(challenge(scheme, status, Some(code), why));
    let proof = match scheme {
        Scheme::Bearer => None,
        Scheme::Dpop => match proof_for(authority, request, &token) {
            Ok(proof) => Some(proof),
            Err(why) => {
                return refused(StatusCode::UNAUTHORIZED, "invalid_dpop_proof", why.to_string());
            }
        },
    };
    let (client_id, answered) = userinfo(authority, &token, proof.as_ref()).await;
    if let Some(client_id) = client_id {
        name_client(request, &client_id, Recognition::Registered);
    }
    match answered {
        Ok(Userinfo::Json(claims)) => Ok(answer(&claims)),
        Ok(Userinfo::Jwt(token)) => Ok(uncached("application/jwt", token)),
        Err(UserinfoError::InvalidToken(why)) => {
            refused(StatusCode::UNAUTHORIZED, "invalid_token", why)
        }
        Err(UserinfoError::InsufficientScope) => {
            let why = "the access token has no scope openid".to_owned();
            refused(StatusCode::FORBIDDEN, "insufficient_scope", why)
        }
        Err(UserinfoError::Keys(cause)) => Err(cause.into()),
        Err(UserinfoError::Store(cause)) => Err(cause.into()),
    }
}

/// RFC 6750 §3, RFC 9449 §7.1: without a token, the challenge has no error code. The reason is for the operator.
fn challenge(
    scheme: Scheme,
    status: StatusCode,
    code: Option<&'static str>,
    reason: impl Into<String>,
) -> HttpResponse {
    let mut value = match scheme {
        Scheme::Bearer => "Bearer realm=\"userinfo\"".to_owned(),
        Scheme::Dpop => {
            let algorithms = AsymmetricAlgorithm::ALL.map(AsymmetricAlgorithm::name).join(" ");
            format!("DPoP realm=\"userinfo\", algs=\"{algorithms}\"")
        }
    };
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
    let code = code.unwrap_or("invalid_token");
    let mut response = response.json(json!({ "error": code }));
    mark(&mut response, code, reason);
    response
}
