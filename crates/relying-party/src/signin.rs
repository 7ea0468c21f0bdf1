//! Sign-in, sessions and refresh together.

mod refresh;

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use foundation::random::Random;
use foundation::seal::{MasterSecret, Seal};
use foundation::time::{Clock, Timestamp};
use oidc_client::{Attempt, Provider, ProviderError, TokenRequest, Tokens};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::sleep;
use tracing::warn;

use self::refresh::Waiting;
use crate::session::{IdHash, SessionRecord, SessionStore, StoreError};

/// How long a session lasts at most. The provider may end it earlier.
pub const SESSION_TTL: Duration = Duration::from_hours(90 * 24);
/// What an access token's life is taken to be when the provider does not say.
const UNSAID_LIFE: u64 = 300;
/// When a refresh token is given back again that the provider could not take.
const GIVE_BACK_AGAIN: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_mins(1)];

/// The sign-in of one app.
#[derive(Debug)]
pub struct RelyingParty {
    provider: Arc<Provider>,
    store: Arc<dyn SessionStore>,
    attempts: Seal,
    sessions: Seal,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The provider was away a moment ago: until then (Unix milliseconds) tokens that are still good are used.
    resting_until: AtomicI64,
    /// Those who wait for a refresh in this process, by session: they take turns at the store.
    waiting: Mutex<HashMap<IdHash, Weak<Waiting>>>,
}

/// What is kept of a signed-in browser.
#[derive(Clone, Serialize, Deserialize)]
struct SessionData {
    claims: Map<String, Value>,
    /// Shown to the provider at sign-out.
    id_token: Option<String>,
    refresh_token: Option<String>,
    /// What was had last, for each that was wanted.
    tokens: Vec<KeptToken>,
    /// When the session ends however often it is refreshed.
    ends_at: i64,
}

#[derive(Clone, Serialize, Deserialize)]
struct KeptToken {
    wanted: TokenRequest,
    access_token: String,
    issued_at: i64,
    expires_at: i64,
}

impl SessionData {
    fn find(&self, wanted: &TokenRequest) -> Option<&KeptToken> {
        self.tokens.iter().find(|token| token.wanted == *wanted)
    }

    /// The newest token, whether it is still good or not.
    fn newest(&self, wanted: &TokenRequest) -> Option<AccessToken> {
        self.find(wanted).map(KeptToken::as_access_token)
    }
}

impl KeptToken {
    fn as_access_token(&self) -> AccessToken {
        AccessToken {
            token: self.access_token.clone().into(),
            expires_at: Timestamp::from_millis(self.expires_at),
        }
    }
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// The claims of the ID token.
    pub claims: Map<String, Value>,
}

impl Person {
    /// What apps tell their front ends about a person.
    pub fn profile(&self) -> Value {
        let known = ["sub", "name", "email"];
        let claims = known.map(|name| (name.to_owned(), self.claims.get(name).cloned()));
        Value::Object(claims.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

/// A token for an upstream API.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When it stops being valid.
    pub expires_at: Timestamp,
}

impl AccessToken {
    /// Of what the token endpoint gave at `now`.
    pub fn from_tokens(tokens: &Tokens, now: Timestamp) -> Self {
        Self { token: tokens.access_token.clone(), expires_at: now + life_of(tokens) }
    }
}

/// Where to send a browser that wants to sign in, and what it must bring back.
#[derive(Debug)]
pub struct AuthorizationRedirect {
    /// The provider's page.
    pub url: String,
    /// The last part of the cookie's name.
    pub label: String,
    /// The cookie's value.
    pub cookie: String,
}

/// What came back to the callback.
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
}

/// A browser that is signed in now.
#[derive(Debug)]
pub struct Finished {
    /// For the session cookie: new at every sign-in.
    pub session_id: SecretString,
    /// Where the person was going.
    pub return_to: String,
}

/// Why a callback does not sign in.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The attempt has expired, was another browser's, or was finished before: start again.
    #[error("this sign-in has expired or was finished before")]
    NoAttempt,
    /// The provider refused or could not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The session store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A sign-in that the provider has confirmed, and nobody has kept yet.
#[derive(Debug)]
pub struct VerifiedCallback {
    /// What the provider gave.
    pub tokens: Tokens,
    /// Who it is.
    pub person: Person,
    /// Where they were going.
    pub return_to: String,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody is signed in with this cookie.
    #[error("there is no session")]
    NoSession,
    /// The provider has ended the session; it is removed here too.
    #[error("the session has ended")]
    Ended,
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
    /// Puts it together. `secret` seals attempts and tokens at rest.
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
            clock,
            random,
            resting_until: AtomicI64::new(0),
            waiting: Mutex::default(),
        }
    }

    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The session store.
    pub fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    /// This moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Where randomness comes from.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Begins a sign-in that leads to `return_to`, a local path.
    ///
    /// # Errors
    /// [`ProviderError`] when the provider is not known.
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

    /// Checks what came back, and redeems the code. Nothing is kept.
    ///
    /// # Errors
    /// [`FinishError`].
    pub async fn confirm(&self, callback: &Callback<'_>) -> Result<VerifiedCallback, FinishError> {
        let now = self.now();
        let attempt = Attempt::unseal(&self.attempts, callback.cookie, callback.state, now)
            .ok_or(FinishError::NoAttempt)?;
        self.provider.check_iss(callback.iss, now).await?;
        let (tokens, claims) = self.provider.redeem(callback.code, &attempt, now).await?;
        Ok(VerifiedCallback { tokens, person: Person { claims }, return_to: attempt.return_to })
    }

    /// Finishes a sign-in: a new session, whatever came before. `old_id` is the browser's session until now.
    ///
    /// # Errors
    /// [`FinishError`].
    pub async fn finish(
        &self,
        callback: &Callback<'_>,
        old_id: Option<&str>,
    ) -> Result<Finished, FinishError> {
        let VerifiedCallback { tokens, person, return_to } = self.confirm(callback).await?;
        let id = self.random.token();
        let hash = IdHash::of(&id);
        let latest = self.now() + SESSION_TTL;
        let expires_at = self.end_of_session(&tokens, tokens.refresh_token.is_some(), latest);
        let kept = SessionData {
            claims: person.claims,
            ends_at: latest.millis(),
            tokens: vec![self.kept_token(&tokens, &TokenRequest::default())],
            refresh_token: tokens.refresh_token.map(|token| token.expose_secret().to_owned()),
            id_token: tokens.id_token,
        };
        let sealed = self.close(&hash, &kept);
        self.store
            .create(&hash, &SessionRecord { version: 1, leased: false, sealed, expires_at })
            .await?;
        if let Some(old) = old_id {
            // Its refresh token is not given back: some providers would end the new one with it.
            if let Err(error) = self.store.remove(&IdHash::of(old)).await {
                warn!(%error, "the session before could not be removed");
            }
        }
        Ok(Finished { session_id: id.into(), return_to })
    }

    fn kept_token(&self, tokens: &Tokens, wanted: &TokenRequest) -> KeptToken {
        let now = self.now();
        KeptToken {
            wanted: wanted.clone(),
            access_token: tokens.access_token.expose_secret().to_owned(),
            issued_at: now.millis(),
            expires_at: (now + life_of(tokens)).millis(),
        }
    }

    /// A session ends with its refresh token, or if there is none, with its access token.
    fn end_of_session(&self, tokens: &Tokens, refreshable: bool, latest: Timestamp) -> Timestamp {
        let end = if refreshable {
            tokens.refresh_token_expires_in.map(Duration::from_secs)
        } else {
            Some(life_of(tokens))
        };
        end.map_or(latest, |end| (self.now() + end).min(latest))
    }

    fn close(&self, id: &IdHash, kept: &SessionData) -> Vec<u8> {
        let plain = serde_json::to_vec(kept).expect("a session is JSON");
        self.sessions.seal(id.as_bytes(), &plain)
    }

    fn unseal(&self, id: &IdHash, stored: &SessionRecord) -> Option<SessionData> {
        let plain = self.sessions.unseal(id.as_bytes(), &stored.sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// What is kept under an id. What cannot be opened any more (another secret) counts as gone.
    async fn open(&self, id: &IdHash) -> Result<Option<(SessionRecord, SessionData)>, StoreError> {
        let Some(stored) = self.store.read(id, self.now()).await? else { return Ok(None) };
        let kept = self.unseal(id, &stored);
        Ok(kept.map(|kept| (stored, kept)))
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn person(&self, session_id: &str) -> Result<Option<Person>, StoreError> {
        let found = self.open(&IdHash::of(session_id)).await?;
        Ok(found.map(|(_, kept)| Person { claims: kept.claims }))
    }

    /// Signs out: the session is gone here, and its refresh token is given back to the provider. Answers where the
    /// browser can end its sign-in at the provider.
    ///
    /// # Errors
    /// [`StoreError`]; that the provider cannot be reached is no error: it is told again a little later.
    pub async fn sign_out(&self, session_id: &str) -> Result<Option<String>, StoreError> {
        let id = IdHash::of(session_id);
        let removed = self.store.remove(&id).await?;
        let kept = removed.and_then(|stored| self.unseal(&id, &stored));
        let (refresh_token, id_token) =
            kept.map_or((None, None), |kept| (kept.refresh_token, kept.id_token));
        self.give_back(refresh_token.map(Into::into)).await;
        Ok(self.provider.logout_url(id_token.as_deref(), self.now()).await)
    }

    /// Gives a refresh token back to the provider: at once, or a little later if it is away.
    pub async fn give_back(&self, refresh_token: Option<SecretString>) {
        let Some(token) = refresh_token else { return };
        let Err(error) = self.provider.revoke(&token, self.now()).await else { return };
        warn!(%error, "a refresh token could not be given back; trying again");
        let (provider, clock) = (Arc::clone(&self.provider), Arc::clone(&self.clock));
        tokio::spawn(async move {
            for wait in GIVE_BACK_AGAIN {
                sleep(wait).await;
                match provider.revoke(&token, clock.now()).await {
                    Ok(()) => return,
                    Err(error) => warn!(%error, "a refresh token could not be given back"),
                }
            }
        });
    }
}

/// How long an access token lives.
fn life_of(tokens: &Tokens) -> Duration {
    Duration::from_secs(tokens.expires_in.unwrap_or(UNSAID_LIFE))
}
