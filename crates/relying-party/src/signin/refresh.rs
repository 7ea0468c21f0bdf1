//! Fresh tokens for sessions.
//!
//! **One refresh per session**, however many requests, processes and replicas: a request takes a *lease* on the
//! session before it refreshes, by a guarded write in the store that all replicas share. A lease does not expire while
//! its holder lives: the holder writes again every second. Another request takes the lease over only after it has seen
//! the session unchanged for [`LEASE_TIMEOUT`], measured by itself, so that clocks are never compared. Meanwhile a
//! token that is still valid is used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use foundation::time::Timestamp;
use oidc_client::{ProviderError, TokenRequest, Tokens};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{AccessToken, RelyingParty, SessionData, TokenError};
use crate::session::{IdHash, SessionRecord};

/// How far ahead of its end an access token is refreshed; a fifth of its life, if that is shorter.
const REFRESH_AHEAD: Duration = Duration::from_mins(5);
/// A token this close to its end might not arrive in time.
const MARGIN: Duration = Duration::from_secs(1);
/// Interval at which the holder of a lease writes.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time without a write after which a lease is taken over.
const LEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a provider that was away is left alone by those who need not ask.
const REST: Duration = Duration::from_secs(2);
/// How often those who wait look again.
const POLL: Duration = Duration::from_millis(50);

/// Those who wait for one session's refresh in this process.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// How often one of them has tried to refresh.
    tries: AtomicU64,
    /// What went wrong at the last try, so that not everyone waits for the same fault in turn.
    turn: tokio::sync::Mutex<Option<String>>,
}

impl RelyingParty {
    /// A token that is good for a while, refreshed if it is time: once per session, however many ask.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn access_token(
        &self,
        session_id: &str,
        wanted: &TokenRequest,
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
        wanted: &TokenRequest,
        refused: &SecretString,
    ) -> Result<AccessToken, TokenError> {
        self.refreshed(&IdHash::of(session_id), wanted, Some(refused.expose_secret())).await
    }

    /// A token that need not be waited for: fresh, or still good while somebody is refreshing, while the provider is
    /// away, or where there is no refresh token.
    fn at_hand(
        &self,
        stored: &SessionRecord,
        kept: &SessionData,
        wanted: &TokenRequest,
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
        let is_all_there_is = stored.leased || is_resting || kept.refresh_token.is_none();
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

    /// A token after the refresh of the lease's holder, or after a refresh under a lease taken here.
    async fn refreshed(
        &self,
        id: &IdHash,
        wanted: &TokenRequest,
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
            if stored.leased && seen.1 < LEASE_TIMEOUT {
                sleep(POLL).await;
                continue;
            }
            let lease = SessionRecord { version: stored.version + 1, leased: true, ..stored };
            if self.store.update(id, &lease).await? {
                let done = self.refresh(id, lease, kept, wanted).await;
                *turn = match &done {
                    Err(TokenError::Unavailable(fault)) => Some(fault.clone()),
                    _ => None,
                };
                waiting.tries.fetch_add(1, Ordering::SeqCst);
                return done;
            }
        }
    }

    /// Refreshes a session whose lease this call holds.
    async fn refresh(
        &self,
        id: &IdHash,
        mut lease: SessionRecord,
        kept: SessionData,
        wanted: &TokenRequest,
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
                () = sleep(HEARTBEAT) => {
                    let beat = SessionRecord { version: lease.version + 1, ..lease.clone() };
                    // Whoever has taken over finds the same answer; what counts is decided at the end.
                    if self.store.update(id, &beat).await.is_ok_and(|written| written) {
                        lease = beat;
                    }
                }
            }
        };
        match answer {
            Ok(tokens) => self.keep(id, lease, &refresh_token, tokens, wanted).await,
            Err(ProviderError::ErrorResponse(code)) if code == "invalid_grant" => {
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
                let freed = SessionRecord { version: lease.version + 1, leased: false, ..lease };
                if let Err(error) = self.store.update(id, &freed).await {
                    warn!(%error, "a lease could not be released; it will be taken over");
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
        lease: SessionRecord,
        used: &str,
        tokens: Tokens,
        wanted: &TokenRequest,
    ) -> Result<AccessToken, TokenError> {
        let token = self.kept_token(&tokens, wanted);
        let answer = token.as_access_token();
        let mut before = Some(lease);
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
            let update = SessionRecord {
                version: stored.version + 1,
                leased: false,
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
}
