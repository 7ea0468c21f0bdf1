//! An OpenID provider, as an app sees it: discovery, keys, the code flow, refresh, revocation.
//!
//! Requests are made here, and judged here; nothing of ours is assumed of the provider.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foundation::time::Timestamp;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokens::jws::Compact;
use tokens::{Algorithm, KeySet, Reject};
use tracing::{info, warn};
use url::{Url, form_urlencoded};

use crate::attempt::Attempt;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;
/// How long metadata and keys are believed before they are fetched again.
const FRESH_FOR: Duration = Duration::from_mins(10);
/// An ID token with an unknown key causes at most one fetch in this time.
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(30);
/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;

/// How to reach a provider, and as whom.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its issuer, compared exactly.
    pub issuer: String,
    /// Where this process reaches it, if not by the name that browsers use.
    pub backchannel_url: Option<String>,
    /// The app's id there.
    pub client_id: String,
    /// The app's secret there; none for a public app.
    pub client_secret: Option<SecretString>,
    /// The callback, as it is registered there.
    pub redirect_uri: String,
    /// Where the provider may send the browser after a sign-out, as it is registered there.
    pub post_logout_redirect_uri: String,
    /// What to ask for.
    pub scopes: String,
}

/// Which access token is wanted, of those that one sign-in can give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenRequest {
    /// For which API (RFC 8707); else the provider's choice.
    pub resource: Option<String>,
    /// For what: a part of what was granted (RFC 6749 §6); else all of it.
    pub scope: Option<String>,
}

/// An OpenID provider.
#[derive(Debug)]
pub struct Provider {
    config: ProviderConfig,
    http: reqwest::Client,
    known: RwLock<Option<Arc<ProviderMetadata>>>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct ProviderMetadata {
    metadata: Metadata,
    keys: KeySet,
    at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    revocation_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What the token endpoint gave.
#[derive(Deserialize)]
pub struct Tokens {
    /// For APIs.
    pub access_token: SecretString,
    /// For the next time.
    pub refresh_token: Option<SecretString>,
    /// About the person.
    pub id_token: Option<String>,
    /// Seconds the access token lives.
    pub expires_in: Option<u64>,
    /// Seconds the refresh token lives, if the provider says so (draft-ietf-oauth-refresh-token-expiration; Keycloak
    /// leaves out "token").
    #[serde(alias = "refresh_expires_in")]
    pub refresh_token_expires_in: Option<u64>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Why the provider gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It could not be reached, or had a fault: trying again may help, and nothing is lost.
    #[error("the provider cannot answer: {0}")]
    Unavailable(String),
    /// It refuses, with an error code of RFC 6749 §5.2.
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// It says something that cannot be right: a wrong issuer, a bad ID token.
    #[error("the provider's answer is not right: {0}")]
    Wrong(String),
}

impl From<reqwest::Error> for ProviderError {
    fn from(error: reqwest::Error) -> Self {
        // Without the URL: a query may hold what nobody should read in a log.
        Self::Unavailable(error.without_url().to_string())
    }
}

impl Provider {
    /// A provider that has not been asked anything yet.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] when no HTTP client can be made.
    pub fn new(config: ProviderConfig) -> Result<Self, ProviderError> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { config, http, known: RwLock::default(), fetching: tokio::sync::Mutex::default() })
    }

    /// Its settings.
    pub fn config(&self) -> &ProviderConfig {
        &self.config
    }

    /// Whether its metadata and keys are known.
    pub fn is_known(&self) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Fetches metadata and keys if they are not known, or old. The last good ones go on when it is away.
    ///
    /// # Errors
    /// [`ProviderError`] when nothing is known.
    pub async fn discover(&self, now: Timestamp) -> Result<(), ProviderError> {
        self.known_at(now, FRESH_FOR).await.map(drop)
    }

    async fn known_at(
        &self,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Arc<ProviderMetadata>, ProviderError> {
        let current = || self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = |known: &Arc<ProviderMetadata>| now.since(known.at) < max_age;
        if let Some(known) = current().filter(fresh) {
            return Ok(known);
        }
        let _turn = self.fetching.lock().await;
        if let Some(known) = current().filter(fresh) {
            return Ok(known);
        }
        match self.fetch(now).await {
            Ok(known) => {
                let known = Arc::new(known);
                if current().is_none() {
                    info!(issuer = self.config.issuer, "the provider is known");
                }
                *self.known.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::clone(&known));
                Ok(known)
            }
            Err(error) => match current() {
                Some(known) => {
                    warn!(%error, "the provider's keys could not be fetched again; the last ones go on");
                    Ok(known)
                }
                None => Err(error),
            },
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<ProviderMetadata, ProviderError> {
        let issuer = self.config.issuer.trim_end_matches('/');
        let url = self.reachable(&format!("{issuer}/.well-known/openid-configuration"));
        let metadata: Metadata = serde_json::from_slice(&self.get(&url).await?)
            .map_err(|error| ProviderError::Wrong(format!("{url}: {error}")))?;
        if metadata.issuer != self.config.issuer {
            return Err(ProviderError::Wrong(format!(
                "it calls itself `{}`, and `{}` was expected",
                metadata.issuer, self.config.issuer
            )));
        }
        let jwks = self.get(&self.reachable(&metadata.jwks_uri)).await?;
        let keys =
            KeySet::from_jwks(&jwks).map_err(|error| ProviderError::Wrong(error.to_string()))?;
        Ok(ProviderMetadata { metadata, keys, at: now })
    }

    /// The URL under which this process reaches what browsers reach under `url`.
    fn reachable(&self, url: &str) -> String {
        match (
            &self.config.backchannel_url,
            url.strip_prefix(self.config.issuer.trim_end_matches('/')),
        ) {
            (Some(base), Some(path)) => format!("{}{path}", base.trim_end_matches('/')),
            _ => url.to_owned(),
        }
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, ProviderError> {
        let answer = self.http.get(url).send().await?;
        if !answer.status().is_success() {
            return Err(ProviderError::Unavailable(format!("{url}: {}", answer.status())));
        }
        bounded(answer).await
    }

    /// Where to send a browser that wants to sign in.
    ///
    /// # Errors
    /// [`ProviderError`] when nothing is known of the provider.
    pub async fn authorization_url(
        &self,
        attempt: &Attempt,
        prompt: Option<&str>,
        now: Timestamp,
    ) -> Result<String, ProviderError> {
        let known = self.known_at(now, FRESH_FOR).await?;
        let mut url = Url::parse(&known.metadata.authorization_endpoint)
            .map_err(|error| ProviderError::Wrong(error.to_string()))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.config.redirect_uri)
            .append_pair("scope", &self.config.scopes)
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(prompt.map(|prompt| ("prompt", prompt)));
        Ok(url.into())
    }

    /// Checks the `iss` of an answer (RFC 9207): it must be there if the provider says that it always is.
    ///
    /// # Errors
    /// [`ProviderError::Wrong`].
    pub async fn check_iss(&self, iss: Option<&str>, now: Timestamp) -> Result<(), ProviderError> {
        let known = self.known_at(now, FRESH_FOR).await?;
        let promised = known.metadata.authorization_response_iss_parameter_supported;
        match iss {
            Some(iss) if iss == self.config.issuer => Ok(()),
            None if !promised => Ok(()),
            _ => Err(ProviderError::Wrong("the answer is from another issuer".to_owned())),
        }
    }

    /// Redeems a code. The claims are those of the ID token, checked.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn redeem(
        &self,
        code: &str,
        attempt: &Attempt,
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
                now,
            )
            .await?;
        let id_token = tokens
            .id_token
            .as_deref()
            .ok_or_else(|| ProviderError::Wrong("there is no ID token".to_owned()))?;
        let claims = self.check_id_token(id_token, &attempt.nonce, now).await?;
        Ok((tokens, claims))
    }

    /// Refreshes.
    ///
    /// # Errors
    /// [`ProviderError`]; `Refused("invalid_grant")` says that the session is over.
    pub async fn refresh(
        &self,
        refresh_token: &SecretString,
        wanted: &TokenRequest,
        now: Timestamp,
    ) -> Result<Tokens, ProviderError> {
        let token = refresh_token.expose_secret();
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend(wanted.resource.as_deref().map(|resource| ("resource", resource)));
        fields.extend(wanted.scope.as_deref().map(|scope| ("scope", scope)));
        self.token_request(&fields, now).await
    }

    /// Where to send a browser to end its sign-in at the provider (OpenID Connect RP-Initiated Logout 1.0 §2), if the
    /// provider has such a page.
    pub async fn logout_url(&self, id_token: Option<&str>, now: Timestamp) -> Option<String> {
        let known = self.known_at(now, FRESH_FOR).await.ok()?;
        let mut url = Url::parse(known.metadata.end_session_endpoint.as_deref()?).ok()?;
        url.query_pairs_mut()
            .extend_pairs(id_token.map(|hint| ("id_token_hint", hint)))
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", &self.config.post_logout_redirect_uri);
        Some(url.into())
    }

    /// Gives a refresh token back (RFC 7009), if the provider takes them.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn revoke(&self, token: &SecretString, now: Timestamp) -> Result<(), ProviderError> {
        let known = self.known_at(now, FRESH_FOR).await?;
        let Some(endpoint) = &known.metadata.revocation_endpoint else { return Ok(()) };
        let fields = [("token", token.expose_secret()), ("token_type_hint", "refresh_token")];
        let answer = self.post(endpoint, &known.metadata, &fields).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(failure(answer).await)
    }

    async fn token_request(
        &self,
        fields: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Tokens, ProviderError> {
        let known = self.known_at(now, FRESH_FOR).await?;
        let answer = self.post(&known.metadata.token_endpoint, &known.metadata, fields).await?;
        if !answer.status().is_success() {
            return Err(failure(answer).await);
        }
        let body = bounded(answer).await?;
        serde_json::from_slice(&body)
            .map_err(|_| ProviderError::Wrong("the token answer cannot be read".to_owned()))
    }

    async fn post(
        &self,
        endpoint: &str,
        metadata: &Metadata,
        fields: &[(&str, &str)],
    ) -> Result<reqwest::Response, ProviderError> {
        let mut request = self.http.post(self.reachable(endpoint));
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

    /// Checks an ID token (OpenID Connect Core §3.1.3.7): signature, issuer, audience, authorised party,
    /// expiry, nonce.
    async fn check_id_token(
        &self,
        text: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Map<String, Value>, ProviderError> {
        const ALLOWED: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
        let wrong = |what: &str| ProviderError::Wrong(format!("the ID token's {what}"));
        let token = Compact::parse(text).map_err(|reject| wrong(&reject.to_string()))?;
        let known = self.known_at(now, FRESH_FOR).await?;
        let mut checked = known.keys.check(&token, &ALLOWED);
        if checked == Err(Reject::UnknownKey) {
            let known = self.known_at(now, UNKNOWN_KEY_EVERY).await?;
            checked = known.keys.check(&token, &ALLOWED);
        }
        checked.map_err(|reject| wrong(&reject.to_string()))?;
        let claims = token.claims().map_err(|reject| wrong(&reject.to_string()))?;
        let is =
            |name: &str, expected: &str| claims.get(name).and_then(Value::as_str) == Some(expected);
        let client_id = self.config.client_id.as_str();
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => one == client_id,
            // With several audiences it has to say whom it was issued to.
            Some(Value::Array(many)) => {
                many.iter().any(|one| one == client_id) && (many.len() == 1 || is("azp", client_id))
            }
            _ => false,
        };
        let exp = claims.get("exp").and_then(Value::as_i64);
        if !is("iss", &self.config.issuer) {
            Err(wrong("issuer is another"))
        } else if !audience || (claims.contains_key("azp") && !is("azp", client_id)) {
            Err(wrong("audience is another"))
        } else if exp.is_none_or(|exp| exp + LEEWAY <= now.secs()) {
            Err(wrong("time is over"))
        } else if !is("nonce", nonce) {
            Err(wrong("nonce is another"))
        } else if claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
            Err(wrong("subject is missing"))
        } else {
            Ok(claims)
        }
    }
}

/// What an unsuccessful answer means. Only a clear refusal is one; everything else is a fault.
async fn failure(answer: reqwest::Response) -> ProviderError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let status = answer.status();
    let body = bounded(answer).await.unwrap_or_default();
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => {
            ProviderError::Refused(refusal.error)
        }
        _ => ProviderError::Unavailable(status.to_string()),
    }
}

async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(ProviderError::Wrong("the answer is too large".to_owned()));
        }
    }
    Ok(body)
}
