//! An access token, as a backend passes it on.

use foundation::time::Timestamp;
use oidc_client::Tokens;
use secrecy::SecretString;

use super::lifetime_of;

/// An access token for an upstream API.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// The type: `Bearer`, or `DPoP` for a token that is bound to a key of the browser (RFC 9449 §5).
    pub token_type: String,
    /// Expiry.
    pub expires_at: Timestamp,
    /// The nonce to make the next DPoP proof with (RFC 9449 §8.2), if the provider has just told one.
    pub dpop_nonce: Option<String>,
}

impl AccessToken {
    /// The access token of a token response received at `now`.
    pub fn from_tokens(tokens: &Tokens, now: Timestamp) -> Self {
        Self {
            token: tokens.access_token.clone(),
            token_type: tokens.token_type.clone(),
            expires_at: now + lifetime_of(tokens),
            dpop_nonce: tokens.dpop_nonce.clone(),
        }
    }
}
