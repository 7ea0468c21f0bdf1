//! An OpenID provider: its configuration, its errors, the authorization request.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use foundation::time::Timestamp;
use secrecy::SecretString;
use url::Url;

use crate::attempt::Attempt;
use crate::metadata::{Discovery, METADATA_MAX_AGE};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest response body that is read, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Configuration of a provider, and of this client's registration there.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Issuer, compared exactly.
    pub issuer: String,
    /// URL at which this process reaches the provider, if not by the name that browsers use.
    pub backchannel_url: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Client secret; `None` for a public client.
    pub client_secret: Option<SecretString>,
    /// Redirect URI, as registered.
    pub redirect_uri: String,
    /// Redirect URI after logout, as registered (OpenID Connect RP-Initiated Logout 1.0 §2).
    pub post_logout_redirect_uri: String,
    /// Scopes of the authorization request, with spaces between them.
    pub scopes: String,
    /// Whether authorization requests are pushed (RFC 9126) even if the provider does not demand it of all its clients.
    pub push_requests: bool,
}

/// An OpenID provider.
#[derive(Debug)]
pub struct Provider {
    pub(crate) config: ProviderConfig,
    pub(crate) http: reqwest::Client,
    pub(crate) discovery: RwLock<Option<Arc<Discovery>>>,
    pub(crate) fetching: tokio::sync::Mutex<()>,
}

/// Error of a request to the provider.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider could not be reached, or had a fault: a retry may help, and nothing is lost.
    #[error("the provider cannot answer: {0}")]
    Unavailable(String),
    /// The provider sent an error response with this code (RFC 6749 §5.2).
    #[error("the provider refuses: {0}{hint}", hint = hint(.0))]
    ErrorResponse(String),
    /// The provider refuses the DPoP proof that the browser made (RFC 9449 §5, §8). Nothing was used up.
    #[error("the provider refuses the DPoP proof: {}", .0.code)]
    DpopProof(DpopRefusal),
    /// The response is invalid: an unexpected issuer, an invalid ID token.
    #[error("the provider's answer is not right: {0}")]
    InvalidResponse(String),
}

/// An error response to a DPoP proof (RFC 9449 §5, §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpopRefusal {
    /// `invalid_dpop_proof` or `use_dpop_nonce`.
    pub code: String,
    /// The nonce to make the next proof with.
    pub nonce: Option<String>,
}

/// The setting to look at, for an error code that no user can do anything about.
fn hint(code: &str) -> &'static str {
    if code == "invalid_client" { " (check CLIENT_SECRET_FILE and CLIENT_ID)" } else { "" }
}

impl From<reqwest::Error> for ProviderError {
    fn from(error: reqwest::Error) -> Self {
        // Without the URL: its query may hold secrets, which do not belong in a log.
        Self::Unavailable(error.without_url().to_string())
    }
}

impl Provider {
    /// A provider before discovery.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] when no HTTP client can be made.
    pub fn new(config: ProviderConfig) -> Result<Self, ProviderError> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let fetching = tokio::sync::Mutex::default();
        Ok(Self { config, http, discovery: RwLock::default(), fetching })
    }

    /// Configuration of this provider.
    pub fn config(&self) -> &ProviderConfig {
        &self.config
    }

    /// URL at which this process reaches what browsers reach at `url`.
    pub(crate) fn backchannel(&self, url: &str) -> String {
        match (
            &self.config.backchannel_url,
            url.strip_prefix(self.config.issuer.trim_end_matches('/')),
        ) {
            (Some(base), Some(path)) => format!("{}{path}", base.trim_end_matches('/')),
            _ => url.to_owned(),
        }
    }

    /// URL of the authorization request (OpenID Connect Core §3.1.2.1). The request is pushed (RFC 9126) if the provider
    /// demands it, or this client is configured to.
    ///
    /// # Errors
    /// [`ProviderError`] when discovery has never succeeded, or a request that is to be pushed cannot be.
    pub async fn authorization_url(
        &self,
        attempt: &Attempt,
        prompt: Option<&str>,
        now: Timestamp,
    ) -> Result<String, ProviderError> {
        let discovery = self.discovery(now, METADATA_MAX_AGE).await?;
        let mut url = Url::parse(&discovery.metadata.authorization_endpoint)
            .map_err(|error| ProviderError::InvalidResponse(error.to_string()))?;
        let challenge = attempt.challenge();
        let mut request = vec![
            ("response_type", "code"),
            ("redirect_uri", &self.config.redirect_uri),
            ("scope", &self.config.scopes),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        request.extend(prompt.map(|prompt| ("prompt", prompt)));
        url.query_pairs_mut().append_pair("client_id", &self.config.client_id);
        if self.config.push_requests || discovery.metadata.require_pushed_authorization_requests {
            let request_uri = self.push(&discovery.metadata, &request).await?;
            url.query_pairs_mut().append_pair("request_uri", &request_uri);
        } else {
            url.query_pairs_mut().extend_pairs(request);
        }
        Ok(url.into())
    }

    /// Checks the `iss` of an authorization response (RFC 9207 §2.4): required if the metadata promises it.
    ///
    /// # Errors
    /// [`ProviderError::InvalidResponse`].
    pub async fn check_iss(&self, iss: Option<&str>, now: Timestamp) -> Result<(), ProviderError> {
        let discovery = self.discovery(now, METADATA_MAX_AGE).await?;
        let promised = discovery.metadata.authorization_response_iss_parameter_supported;
        match iss {
            Some(iss) if iss == self.config.issuer => Ok(()),
            None if !promised => Ok(()),
            _ => {
                Err(ProviderError::InvalidResponse("the answer is from another issuer".to_owned()))
            }
        }
    }
}

/// Reads a body of at most 1 MiB.
pub(crate) async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            return Err(ProviderError::InvalidResponse("the answer is too large".to_owned()));
        }
    }
    Ok(body)
}
