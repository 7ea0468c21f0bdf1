//! The client credentials grant (RFC 6749 §4.4): application tokens for services, and for apps that are registered for it.

use tokens::Scope;

use crate::authority::Authority;
use crate::domain::claims::is_user_scope;
use crate::domain::client::ClientMetadata;
use crate::ops::grants::bound::require_key;
use crate::ops::grants::error::GrantError;
use crate::ops::tokens::issue::{self, TokenResponse};

/// Issues an application token whose subject is the client. There is no family and no refresh token.
///
/// Scopes about users (`openid`, `profile` …) are not granted.
///
/// # Errors
/// [`GrantError::NotForItself`], [`GrantError::NoProof`], [`GrantError::ScopeTooWide`], [`GrantError::UnknownResource`],
/// [`GrantError::Keys`].
pub fn client_credentials(
    authority: &Authority,
    metadata: &ClientMetadata,
    scope: Option<Scope>,
    resource: Option<&str>,
    dpop_jkt: Option<&str>,
) -> Result<TokenResponse, GrantError> {
    if !metadata.gets_own_tokens() {
        return Err(GrantError::NotForItself);
    }
    require_key(metadata, None, dpop_jkt)?;
    let allowed = metadata.allowed_scopes().retain(|name| !is_user_scope(name));
    let scope = scope.unwrap_or_else(|| allowed.clone());
    if !scope.is_subset_of(&allowed) {
        return Err(GrantError::ScopeTooWide);
    }
    let audience =
        metadata.choose_audience(resource, None).map_err(|_| GrantError::UnknownResource)?;
    Ok(issue::for_service(authority, metadata, audience, &scope, dpop_jkt)?)
}
