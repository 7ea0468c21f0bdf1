//! Sign-in, sessions and refresh together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service::random::Random;
use service::seal::{MasterSecret, Seal};
use service::time::{Clock, Timestamp};
use tracing::{info, warn};

use crate::attempt::Attempt;
use crate::provider::{Provider, ProviderError, Tokens};
use crate::session::{IdHash, SessionStore, StoreError, Stored};

/// How long a session lasts at most. The provider may end it earlier.
const SESSION_TTL: Duration = Duration::from_hours(90 * 24);
/// How far ahead of its end an access token is refreshed; a fifth of its life, if that is shorter.
const REFRESH_AHEAD: Duration = Duration::from_mins(5);
/// What an access token's life is taken to be when the provider does not say.
const UNSAID_LIFE: u64 = 300;

/// The sign-in of one app.
#[derive(Debug)]
pub struct RelyingParty {
    provider: Provider,
    store: SessionStore,
    attempts: Seal,
    sessions: Seal,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// One lock for each session that is being refreshed in this process.
    refreshing: Mutex<HashMap<IdHash, Weak<tokio::sync::Mutex<()>>>>,
}

/// What is kept of a signed-in browser.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    claims: Map<String, Value>,
    access_token: String,
    refresh_token: Option<String>,
    issued_at: i64,
    token_expires_at: i64,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// The claims of the ID token.
    pub claims: Map<String, Value>,
}

/// A token for an upstream API.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When it stops being valid.
    pub expires_at: Timestamp,
}

/// Where to send a browser that wants to sign in, and what it must bring back.
#[derive(Debug)]
pub struct Begun {
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
        store: SessionStore,
        secret: &MasterSecret,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            provider,
            store,
            attempts: secret.seal("attempts"),
            sessions: secret.seal("sessions"),
            clock,
            random,
            refreshing: Mutex::default(),
        }
    }

    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The session store.
    pub fn store(&self) -> &SessionStore {
        &self.store
    }

    /// This moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins a sign-in that leads to `return_to`, a local path.
    ///
    /// # Errors
    /// [`ProviderError`] when the provider is not known.
    pub async fn begin(
        &self,
        return_to: &str,
        prompt: Option<&str>,
    ) -> Result<Begun, ProviderError> {
        let attempt = Attempt::new(&*self.random, return_to, self.now());
        Ok(Begun {
            url: self.provider.authorization_url(&attempt, prompt, self.now()).await?,
            label: Attempt::label(&attempt.state),
            cookie: attempt.close(&self.attempts),
        })
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
        let now = self.now();
        let attempt = Attempt::open(&self.attempts, callback.cookie, callback.state, now)
            .ok_or(FinishError::NoAttempt)?;
        self.provider.check_iss(callback.iss, now).await?;
        let (tokens, claims) = self.provider.redeem(callback.code, &attempt, now).await?;
        let id = self.random.token();
        let hash = IdHash::of(&id);
        let kept = self.kept(tokens, claims);
        let stored =
            Stored { version: 1, sealed: self.close(&hash, &kept), expires_at: now + SESSION_TTL };
        self.store.create(&hash, &stored).await?;
        if let Some(old) = old_id {
            // The provider has ended the family before this one by itself; a failure here leaves a row behind.
            if let Err(error) = self.store.remove(&IdHash::of(old)).await {
                warn!(%error, "the session before could not be removed");
            }
        }
        Ok(Finished { session_id: id.into(), return_to: attempt.return_to })
    }

    fn kept(&self, tokens: Tokens, claims: Map<String, Value>) -> Kept {
        let now = self.now();
        let life = Duration::from_secs(tokens.expires_in.unwrap_or(UNSAID_LIFE));
        Kept {
            claims,
            access_token: tokens.access_token.expose_secret().to_owned(),
            refresh_token: tokens.refresh_token.map(|token| token.expose_secret().to_owned()),
            issued_at: now.millis(),
            token_expires_at: (now + life).millis(),
        }
    }

    fn close(&self, id: &IdHash, kept: &Kept) -> Vec<u8> {
        let plain = serde_json::to_vec(kept).expect("a session is JSON");
        self.sessions.close(format!("{id:?}").as_bytes(), &plain)
    }

    /// What is kept under an id. What cannot be opened any more (another secret) counts as gone.
    async fn open(&self, id: &IdHash) -> Result<Option<(Stored, Kept)>, StoreError> {
        let Some(stored) = self.store.read(id, self.now()).await? else { return Ok(None) };
        let plain = self.sessions.open(format!("{id:?}").as_bytes(), &stored.sealed);
        let kept = plain.ok().and_then(|plain| serde_json::from_slice(&plain).ok());
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

    /// A token that is good for a while, refreshed if it is time: once per session, however many ask.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn access_token(&self, session_id: &str) -> Result<AccessToken, TokenError> {
        let id = IdHash::of(session_id);
        let (_, kept) = self.open(&id).await?.ok_or(TokenError::NoSession)?;
        if !self.is_due(&kept) {
            return Ok(token_of(&kept));
        }
        let lock = self.lock_of(&id);
        let _turn = lock.lock().await;
        // Whoever had the turn before has refreshed.
        let (stored, kept) = self.open(&id).await?.ok_or(TokenError::NoSession)?;
        if !self.is_due(&kept) {
            return Ok(token_of(&kept));
        }
        self.refresh(&id, stored, kept).await
    }

    fn is_due(&self, kept: &Kept) -> bool {
        let issued_at = Timestamp::from_millis(kept.issued_at);
        let expires_at = Timestamp::from_millis(kept.token_expires_at);
        let ahead = (expires_at.since(issued_at) / 5).min(REFRESH_AHEAD);
        self.now() + ahead >= expires_at
    }

    async fn refresh(
        &self,
        id: &IdHash,
        stored: Stored,
        kept: Kept,
    ) -> Result<AccessToken, TokenError> {
        let still_good = Timestamp::from_millis(kept.token_expires_at) > self.now();
        let Some(refresh_token) = kept.refresh_token.clone() else {
            if still_good {
                return Ok(token_of(&kept));
            }
            self.store.remove(id).await?;
            return Err(TokenError::Ended);
        };
        match self.provider.refresh(&refresh_token.clone().into(), self.now()).await {
            Ok(tokens) => {
                let claims = kept.claims.clone();
                let mut new = self.kept(tokens, claims);
                // A provider that does not rotate says nothing, and means the same one.
                new.refresh_token = new.refresh_token.or(Some(refresh_token));
                let update = Stored {
                    version: stored.version + 1,
                    sealed: self.close(id, &new),
                    expires_at: stored.expires_at,
                };
                if self.store.update(id, &update).await? {
                    return Ok(token_of(&new));
                }
                // Another process was faster, or somebody signed out meanwhile: the store says which.
                let (_, kept) = self.open(id).await?.ok_or(TokenError::NoSession)?;
                Ok(token_of(&kept))
            }
            Err(ProviderError::Refused(code)) if code == "invalid_grant" => {
                info!("the provider has ended the session");
                self.store.remove(id).await?;
                Err(TokenError::Ended)
            }
            Err(error) if still_good => {
                warn!(%error, "the token could not be refreshed; the one at hand is still good");
                Ok(token_of(&kept))
            }
            Err(error) => Err(TokenError::Unavailable(error.to_string())),
        }
    }

    fn lock_of(&self, id: &IdHash) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(id).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::default());
        locks.insert(id.clone(), Arc::downgrade(&lock));
        lock
    }

    /// Says that an upstream refused a token that seemed good: the session may have ended at the provider.
    /// The next token is a fresh one, or the session is found ended.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn token_after_refusal(
        &self,
        session_id: &str,
        refused: &AccessToken,
    ) -> Result<AccessToken, TokenError> {
        let id = IdHash::of(session_id);
        let lock = self.lock_of(&id);
        let _turn = lock.lock().await;
        let (stored, kept) = self.open(&id).await?.ok_or(TokenError::NoSession)?;
        if kept.access_token != refused.token.expose_secret() {
            return Ok(token_of(&kept));
        }
        self.refresh(&id, stored, kept).await
    }

    /// Signs out: the session is gone here, and its refresh token is given back to the provider.
    ///
    /// # Errors
    /// [`StoreError`]; that the provider cannot be reached is no error, only a line in the log.
    pub async fn sign_out(&self, session_id: &str) -> Result<(), StoreError> {
        let id = IdHash::of(session_id);
        let lock = self.lock_of(&id);
        let _turn = lock.lock().await;
        let found = self.open(&id).await?;
        self.store.remove(&id).await?;
        if let Some(token) = found.and_then(|(_, kept)| kept.refresh_token)
            && let Err(error) = self.provider.revoke(&token.into(), self.now()).await
        {
            warn!(%error, "the refresh token could not be given back; it will expire");
        }
        Ok(())
    }
}

fn token_of(kept: &Kept) -> AccessToken {
    AccessToken {
        token: kept.access_token.clone().into(),
        expires_at: Timestamp::from_millis(kept.token_expires_at),
    }
}
