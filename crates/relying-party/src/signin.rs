//! Sign-in, sessions and refresh together.
//!
//! **One refresh per session**, however many requests, processes and replicas: whoever wants to refresh *claims* the
//! session first, by a guarded write in the store that all share. A claim does not run out while its holder lives: it
//! writes again every second. Another one takes over only after it has seen the session unchanged for
//! [`SILENCE`] by its own watch, so clocks are never compared. Meanwhile a token that is still good is used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service::random::Random;
use service::seal::{MasterSecret, Seal};
use service::time::{Clock, Timestamp};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::attempt::Attempt;
use crate::provider::{Provider, ProviderError, Tokens, Wanted};
use crate::session::{IdHash, SessionStore, StoreError, Stored};

/// How long a session lasts at most. The provider may end it earlier.
pub const SESSION_TTL: Duration = Duration::from_hours(90 * 24);
/// How far ahead of its end an access token is refreshed; a fifth of its life, if that is shorter.
const REFRESH_AHEAD: Duration = Duration::from_mins(5);
/// What an access token's life is taken to be when the provider does not say.
const UNSAID_LIFE: u64 = 300;
/// A token this close to its end might not arrive in time.
const MARGIN: Duration = Duration::from_secs(1);
/// How often a holder shows that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// Beats that have to be missed before another one takes a claim over.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a provider that was away is left alone by those who need not ask.
const REST: Duration = Duration::from_secs(2);
/// How often those who wait look again.
const POLL: Duration = Duration::from_millis(50);
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

#[derive(Debug, Default)]
struct Waiting {
    /// How often one of them has tried to refresh.
    tries: AtomicU64,
    /// What went wrong at the last try, so that not everyone waits for the same fault in turn.
    turn: tokio::sync::Mutex<Option<String>>,
}

/// What is kept of a signed-in browser.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
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
    wanted: Wanted,
    access_token: String,
    issued_at: i64,
    expires_at: i64,
}

impl Kept {
    fn find(&self, wanted: &Wanted) -> Option<&KeptToken> {
        self.tokens.iter().find(|token| token.wanted == *wanted)
    }

    /// The newest token, whether it is still good or not.
    fn newest(&self, wanted: &Wanted) -> Option<AccessToken> {
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

/// A sign-in that the provider has confirmed, and nobody has kept yet.
#[derive(Debug)]
pub struct Confirmed {
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
    ) -> Result<Begun, ProviderError> {
        let attempt = Attempt::new(&*self.random, return_to, self.now());
        Ok(Begun {
            url: self.provider.authorization_url(&attempt, prompt, self.now()).await?,
            label: Attempt::label(&attempt.state),
            cookie: attempt.close(&self.attempts),
        })
    }

    /// Checks what came back, and redeems the code. Nothing is kept.
    ///
    /// # Errors
    /// [`FinishError`].
    pub async fn confirm(&self, callback: &Callback<'_>) -> Result<Confirmed, FinishError> {
        let now = self.now();
        let attempt = Attempt::open(&self.attempts, callback.cookie, callback.state, now)
            .ok_or(FinishError::NoAttempt)?;
        self.provider.check_iss(callback.iss, now).await?;
        let (tokens, claims) = self.provider.redeem(callback.code, &attempt, now).await?;
        Ok(Confirmed { tokens, person: Person { claims }, return_to: attempt.return_to })
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
        let Confirmed { tokens, person, return_to } = self.confirm(callback).await?;
        let id = self.random.token();
        let hash = IdHash::of(&id);
        let latest = self.now() + SESSION_TTL;
        let expires_at = self.end_of_session(&tokens, tokens.refresh_token.is_some(), latest);
        let kept = Kept {
            claims: person.claims,
            ends_at: latest.millis(),
            tokens: vec![self.kept_token(&tokens, &Wanted::default())],
            refresh_token: tokens.refresh_token.map(|token| token.expose_secret().to_owned()),
            id_token: tokens.id_token,
        };
        let sealed = self.close(&hash, &kept);
        self.store
            .create(&hash, &Stored { version: 1, claimed: false, sealed, expires_at })
            .await?;
        if let Some(old) = old_id {
            // Its refresh token is not given back: some providers would end the new one with it.
            if let Err(error) = self.store.remove(&IdHash::of(old)).await {
                warn!(%error, "the session before could not be removed");
            }
        }
        Ok(Finished { session_id: id.into(), return_to })
    }

    fn kept_token(&self, tokens: &Tokens, wanted: &Wanted) -> KeptToken {
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

    fn close(&self, id: &IdHash, kept: &Kept) -> Vec<u8> {
        let plain = serde_json::to_vec(kept).expect("a session is JSON");
        self.sessions.close(id.as_bytes(), &plain)
    }

    fn unseal(&self, id: &IdHash, stored: &Stored) -> Option<Kept> {
        let plain = self.sessions.open(id.as_bytes(), &stored.sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// What is kept under an id. What cannot be opened any more (another secret) counts as gone.
    async fn open(&self, id: &IdHash) -> Result<Option<(Stored, Kept)>, StoreError> {
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

    /// A token that is good for a while, refreshed if it is time: once per session, however many ask.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn access_token(
        &self,
        session_id: &str,
        wanted: &Wanted,
    ) -> Result<AccessToken, TokenError> {
        let id = IdHash::of(session_id);
        let (stored, kept) = self.open(&id).await?.ok_or(TokenError::NoSession)?;
        match self.at_hand(&stored, &kept, wanted, None) {
            Some(token) => Ok(token),
            None => self.refreshed(&id, wanted, None).await,
        }
    }

    /// Says that an API refused a token that seemed good: the session may have ended at the provider.
    /// The next token is a fresh one, or the session is found ended.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn token_after_refusal(
        &self,
        session_id: &str,
        wanted: &Wanted,
        refused: &SecretString,
    ) -> Result<AccessToken, TokenError> {
        self.refreshed(&IdHash::of(session_id), wanted, Some(refused.expose_secret())).await
    }

    /// A token that need not be waited for: fresh, or still good while somebody is refreshing, while the provider is
    /// away, or where there is no refresh token.
    fn at_hand(
        &self,
        stored: &Stored,
        kept: &Kept,
        wanted: &Wanted,
        refused: Option<&str>,
    ) -> Option<AccessToken> {
        let token = kept.find(wanted)?;
        if refused == Some(token.access_token.as_str()) {
            return None;
        }
        let issued_at = Timestamp::from_millis(token.issued_at);
        let expires_at = Timestamp::from_millis(token.expires_at);
        let ahead = (expires_at.since(issued_at) / 5).min(REFRESH_AHEAD);
        let now = self.now();
        let is_fresh = now + ahead < expires_at;
        let is_resting = now.millis() < self.resting_until.load(Ordering::SeqCst);
        let is_all_there_is = stored.claimed || is_resting || kept.refresh_token.is_none();
        (is_fresh || (is_all_there_is && now + MARGIN < expires_at))
            .then(|| token.as_access_token())
    }

    fn waiting_for(&self, id: &IdHash) -> Arc<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = waiting.get(id).and_then(Weak::upgrade) {
            return known;
        }
        waiting.retain(|_, known| known.strong_count() > 0);
        let new = Arc::<Waiting>::default();
        waiting.insert(id.clone(), Arc::downgrade(&new));
        new
    }

    /// Waits for somebody's refresh, or claims the session and refreshes.
    async fn refreshed(
        &self,
        id: &IdHash,
        wanted: &Wanted,
        refused: Option<&str>,
    ) -> Result<AccessToken, TokenError> {
        let waiting = self.waiting_for(id);
        let tries = waiting.tries.load(Ordering::SeqCst);
        let mut turn = waiting.turn.lock().await;
        if waiting.tries.load(Ordering::SeqCst) != tries
            && let Some(fault) = &*turn
        {
            return Err(TokenError::Unavailable(fault.clone()));
        }
        let mut seen = (0, Duration::ZERO);
        loop {
            let (stored, kept) = self.open(id).await?.ok_or(TokenError::NoSession)?;
            if let Some(token) = self.at_hand(&stored, &kept, wanted, refused) {
                return Ok(token);
            }
            seen = if seen.0 == stored.version {
                (seen.0, seen.1 + POLL)
            } else {
                (stored.version, Duration::ZERO)
            };
            if stored.claimed && seen.1 < SILENCE {
                sleep(POLL).await;
                continue;
            }
            let claim = Stored { version: stored.version + 1, claimed: true, ..stored };
            if self.store.update(id, &claim).await? {
                let done = self.refresh(id, claim, kept, wanted).await;
                *turn = match &done {
                    Err(TokenError::Unavailable(fault)) => Some(fault.clone()),
                    _ => None,
                };
                waiting.tries.fetch_add(1, Ordering::SeqCst);
                return done;
            }
        }
    }

    /// Refreshes a session that this call has claimed.
    async fn refresh(
        &self,
        id: &IdHash,
        mut claim: Stored,
        kept: Kept,
        wanted: &Wanted,
    ) -> Result<AccessToken, TokenError> {
        let Some(refresh_token) = kept.refresh_token.clone() else {
            // Another token cannot be had, and this one is at its end.
            self.store.remove(id).await?;
            return Err(TokenError::Ended);
        };
        let secret = refresh_token.clone().into();
        let mut asking = std::pin::pin!(self.provider.refresh(&secret, wanted, self.now()));
        let answer = loop {
            tokio::select! {
                answer = &mut asking => break answer,
                () = sleep(BEAT) => {
                    let beat = Stored { version: claim.version + 1, ..claim.clone() };
                    // Whoever has taken over finds the same answer; what counts is decided at the end.
                    if self.store.update(id, &beat).await.is_ok_and(|written| written) {
                        claim = beat;
                    }
                }
            }
        };
        match answer {
            Ok(tokens) => self.keep(id, claim, &refresh_token, tokens, wanted).await,
            Err(ProviderError::Refused(code)) if code == "invalid_grant" => {
                // If somebody else has refreshed meanwhile, it was this token that was old, and not the session.
                match self.open(id).await? {
                    Some((_, now)) if now.refresh_token != kept.refresh_token => {
                        now.newest(wanted).ok_or_else(|| {
                            TokenError::Unavailable("another refresh is under way".to_owned())
                        })
                    }
                    _ => {
                        info!("the provider has ended the session");
                        self.store.remove(id).await?;
                        Err(TokenError::Ended)
                    }
                }
            }
            Err(error) => {
                let again = self.now() + REST;
                self.resting_until.store(again.millis(), Ordering::SeqCst);
                let freed = Stored { version: claim.version + 1, claimed: false, ..claim };
                if let Err(error) = self.store.update(id, &freed).await {
                    warn!(%error, "a claim could not be given up; it will be taken over");
                }
                match kept.newest(wanted) {
                    Some(token) if self.now() + MARGIN < token.expires_at => {
                        warn!(%error, "the token could not be refreshed; the one at hand is still good");
                        Ok(token)
                    }
                    _ => Err(TokenError::Unavailable(error.to_string())),
                }
            }
        }
    }

    /// Keeps what a refresh gave: it must not be lost, whatever others wrote meanwhile.
    async fn keep(
        &self,
        id: &IdHash,
        claim: Stored,
        used: &str,
        tokens: Tokens,
        wanted: &Wanted,
    ) -> Result<AccessToken, TokenError> {
        let token = self.kept_token(&tokens, wanted);
        let answer = token.as_access_token();
        let mut before = Some(claim);
        loop {
            let found = match before.take() {
                Some(stored) => self.unseal(id, &stored).map(|kept| (stored, kept)),
                None => self.open(id).await?,
            };
            let Some((stored, mut kept)) = found else {
                // Signed out meanwhile: what came of the refresh must not live on.
                self.give_back(tokens.refresh_token).await;
                return Err(TokenError::NoSession);
            };
            if kept.refresh_token.as_deref() != Some(used) {
                // Somebody took over and was faster. The provider answered both; theirs is kept.
                return Ok(answer);
            }
            // A provider that does not rotate says nothing, and means the same one.
            if let Some(next) = &tokens.refresh_token {
                kept.refresh_token = Some(next.expose_secret().to_owned());
            }
            kept.tokens.retain(|known| known.wanted != *wanted);
            kept.tokens.push(token.clone());
            let update = Stored {
                version: stored.version + 1,
                claimed: false,
                sealed: self.close(id, &kept),
                expires_at: self.end_of_session(
                    &tokens,
                    true,
                    Timestamp::from_millis(kept.ends_at),
                ),
            };
            if self.store.update(id, &update).await? {
                return Ok(answer);
            }
        }
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
