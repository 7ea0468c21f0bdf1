//! `POST /oauth/revoke` (RFC 7009) and `POST /oauth/introspect` (RFC 7662).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{Error, OAuthError, calling_client, json as answer, oauth_params, uncached};
use crate::authority::Authority;
use crate::http::request::{caller, detached};
use crate::ops::tokens::introspect::{introspect as introspect_op, signed};
use crate::ops::tokens::revoke::{RevokeError, revoke as revoke_op};

/// Ends the family of a token.
pub async fn revoke(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = oauth_params(&request, payload).await?;
    let known = calling_client(&authority, &request, &params).await?;
    let caller = caller(&authority, &request)?;
    let token = params.need("token")?.to_owned();
    let done = detached(&authority, |authority| async move {
        revoke_op(&authority, &known.metadata, &token, &caller).await
    });
    match done.await {
        Ok(()) => Ok(answer(&json!({}))),
        Err(RevokeError::AnotherClient) => {
            Err(Error::oauth(OAuthError::InvalidGrant, "the token was issued to another client"))
        }
        Err(RevokeError::Store(cause)) => Err(cause.into()),
    }
}

/// Says whether a token counts at this moment. For apps that can authenticate themselves.
pub async fn introspect(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = oauth_params(&request, payload).await?;
    let metadata = &calling_client(&authority, &request, &params).await?.metadata;
    // An agent is told about no tokens: those that are for the APIs that it calls are of all agents and apps.
    if metadata.is_public() || metadata.is_agent() {
        return Err(Error::InvalidClient("public clients and agents may not introspect"));
    }
    let token = params.need("token")?;
    let answered = introspect_op(&authority, metadata, token).await?;
    if accepts_jwt(&request) {
        return Ok(uncached(INTROSPECTION_JWT, signed(&authority, metadata, &answered)?));
    }
    Ok(answer(&answered))
}

/// The media type of a signed introspection response (RFC 9701 §5).
const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";

/// Whether the caller asks for a signed response (RFC 9701 §4).
fn accepts_jwt(request: &HttpRequest) -> bool {
    let accepted =
        request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(','));
    types.any(|range| {
        let media_type = range.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(INTROSPECTION_JWT)
    })
}
