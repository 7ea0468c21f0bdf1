//! `POST /oauth/token` (RFC 6749 §3.2).

use std::fmt::Write as _;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use tokens::Scope;

use super::device::require_device_client;
use super::dpop::proven_key;
use super::{
    Error, OAuthError, RESOURCE, calling_client, credentials, identified, oauth_params, uncached,
};
use crate::authority::Authority;
use crate::domain::device::DEVICE_CODE;
use crate::domain::token_exchange::{ExchangeRequest, TOKEN_EXCHANGE};
use crate::http::request::params::Params;
use crate::http::request::{caller_for_client, detached};
use crate::ops::authentication::client::authenticate_cached_client;
use crate::ops::grants::authorization_code::{Redeem, redeem};
use crate::ops::grants::client_credentials::client_credentials;
use crate::ops::grants::device_code::{self, RedeemDeviceCode};
use crate::ops::grants::error::GrantError;
use crate::ops::grants::refresh_token::{Refresh, refresh, require_user_client};
use crate::ops::grants::token_exchange;
use crate::ops::tokens::issue::TokenResponse;

/// Redeems, refreshes, or makes the token of a client for itself.
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = oauth_params(&request, payload).await?;
    let issued = match params.need("grant_type")? {
        // Boxed, so that a refresh does not carry along what it does not need.
        "authorization_code" => Box::pin(by_code(&authority, &request, &params)).await?,
        "refresh_token" => by_refresh_token(&authority, &request, &params).await?,
        "client_credentials" => {
            Box::pin(by_client_credentials(&authority, &request, &params)).await?
        }
        TOKEN_EXCHANGE => Box::pin(by_token_exchange(&authority, &request, &params)).await?,
        DEVICE_CODE => Box::pin(by_device_code(&authority, &request, &params)).await?,
        _ => {
            // Only apps learn what there is.
            Box::pin(calling_client(&authority, &request, &params)).await?;
            return Err(Error::oauth(
                OAuthError::UnsupportedGrantType,
                "the grant types are those of the discovery document",
            ));
        }
    };
    let mut answer = uncached("application/json", body(&issued));
    if issued.is_bound {
        // For the next proof (RFC 9449 §8.2).
        let nonce = authority.dpop.nonce(authority.now());
        let nonce = HeaderValue::from_str(&nonce).expect("base64url is fit for a header");
        answer.headers_mut().insert(HeaderName::from_static("dpop-nonce"), nonce);
    }
    Ok(answer)
}

/// A successful answer (RFC 6749 §5.1).
///
/// Written by hand, because tokens are base64url, which needs no escapes: to have `serde_json` look for some costs a refresh 2 %.
fn body(issued: &TokenResponse) -> String {
    let mut body = String::with_capacity(issued.access_token.len() + 512);
    let _ = write!(
        body,
        r#"{{"access_token":"{}","token_type":"{}","expires_in":{},"scope":{}"#,
        issued.access_token,
        if issued.is_bound { "DPoP" } else { "Bearer" },
        issued.expires_in,
        json!(issued.scope)
    );
    if let Some(token) = &issued.refresh_token {
        // draft-ietf-oauth-refresh-token-expiration
        let seconds = issued.refresh_expires_in;
        let token = token.expose();
        let _ = write!(body, r#","refresh_token":"{token}","refresh_token_expires_in":{seconds}"#);
    }
    if let Some(token) = &issued.id_token {
        let _ = write!(body, r#","id_token":"{token}""#);
    }
    if let Some(issued) = issued.issued_token_type {
        let _ = write!(body, r#","issued_token_type":"{issued}""#);
    }
    body.push('}');
    body
}

async fn by_code(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    params: &Params,
) -> Result<TokenResponse, Error> {
    let known = calling_client(authority, request, params).await?;
    require_user_client(&known.metadata)?;
    let caller = caller_for_client(authority, request, &known.metadata)?;
    let dpop_jkt = proven_key(authority, request, &known.metadata)?;
    let command = Redeem {
        client: known,
        code: params.need("code")?.to_owned(),
        redirect_uri: params.need("redirect_uri")?.to_owned(),
        code_verifier: params.get("code_verifier")?.map(str::to_owned),
        resource: resource(params)?.map(str::to_owned),
        dpop_jkt,
    };
    let done =
        detached(authority, |authority| async move { redeem(&authority, command, &caller).await })
            .await;
    Ok(done?)
}

async fn by_device_code(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    params: &Params,
) -> Result<TokenResponse, Error> {
    let client = calling_client(authority, request, params).await?;
    require_device_client(&client.metadata)?;
    let caller = caller_for_client(authority, request, &client.metadata)?;
    let dpop_jkt = proven_key(authority, request, &client.metadata)?;
    let command = RedeemDeviceCode {
        client,
        device_code: params.need("device_code")?.to_owned(),
        resource: resource(params)?.map(str::to_owned),
        dpop_jkt,
    };
    let done = detached(authority, |authority| async move {
        device_code::redeem(&authority, command, &caller).await
    });
    Ok(done.await?)
}

async fn by_token_exchange(
    authority: &Authority,
    request: &HttpRequest,
    params: &Params,
) -> Result<TokenResponse, Error> {
    let client = calling_client(authority, request, params).await?;
    if client.metadata.exchange.is_empty() || client.metadata.is_public() {
        return Err(Error::oauth(
            OAuthError::UnauthorizedClient,
            "this app is not registered with `exchange`",
        ));
    }
    // Each parameter is there once at most: that was checked.
    let exchange = ExchangeRequest::parse(|name| params.get(name).ok().flatten())?;
    let key = proven_key(authority, request, &client.metadata)?;
    Ok(token_exchange::exchange(authority, &client.metadata, &exchange, key.as_deref()).await?)
}

async fn by_refresh_token(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    params: &Params,
) -> Result<TokenResponse, Error> {
    let credentials = credentials(request, params)?;
    let found = authenticate_cached_client(authority, &credentials).await;
    let client = identified(authority, request, credentials.client_id(), found)?;
    let caller = caller_for_client(authority, request, &client.metadata)?;
    require_user_client(&client.metadata)?;
    let dpop_jkt = proven_key(authority, request, &client.metadata)?;
    let command = Refresh {
        client,
        credentials,
        refresh_token: params.need("refresh_token")?.to_owned(),
        scope: scope(params)?,
        resource: resource(params)?.map(str::to_owned),
        dpop_jkt,
    };
    Ok(refresh(authority, command, caller).await?)
}

async fn by_client_credentials(
    authority: &Authority,
    request: &HttpRequest,
    params: &Params,
) -> Result<TokenResponse, Error> {
    let metadata = &calling_client(authority, request, params).await?.metadata;
    let resource = resource(params)?;
    let key = proven_key(authority, request, metadata)?;
    let issued: Result<TokenResponse, GrantError> =
        client_credentials(authority, metadata, scope(params)?, resource, key.as_deref());
    Ok(issued?)
}

fn scope(params: &Params) -> Result<Option<Scope>, Error> {
    params
        .get("scope")?
        .map(|text| {
            text.parse::<Scope>()
                .map_err(|()| Error::oauth(OAuthError::InvalidScope, "the scope cannot be read"))
        })
        .transpose()
}

/// The audience that the application token is for. An application token has one (`docs/contract.md`, section 3), so several
/// cannot be granted (`invalid_target`, RFC 8707 §2).
fn resource(params: &Params) -> Result<Option<&str>, Error> {
    match params.all(RESOURCE)[..] {
        [] => Ok(None),
        [resource] => Ok(Some(resource)),
        _ => Err(Error::oauth(
            OAuthError::InvalidTarget,
            "an access token has one audience here: ask for one resource at a time",
        )),
    }
}
