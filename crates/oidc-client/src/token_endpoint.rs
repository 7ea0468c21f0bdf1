//! The endpoints that take a form with client authentication: code exchange, refresh, revocation, pushed requests.

use foundation::time::Timestamp;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::attempt::Attempt;
use crate::browser::Browser;
use crate::metadata::{METADATA_MAX_AGE, ProviderMetadata};
use crate::provider::{DpopRefusal, Provider, ProviderError, read_body};

/// The parameters of a refresh that choose between the access tokens of one sign-in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The resource server (RFC 8707); `None` leaves the choice to the provider.
    pub resource: Option<String>,
    /// The scope, a part of what was granted (RFC 6749 §6); `None` means all of it.
    pub scope: Option<String>,
    /// The thumbprint of the key that the access token is to be bound to (RFC 9449): that of the browser's proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
}

impl TokenRequest {
    /// Whether two requests are for the same resource and scope, whatever key the token is to be bound to.
    pub fn differs_by_key_at_most(&self, other: &Self) -> bool {
        self.resource == other.resource && self.scope == other.scope
    }
}

/// A successful response of the token endpoint (RFC 6749 §5.1).
#[derive(Deserialize, derive_more::Debug)]
#[debug("Tokens {{ expires_in: {expires_in:?}, .. }}")]
pub struct Tokens {
    /// The access token.
    pub access_token: SecretString,
    /// The type of the access token: `Bearer`, or `DPoP` for one that is bound to a key (RFC 9449 §5).
    #[serde(default = "bearer")]
    pub token_type: String,
    /// The refresh token.
    pub refresh_token: Option<SecretString>,
    /// The ID token (OpenID Connect Core §3.1.3.3).
    pub id_token: Option<String>,
    /// Lifetime of the access token in seconds.
    pub expires_in: Option<u64>,
    /// Lifetime of the refresh token in seconds, if the provider says so
    /// (draft-ietf-oauth-refresh-token-expiration; Keycloak leaves out "token").
    #[serde(alias = "refresh_expires_in")]
    pub refresh_token_expires_in: Option<u64>,
    /// The nonce to make the next DPoP proof with (RFC 9449 §8.2).
    #[serde(skip)]
    pub dpop_nonce: Option<String>,
}

/// The type of an access token of which nothing is said.
pub fn bearer() -> String {
    "Bearer".to_owned()
}

impl Provider {
    /// Exchanges a code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5), on behalf of `browser`. Returns the claims of the
    /// validated ID token too.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn redeem(
        &self,
        code: &str,
        attempt: &Attempt,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<(Tokens, Map<String, Value>), ProviderError> {
        let tokens = self
            .token_request(
                &[
                    ("grant_type", "authorization_code"),
                    ("code", code),
                    ("redirect_uri", &self.config.redirect_uri),
                    ("code_verifier", &attempt.verifier),
                ],
                browser,
                now,
            )
            .await?;
        let id_token = tokens
            .id_token
            .as_deref()
            .ok_or_else(|| ProviderError::InvalidResponse("there is no ID token".to_owned()))?;
        let claims = self.validate_id_token(id_token, &attempt.nonce, now).await?;
        Ok((tokens, claims))
    }

    /// Refreshes (RFC 6749 §6), on behalf of `browser`.
    ///
    /// # Errors
    /// [`ProviderError`]; `ErrorResponse("invalid_grant")` when the session has ended.
    pub async fn refresh(
        &self,
        refresh_token: &SecretString,
        request: &TokenRequest,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<Tokens, ProviderError> {
        let token = refresh_token.expose_secret();
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend(request.resource.as_deref().map(|resource| ("resource", resource)));
        fields.extend(request.scope.as_deref().map(|scope| ("scope", scope)));
        self.token_request(&fields, browser, now).await
    }

    /// Pushes an authorization request (RFC 9126 §2.1). Returns its `request_uri`.
    pub(crate) async fn push(
        &self,
        metadata: &ProviderMetadata,
        request: &[(&str, &str)],
    ) -> Result<String, ProviderError> {
        #[derive(Deserialize)]
        struct Pushed {
            request_uri: String,
        }
        let endpoint = metadata.pushed_authorization_request_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| {
            let why = "requests are to be pushed, and it names no endpoint for that";
            ProviderError::InvalidResponse(why.to_owned())
        })?;
        let response = self.post(endpoint, metadata, request, &Browser::default()).await?;
        if !response.status().is_success() {
            return Err(error_of(response).await);
        }
        let pushed: Pushed = serde_json::from_slice(&read_body(response).await?).map_err(|_| {
            ProviderError::InvalidResponse(
                "the answer to a pushed request cannot be read".to_owned(),
            )
        })?;
        Ok(pushed.request_uri)
    }

    /// Revokes a refresh token (RFC 7009 §2.1), if the provider has a revocation endpoint.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn revoke(&self, token: &SecretString, now: Timestamp) -> Result<(), ProviderError> {
        let discovery = self.discovery(now, METADATA_MAX_AGE).await?;
        let Some(endpoint) = &discovery.metadata.revocation_endpoint else { return Ok(()) };
        let fields = [("token", token.expose_secret()), ("token_type_hint", "refresh_token")];
        let response =
            self.post(endpoint, &discovery.metadata, &fields, &Browser::default()).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(error_of(response).await)
    }

    /// Whether the provider accepts this client's id and secret: it is asked for a refresh with a token that cannot
    /// exist. Client authentication comes first, so that `invalid_client` (RFC 6749 §5.2) is about the client alone.
    ///
    /// # Errors
    /// [`ProviderError`] when the provider cannot answer.
    pub async fn accepts_credentials(&self, now: Timestamp) -> Result<bool, ProviderError> {
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", "rt_are-the-credentials-right")];
        match self.token_request(&fields, &Browser::default(), now).await {
            Err(ProviderError::ErrorResponse(code)) => Ok(code != "invalid_client"),
            Err(error) => Err(error),
            Ok(_) => Ok(true),
        }
    }

    async fn token_request(
        &self,
        fields: &[(&str, &str)],
        browser: &Browser,
        now: Timestamp,
    ) -> Result<Tokens, ProviderError> {
        let discovery = self.discovery(now, METADATA_MAX_AGE).await?;
        let metadata = &discovery.metadata;
        let response = self.post(&metadata.token_endpoint, metadata, fields, browser).await?;
        if !response.status().is_success() {
            return Err(error_of(response).await);
        }
        let dpop_nonce = dpop_nonce(&response);
        let body = read_body(response).await?;
        let tokens: Tokens = serde_json::from_slice(&body).map_err(|_| {
            ProviderError::InvalidResponse("the token answer cannot be read".to_owned())
        })?;
        Ok(Tokens { dpop_nonce, ..tokens })
    }

    /// Posts a form with client authentication (RFC 6749 §2.3.1).
    async fn post(
        &self,
        endpoint: &str,
        metadata: &ProviderMetadata,
        fields: &[(&str, &str)],
        browser: &Browser,
    ) -> Result<reqwest::Response, ProviderError> {
        let mut request = self.http.post(self.backchannel(endpoint));
        for (name, value) in browser.headers() {
            request = request.header(name, value);
        }
        let mut form = fields.to_vec();
        let encode =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        // OpenID Connect Discovery §3: left out, it means client_secret_basic.
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let basic =
            methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        match &self.config.client_secret {
            Some(secret) if basic => {
                let id = encode(&self.config.client_id);
                request = request.basic_auth(id, Some(encode(secret.expose_secret())));
            }
            Some(secret) => {
                form.push(("client_id", &self.config.client_id));
                form.push(("client_secret", secret.expose_secret()));
            }
            None => form.push(("client_id", &self.config.client_id)),
        }
        Ok(request.form(&form).send().await?)
    }
}

fn dpop_nonce(response: &reqwest::Response) -> Option<String> {
    response.headers().get("dpop-nonce")?.to_str().ok().map(str::to_owned)
}

/// The error of an unsuccessful response. Only 400 and 401 with an error code (RFC 6749 §5.2) are an error response;
/// everything else means that the provider is unavailable.
async fn error_of(response: reqwest::Response) -> ProviderError {
    #[derive(Deserialize)]
    struct ErrorResponse {
        error: String,
    }
    let (status, nonce) = (response.status(), dpop_nonce(&response));
    let body = read_body(response).await.unwrap_or_default();
    match serde_json::from_slice::<ErrorResponse>(&body) {
        Ok(ErrorResponse { error: code })
            if ["use_dpop_nonce", "invalid_dpop_proof"].contains(&code.as_str()) =>
        {
            ProviderError::DpopProof(DpopRefusal { code, nonce })
        }
        Ok(response) if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => {
            ProviderError::ErrorResponse(response.error)
        }
        _ => ProviderError::Unavailable(status.to_string()),
    }
}
