//! `POST /oauth/device` (RFC 8628 §3.1): a device asks for the codes by which its user signs it in.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{Error, OAuthError, calling_client, json as answer, oauth_params};
use crate::authority::Authority;
use crate::domain::client::{ClientMetadata, ScopeError};
use crate::domain::device::{DEVICE_CODE_TTL, POLL_INTERVAL};
use crate::http::request::{address, caller_for_client, detached};
use crate::ops::grants::device_authorization;

/// Checks that devices may sign users in to a client.
pub(super) fn require_device_client(metadata: &ClientMetadata) -> Result<(), Error> {
    if metadata.device {
        return Ok(());
    }
    Err(Error::oauth(OAuthError::UnauthorizedClient, "this app is not registered with `device`"))
}

/// Answers a device with its two codes.
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = oauth_params(&request, payload).await?;
    let client = calling_client(&authority, &request, &params).await?;
    let metadata = &client.metadata;
    require_device_client(metadata)?;
    let scope = metadata.grantable_scope(params.get("scope")?).map_err(of_scope)?;
    let audience = metadata.choose_audience(params.get("resource")?, None).map_err(|_| {
        Error::oauth(OAuthError::InvalidTarget, "the resource is not one of this app's audiences")
    })?;
    let audience = audience.to_owned();
    let caller = caller_for_client(&authority, &request, metadata)?;
    let is_public = metadata.is_public();
    let unproven = if is_public { Some(address(&authority, &request)?) } else { None };
    let done = detached(&authority, |authority| async move {
        let granted = (&scope, audience.as_str());
        device_authorization::request(&authority, &client.metadata, granted, unproven, &caller)
            .await
    });
    let codes = done.await?;
    let page = authority.config.public_url.join("/device");
    Ok(answer(&json!({
        "device_code": codes.device_code.expose(),
        "user_code": codes.user_code.to_string(),
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", codes.user_code),
        "expires_in": DEVICE_CODE_TTL.as_secs(),
        "interval": POLL_INTERVAL,
    })))
}

fn of_scope(wrong: ScopeError) -> Error {
    Error::oauth(OAuthError::InvalidScope, wrong.to_string())
}
