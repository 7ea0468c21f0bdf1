//! The device code grant (RFC 8628 §3.4): a device asks whether its user has approved, and gets its tokens once.

use std::sync::Arc;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::device::DeviceState;
use crate::domain::refresh_token::{SecretHash, TokenKind};
use crate::ops::grants::authorization_code::{Presented, redeem_family};
use crate::ops::grants::bound::require_key;
use crate::ops::grants::error::{ANOTHER_CLIENT, GrantError, NO_FAMILY, NOT_GENUINE};
use crate::ops::tokens::issue::TokenResponse;
use crate::services::client_cache::AuthenticatedClient;
use crate::store::{DeviceAuthorization, Poll};

/// A device's token request.
#[derive(Debug)]
pub struct RedeemDeviceCode {
    /// The authenticated client.
    pub client: Arc<AuthenticatedClient>,
    /// The device code.
    pub device_code: String,
    /// The audience that the client chooses among its own (RFC 8707).
    pub resource: Option<String>,
    /// The thumbprint of the key that the request proves (RFC 9449).
    pub dpop_jkt: Option<String>,
}

/// Redeems a device code once its request was approved: the family goes from generation 0 to 1.
///
/// *Checks* that the code is genuine and was made for this client. Then the request decides, and, once it is approved, the
/// family. A second presentation that passes these checks ends the family, as that of a delegation token does
/// (`docs/contract.md#rule-2`).
///
/// # Errors
/// [`GrantError`]. The family is unchanged, unless it is [`GrantError::Reused`].
pub async fn redeem(
    authority: &Arc<Authority>,
    command: RedeemDeviceCode,
    caller: &Caller,
) -> Result<TokenResponse, GrantError> {
    let metadata = &command.client.metadata;
    require_key(metadata, None, command.dpop_jkt.as_deref())?;
    let token = authority
        .refresh_tokens
        .decode(TokenKind::Device, &command.device_code)
        .ok_or(GrantError::Invalid(NOT_GENUINE))?;
    let (hash, client_id) = (token.secret.hash(), metadata.client_id.as_str());
    let check_bound = |secret_hash: &SecretHash, client: &str| {
        if *secret_hash != hash {
            return Err(GrantError::Invalid(NOT_GENUINE));
        }
        if client == client_id { Ok(()) } else { Err(GrantError::Invalid(ANOTHER_CLIENT)) }
    };
    // Its row is removed a day after it has expired; the family remembers that its code was used.
    if let Some(request) = authority.store.device_authorization(token.family).await? {
        check_bound(&request.secret_hash, &request.client_id)?;
        require_approval(authority, request).await?;
    }
    let family = authority.store.family(token.family).await?;
    let family = family.ok_or(GrantError::Invalid(NO_FAMILY))?;
    check_bound(&family.secret_hash, &family.client_id)?;
    let state = &family.state;
    if state.generation == 0 && !state.ended && authority.now() >= state.code_expires_at {
        return Err(GrantError::ExpiredToken);
    }
    let presented = Presented {
        secret: &token.secret,
        resource: command.resource.as_deref(),
        dpop_jkt: command.dpop_jkt.as_deref(),
    };
    redeem_family(authority, metadata, &family, presented, caller).await
}

/// Checks that a request was approved. A device that asks too soon has to wait longer from then on, at every replica.
async fn require_approval(
    authority: &Authority,
    mut request: DeviceAuthorization,
) -> Result<(), GrantError> {
    if request.state == DeviceState::Pending {
        let now = authority.now();
        if now >= request.expires_at {
            return Err(GrantError::ExpiredToken);
        }
        match authority.store.poll_device_authorization(request.family, now).await? {
            Poll::Pending => return Err(GrantError::AuthorizationPending),
            Poll::TooSoon => return Err(GrantError::SlowDown),
            // Answered since it was read.
            Poll::Decided => {
                let again = authority.store.device_authorization(request.family).await?;
                request = again.ok_or(GrantError::ExpiredToken)?;
            }
        }
    }
    match request.state {
        DeviceState::Approved => Ok(()),
        DeviceState::Denied => Err(GrantError::AccessDenied),
        DeviceState::Pending => Err(GrantError::AuthorizationPending),
    }
}
