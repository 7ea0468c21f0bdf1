//! The provider's metadata and keys (OpenID Connect Discovery 1.0 §3), as they are cached.

use std::time::Duration;

use foundation::time::Timestamp;
use serde::Deserialize;
use tokens::KeySet;

/// Age at which metadata and keys are fetched again.
pub(crate) const METADATA_MAX_AGE: Duration = Duration::from_mins(10);

/// The provider's metadata (OpenID Connect Discovery 1.0 §3): the fields that this client uses.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ProviderMetadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub revocation_endpoint: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// The feed of ended sessions, of our own authority alone.
    pub revocations_endpoint: Option<String>,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// The result of one discovery.
#[derive(Debug)]
pub(crate) struct Discovery {
    pub metadata: ProviderMetadata,
    pub keys: KeySet,
    pub fetched_at: Timestamp,
}
