//! `POST /oauth/par`: pushed authorization requests (RFC 9126).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::authorize::judge;
use super::dpop::proven_key;
use super::{Error, OAuthError, calling_client, json as answer, oauth_params};
use crate::authority::Authority;
use crate::domain::authorization_request::{
    AuthorizationError, ErrorCode, Parameters, REQUEST_URI_PREFIX,
};
use crate::http::request::{address, detached};
use crate::ops::authentication::attempt;
use crate::ops::grants::refresh_token::require_user_client;
use crate::store::PUSHED_REQUEST_TTL;

/// Judges the request as the authorization endpoint would, and stores it.
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = oauth_params(&request, payload).await?;
    let client = calling_client(&authority, &request, &params).await?;
    require_user_client(&client.metadata)?;
    if params.has("request_uri") {
        let description = "a request_uri cannot be pushed";
        return Err(Error::oauth(OAuthError::InvalidRequest, description));
    }
    let asked = judge(&authority, Parameters(params.pairs()), &client.metadata, true);
    let mut asked = asked.map_err(refused)?;
    // A proof says the same as `dpop_jkt` (RFC 9449 §10.1).
    if let Some(key) = proven_key(&authority, &request, &client.metadata)? {
        if asked.dpop_jkt.as_ref().is_some_and(|named| *named != key) {
            let description = "the proof is of another key than dpop_jkt names";
            return Err(Error::oauth(OAuthError::InvalidDpopProof, description));
        }
        asked.dpop_jkt = Some(key);
    }
    let address = address(&authority, &request)?;
    let work = |authority: web::Data<Authority>| async move {
        attempt::push(&authority, asked, &client.metadata, address).await
    };
    let reference = detached(&authority, work).await?;
    let mut response = answer(&json!({
        "request_uri": format!("{REQUEST_URI_PREFIX}{reference}"),
        "expires_in": PUSHED_REQUEST_TTL.as_secs(),
    }));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The client is told of everything itself: there is no redirect (RFC 9126 §2.3).
fn refused(refused: AuthorizationError) -> Error {
    let (code, description) = match refused {
        AuthorizationError::Show(broken) => {
            (OAuthError::InvalidRequest, format!("the request has {broken}"))
        }
        AuthorizationError::Redirect { code, description, .. } => {
            (oauth_error(code), description.to_owned())
        }
    };
    Error::oauth(code, description)
}

fn oauth_error(code: ErrorCode) -> OAuthError {
    match code {
        ErrorCode::InvalidScope => OAuthError::InvalidScope,
        ErrorCode::InvalidTarget => OAuthError::InvalidTarget,
        ErrorCode::UnsupportedResponseType => OAuthError::UnsupportedResponseType,
        ErrorCode::RequestNotSupported => OAuthError::RequestNotSupported,
        ErrorCode::UnmetAuthenticationRequirements => OAuthError::UnmetAuthenticationRequirements,
        // The others come up only when a browser is there.
        ErrorCode::InvalidRequest
        | ErrorCode::AccessDenied
        | ErrorCode::InteractionRequired
        | ErrorCode::LoginRequired
        | ErrorCode::RequestUriNotSupported => OAuthError::InvalidRequest,
    }
}
