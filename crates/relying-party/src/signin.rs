//! Sign-in, sessions and refresh together.

mod access_token;
mod ends;
mod refresh;
mod revocation;
mod user;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use foundation::random::Random;
use foundation::seal::{MasterSecret, Seal};
use foundation::time::{Clock, Timestamp};
use oidc_client::token_endpoint::bearer;
use oidc_client::{Attempt, Browser, DpopRefusal, Provider, ProviderError, TokenRequest, Tokens};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

pub use self::access_token::AccessToken;
pub use self::ends::{LogoutError, Reason};
use self::refresh::Waiting;
pub use self::revocation::REVOCATION_INTERVAL;
pub use self::user::{EmailTrust, User};
pub use self::watch::{Notice, SessionWatch, WATCH_INTERVAL};
use crate::session::{IdHash, SessionRecord, SessionStore, StoreError};

/// Longest life of a session. The provider may end it earlier.
pub const SESSION_TTL: Duration = Duration::from_hours(90 * 24);
/// Lifetime of an access token in seconds, if the response has no `expires_in`.
const DEFAULT_LIFETIME: u64 = 300;

/// The relying party: sign-in and sessions of one app.
#[derive(Debug)]
pub struct RelyingParty {
    provider: Arc<Provider>,
    store: Arc<dyn SessionStore>,
    attempts: Seal,
    sessions: Seal,
    revocations: Seal,
    email_trust: EmailTrust,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// End of the pause after a failed request (Unix milliseconds): until then, tokens that are still valid are used.
    resting_until: AtomicI64,
    /// Requests of this process that wait for a refresh, by session: they take turns at the store.
    waiting: Mutex<HashMap<IdHash, Weak<Waiting>>>,
    /// Sessions with streams.
    watched: watch::Watched,
    /// Ends that the provider has published.
    ends: ends::Ends,
}

/// The data of a session, sealed in the store.
#[derive(Clone, Serialize, Deserialize)]
struct SessionData {
    claims: Map<String, Value>,
    /// Shown to the provider at sign-out.
    id_token: Option<String>,
    refresh_token: Option<String>,
    /// The newest access token for each token request.
    tokens: Vec<CachedToken>,
    /// Absolute end of the session (Unix milliseconds), however often it is refreshed.
    ends_at: i64,
}

#[derive(Clone, Serialize, Deserialize)]
struct CachedToken {
    /// `wanted` in sessions of earlier versions.
    #[serde(alias = "wanted")]
    request: TokenRequest,
    access_token: String,
    #[serde(default = "bearer")]
    token_type: String,
    issued_at: i64,
    expires_at: i64,
}

impl SessionData {
    fn find(&self, request: &TokenRequest) -> Option<&CachedToken> {
        self.tokens.iter().find(|token| token.request == *request)
    }

    /// The newest token for a request, even if it has expired.
    fn newest(&self, request: &TokenRequest) -> Option<AccessToken> {
        self.find(request).map(CachedToken::as_access_token)
    }
}

impl CachedToken {
    fn as_access_token(&self) -> AccessToken {
        AccessToken {
            token: self.access_token.clone().into(),
            token_type: self.token_type.clone(),
            expires_at: Timestamp::from_millis(self.expires_at),
            dpop_nonce: None,
        }
    }
}

/// An authorization request: the URL to redirect to, and the cookie that the callback needs.
#[derive(Debug)]
pub struct AuthorizationRedirect {
    /// URL of the authorization request.
    pub url: String,
    /// The last part of the cookie's name.
    pub label: String,
    /// The cookie's value.
    pub cookie: String,
}

/// An authorization response (RFC 6749 §4.1.2), with the cookie of its attempt.
#[derive(Debug)]
pub struct Callback<'a> {
    /// The code.
    pub code: &'a str,
    /// The state.
    pub state: &'a str,
    /// The issuer (RFC 9207).
    pub iss: Option<&'a str>,
    /// The cookie of the attempt with this state.
    pub cookie: &'a str,
    /// The browser that brought it.
    pub browser: &'a Browser,
}

/// The session that a callback created.
#[derive(Debug)]
pub struct NewSession {
    /// Session id for the cookie: new at every sign-in.
    pub session_id: SecretString,
    /// Local path to which the sign-in leads.
    pub return_to: String,
}

/// The result of a sign-out. The session is gone here in any case.
#[derive(Debug)]
pub struct SignOut {
    /// Whether the provider knows; if not, it is told as soon as it answers.
    pub is_revoked: bool,
    /// URL at which the browser ends its sign-in at the provider.
    pub logout_url: Option<String>,
}

/// Error of a callback.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The attempt has expired, was another browser's, or was finished before: start again.
    #[error("this sign-in has expired or was finished before")]
    NoAttempt,
    /// The provider sent an error response, or could not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The session store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An authorization response whose code has been exchanged. No session exists yet.
#[derive(Debug)]
pub struct VerifiedCallback {
    /// Tokens of the token response.
    pub tokens: Tokens,
    /// Claims of the ID token.
    pub claims: Map<String, Value>,
    /// Local path to which the sign-in leads.
    pub return_to: String,
}

/// Error of a request for an access token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no session with this id.
    #[error("there is no session")]
    NoSession,
    /// The provider has ended the session; it is removed here too.
    #[error("the session has ended")]
    Ended,
    /// The provider refuses the browser's DPoP proof (RFC 9449 §5, §8): the browser makes another. The session stays.
    #[error("the provider refuses the DPoP proof: {}", .0.code)]
    DpopProof(DpopRefusal),
    /// The provider or the store could not answer: the session stays.
    #[error("a fresh token cannot be had right now: {0}")]
    Unavailable(String),
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl RelyingParty {
    /// The issuer of the provider.
    pub fn issuer(&self) -> &str {
        &self.provider.config().issuer
    }

    /// A relying party. `secret` seals attempts and sessions.
    pub fn new(
        provider: Provider,
        store: Arc<dyn SessionStore>,
        secret: &MasterSecret,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            provider: Arc::new(provider),
            store,
            attempts: secret.seal("attempts"),
            sessions: secret.seal("sessions"),
            revocations: secret.seal("revocations"),
            email_trust: EmailTrust::default(),
            clock,
            random,
            resting_until: AtomicI64::new(0),
            waiting: Mutex::default(),
            watched: watch::Watched::default(),
            ends: ends::Ends::default(),
        }
    }

    /// Tells users' email addresses when `trust` says so, instead of when `email_verified` is true.
    #[must_use]
    pub fn with_email_trust(mut self, trust: EmailTrust) -> Self {
        self.email_trust = trust;
        self
    }

    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The session store.
    pub fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    /// Current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Source of randomness.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Begins a sign-in that leads to `return_to`, a local path.
    ///
    /// # Errors
    /// [`ProviderError`] when discovery has never succeeded.
    pub async fn begin(
        &self,
        return_to: &str,
        prompt: Option<&str>,
    ) -> Result<AuthorizationRedirect, ProviderError> {
        let attempt = Attempt::new(&*self.random, return_to, self.now());
        Ok(AuthorizationRedirect {
            url: self.provider.authorization_url(&attempt, prompt, self.now()).await?,
            label: Attempt::label(&attempt.state),
            cookie: attempt.seal(&self.attempts),
        })
    }

    /// Expiry of the attempt in a cookie; `None` if the cookie is none of ours.
    pub fn attempt_expiry(&self, cookie: &str) -> Option<Timestamp> {
        Attempt::expiry(&self.attempts, cookie)
    }

    /// Checks an authorization response and exchanges its code. Creates no session.
    ///
    /// # Errors
    /// [`CallbackError`].
    pub async fn confirm(
        &self,
        callback: &Callback<'_>,
    ) -> Result<VerifiedCallback, CallbackError> {
        let now = self.now();
        let attempt = Attempt::unseal(&self.attempts, callback.cookie, callback.state, now)
            .ok_or(CallbackError::NoAttempt)?;
        self.provider.check_iss(callback.iss, now).await?;
        let (tokens, claims) =
            self.provider.redeem(callback.code, &attempt, callback.browser, now).await?;
        Ok(VerifiedCallback { tokens, claims, return_to: attempt.return_to })
    }

    /// Finishes a sign-in with a new session. `old_id` is the session that the browser has had until now; it is removed.
    ///
    /// # Errors
    /// [`CallbackError`].
    pub async fn finish(
        &self,
        callback: &Callback<'_>,
        old_id: Option<&str>,
    ) -> Result<NewSession, CallbackError> {
        let VerifiedCallback { tokens, claims, return_to } = self.confirm(callback).await?;
        let id = self.random.token();
        let hash = IdHash::of(&id);
        let latest = self.now() + SESSION_TTL;
        let expires_at = self.end_of_session(&tokens, tokens.refresh_token.is_some(), latest);
        let data = SessionData {
            claims,
            ends_at: latest.millis(),
            tokens: vec![self.cached_token(&tokens, &TokenRequest::default())],
            refresh_token: tokens.refresh_token.map(|token| token.expose_secret().to_owned()),
            id_token: tokens.id_token,
        };
        let sealed = self.seal(&hash, &data);
        self.add_handles(&hash, &data.claims, latest).await?;
        self.store
            .create(&hash, &SessionRecord { version: 1, leased: false, sealed, expires_at })
            .await?;
        if let Some(old) = old_id {
            // Its refresh token is not revoked: some providers would end the new one with it.
            if let Err(error) = self.remove(&IdHash::of(old)).await {
                warn!(%error, "the session before could not be removed");
            }
        }
        Ok(NewSession { session_id: id.into(), return_to })
    }

    fn cached_token(&self, tokens: &Tokens, request: &TokenRequest) -> CachedToken {
        let now = self.now();
        CachedToken {
            request: request.clone(),
            access_token: tokens.access_token.expose_secret().to_owned(),
            token_type: tokens.token_type.clone(),
            issued_at: now.millis(),
            expires_at: (now + lifetime_of(tokens)).millis(),
        }
    }

    /// A session ends with its refresh token, or if there is none, with its access token.
    fn end_of_session(&self, tokens: &Tokens, refreshable: bool, latest: Timestamp) -> Timestamp {
        let end = if refreshable {
            tokens.refresh_token_expires_in.map(Duration::from_secs)
        } else {
            Some(lifetime_of(tokens))
        };
        end.map_or(latest, |end| (self.now() + end).min(latest))
    }

    fn seal(&self, id: &IdHash, data: &SessionData) -> Vec<u8> {
        let plain = serde_json::to_vec(data).expect("a session is JSON");
        self.sessions.seal(id.as_bytes(), &plain)
    }

    fn unseal(&self, id: &IdHash, record: &SessionRecord) -> Option<SessionData> {
        let plain = self.sessions.unseal(id.as_bytes(), &record.sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// The session of an id; `None` if there is none, or if it cannot be unsealed (another secret). One that has ended at
    /// the provider is removed.
    async fn load(&self, id: &IdHash) -> Result<Option<(SessionRecord, SessionData)>, StoreError> {
        let Some(record) = self.store.read(id, self.now()).await? else { return Ok(None) };
        let Some(data) = self.unseal(id, &record) else { return Ok(None) };
        if let Some(reason) = data.identity().and_then(|identity| self.known_end(&identity)) {
            self.remove_ended(id, &reason).await?;
            return Ok(None);
        }
        Ok(Some((record, data)))
    }

    /// Removes a session, and ends its streams.
    async fn remove(&self, id: &IdHash) -> Result<Option<SessionRecord>, StoreError> {
        let removed = self.store.remove(id).await?;
        self.watched.tell(id, self.ends.reason_of(id).as_ref());
        Ok(removed)
    }

    /// The user of a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&self, session_id: &str) -> Result<Option<User>, StoreError> {
        let found = self.load(&IdHash::of(session_id)).await?;
        Ok(found.map(|(_, data)| self.user_of(data.claims)))
    }

    /// The user with these claims of an ID token.
    pub fn user_of(&self, claims: Map<String, Value>) -> User {
        User::new(claims, &self.email_trust)
    }

    /// Signs out: removes the session and revokes its refresh token.
    ///
    /// # Errors
    /// [`StoreError`]; an unavailable provider is no error: the revocation is kept and tried again.
    pub async fn sign_out(&self, session_id: &str) -> Result<SignOut, StoreError> {
        let id = IdHash::of(session_id);
        let removed = self.remove(&id).await?;
        let data = removed.and_then(|record| self.unseal(&id, &record));
        let (refresh_token, id_token) =
            data.map_or((None, None), |data| (data.refresh_token, data.id_token));
        let is_revoked = match refresh_token {
            Some(token) => self.revoke(token.into()).await,
            None => true,
        };
        let logout_url = self.provider.logout_url(id_token.as_deref(), self.now()).await;
        Ok(SignOut { is_revoked, logout_url })
    }
}

/// Lifetime of the access token of a token response.
fn lifetime_of(tokens: &Tokens) -> Duration {
    Duration::from_secs(tokens.expires_in.unwrap_or(DEFAULT_LIFETIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_the_previous_version_is_read() {
        let data: SessionData = serde_json::from_str(
            r#"{"claims":{"sub":"ann"},"id_token":null,"refresh_token":"rt","ends_at":9,"tokens":[
                {"wanted":{"resource":"orders","scope":null},"access_token":"at","issued_at":1,"expires_at":2}]}"#,
        )
        .unwrap();
        let request =
            TokenRequest { resource: Some("orders".to_owned()), ..TokenRequest::default() };
        assert_eq!(data.newest(&request).unwrap().token.expose_secret(), "at");
    }
}
