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
use oidc_client::{Browser, ProviderError, TokenRequest, Tokens};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{AccessToken, CachedToken, RelyingParty, SessionData, TokenError};
use crate::session::{IdHash, SessionRecord};

/// Time before its expiry at which an access token is refreshed; a fifth of its lifetime, if that is shorter.
const REFRESH_AHEAD: Duration = Duration::from_mins(5);
/// Remaining lifetime below which a token is not handed out.
const MARGIN: Duration = Duration::from_secs(1);
/// Interval at which the holder of a lease writes.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time without a write after which a lease is taken over.
const LEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed request, in which only requests without a valid token ask the provider.
const REST: Duration = Duration::from_secs(2);
/// Interval at which waiting requests read the session.
const POLL: Duration = Duration::from_millis(50);

/// Requests of this process that wait for one session's refresh.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Number of attempted refreshes.
    tries: AtomicU64,
    /// Fault of the last attempt, so that waiting requests do not meet the same fault in turn.
    turn: tokio::sync::Mutex<Option<String>>,
}

impl RelyingParty {
    /// A valid access token for a request of `browser`, refreshed if it is due: once per session, however many requests
    /// ask.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn access_token(
        &self,
        session_id: &str,
        request: &TokenRequest,
        browser: &Browser,
    ) -> Result<AccessToken, TokenError> {
        let id = IdHash::of(session_id);
        let (record, data) = self.load(&id).await?.ok_or(TokenError::NoSession)?;
        match self.at_hand(&record, &data, request, None) {
            Some(token) => Ok(token),
            None => self.refreshed(&id, request, browser, None).await,
        }
    }

    /// A fresh access token of the session, whatever it is for and whichever key it is bound to: it shows which session at the
    /// provider this is, and that it lives.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn any_access_token(
        &self,
        session_id: &str,
        browser: &Browser,
    ) -> Result<AccessToken, TokenError> {
        let id = IdHash::of(session_id);
        let (record, data) = self.load(&id).await?.ok_or(TokenError::NoSession)?;
        let at_hand = |token: &CachedToken| self.at_hand(&record, &data, &token.request, None);
        match data.tokens.iter().find_map(at_hand) {
            Some(token) => Ok(token),
            None => self.refreshed(&id, &TokenRequest::default(), browser, None).await,
        }
    }

    /// A token other than `refused`, which an API has rejected although it had not expired: the session may have ended
    /// at the provider.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn token_after_refusal(
        &self,
        session_id: &str,
        request: &TokenRequest,
        browser: &Browser,
        refused: &SecretString,
    ) -> Result<AccessToken, TokenError> {
        let refused = refused.expose_secret();
        self.refreshed(&IdHash::of(session_id), request, browser, Some(refused)).await
    }

    /// A token that needs no refresh: fresh, or still valid while another request refreshes, while the provider is
    /// unavailable, or where there is no refresh token.
    fn at_hand(
        &self,
        record: &SessionRecord,
        data: &SessionData,
        request: &TokenRequest,
        refused: Option<&str>,
    ) -> Option<AccessToken> {
        let token = data.find(request)?;
        if refused == Some(token.access_token.as_str()) {
            return None;
        }
        let issued_at = Timestamp::from_millis(token.issued_at);
        let expires_at = Timestamp::from_millis(token.expires_at);
        let ahead = (expires_at.since(issued_at) / 5).min(REFRESH_AHEAD);
        let now = self.now();
        let is_fresh = now + ahead < expires_at;
        let is_resting = now.millis() < self.resting_until.load(Ordering::SeqCst);
        let is_all_there_is = record.leased || is_resting || data.refresh_token.is_none();
        (is_fresh || (is_all_there_is && now + MARGIN < expires_at))
            .then(|| token.as_access_token())
    }

    fn waiting_for(&self, id: &IdHash) -> Arc<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = waiting.get(id).and_then(Weak::upgrade) {
            return current;
        }
        waiting.retain(|_, weak| weak.strong_count() > 0);
        let new = Arc::<Waiting>::default();
        waiting.insert(id.clone(), Arc::downgrade(&new));
        new
    }

    /// A token after the refresh of the lease's holder, or after a refresh under a lease taken here.
    async fn refreshed(
        &self,
        id: &IdHash,
        request: &TokenRequest,
        browser: &Browser,
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
            let (record, data) = self.load(id).await?.ok_or(TokenError::NoSession)?;
            if let Some(token) = self.at_hand(&record, &data, request, refused) {
                return Ok(token);
            }
            seen = if seen.0 == record.version {
                (seen.0, seen.1 + POLL)
            } else {
                (record.version, Duration::ZERO)
            };
            if record.leased && seen.1 < LEASE_TIMEOUT {
                sleep(POLL).await;
                continue;
            }
            let lease = SessionRecord { version: record.version + 1, leased: true, ..record };
            if self.store.update(id, &lease).await? {
                let done = self.refresh(id, lease, data, request, browser).await;
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
        data: SessionData,
        request: &TokenRequest,
        browser: &Browser,
    ) -> Result<AccessToken, TokenError> {
        let Some(refresh_token) = data.refresh_token.clone() else {
            // Without a refresh token, the session ends with its access token.
            self.remove(id).await?;
            return Err(TokenError::Ended);
        };
        let secret = refresh_token.clone().into();
        let refreshing = self.provider.refresh(&secret, request, browser, self.now());
        let mut asking = std::pin::pin!(refreshing);
        let answer = loop {
            tokio::select! {
                answer = &mut asking => break answer,
                () = sleep(HEARTBEAT) => {
                    let renewed = SessionRecord { version: lease.version + 1, ..lease.clone() };
                    // If another request has taken over, `keep` decides which result counts.
                    if self.store.update(id, &renewed).await.is_ok_and(|written| written) {
                        lease = renewed;
                    }
                }
            }
        };
        match answer {
            Ok(tokens) => self.keep(id, lease, &refresh_token, tokens, request).await,
            Err(ProviderError::ErrorResponse(code)) if code == "invalid_grant" => {
                // If another request has refreshed meanwhile, this token was consumed; the session goes on.
                match self.load(id).await? {
                    Some((_, now)) if now.refresh_token != data.refresh_token => {
                        now.newest(request).ok_or_else(|| {
                            TokenError::Unavailable("another refresh is under way".to_owned())
                        })
                    }
                    _ => {
                        info!("the provider has ended the session");
                        self.remove(id).await?;
                        Err(TokenError::Ended)
                    }
                }
            }
            Err(ProviderError::DpopProof(refusal)) => {
                self.release(id, lease).await;
                Err(TokenError::DpopProof(refusal))
            }
            Err(error) => {
                let again = self.now() + REST;
                self.resting_until.store(again.millis(), Ordering::SeqCst);
                self.release(id, lease).await;
                match data.newest(request) {
                    Some(token) if self.now() + MARGIN < token.expires_at => {
                        warn!(%error, "the token could not be refreshed; the one at hand is still good");
                        Ok(token)
                    }
                    _ => Err(TokenError::Unavailable(error.to_string())),
                }
            }
        }
    }

    async fn release(&self, id: &IdHash, lease: SessionRecord) {
        let freed = SessionRecord { version: lease.version + 1, leased: false, ..lease };
        if let Err(error) = self.store.update(id, &freed).await {
            warn!(%error, "a lease could not be released; it will be taken over");
        }
    }

    /// Stores the result of a refresh: it must not be lost, whatever other requests wrote meanwhile.
    async fn keep(
        &self,
        id: &IdHash,
        lease: SessionRecord,
        used: &str,
        tokens: Tokens,
        request: &TokenRequest,
    ) -> Result<AccessToken, TokenError> {
        let token = self.cached_token(&tokens, request);
        let answer = AccessToken::from_tokens(&tokens, self.now());
        let mut before = Some(lease);
        loop {
            let found = match before.take() {
                Some(record) => self.unseal(id, &record).map(|data| (record, data)),
                None => self.load(id).await?,
            };
            let Some((record, mut data)) = found else {
                // Signed out meanwhile: the new refresh token must not live on.
                if let Some(token) = tokens.refresh_token {
                    self.revoke(token).await;
                }
                return Err(TokenError::NoSession);
            };
            if data.refresh_token.as_deref() != Some(used) {
                // Another request took over and was faster. The provider answered both; its result stays.
                return Ok(answer);
            }
            // A provider that does not rotate sends no refresh token: the old one stays.
            if let Some(next) = &tokens.refresh_token {
                data.refresh_token = Some(next.expose_secret().to_owned());
            }
            // A browser has one key, so a token for another is of no use to it any more.
            data.tokens.retain(|cached| !cached.request.differs_by_key_at_most(request));
            data.tokens.push(token.clone());
            let update = SessionRecord {
                version: record.version + 1,
                leased: false,
                sealed: self.seal(id, &data),
                expires_at: self.end_of_session(
                    &tokens,
                    true,
                    Timestamp::from_millis(data.ends_at),
                ),
            };
            if self.store.update(id, &update).await? {
                return Ok(answer);
            }
        }
    }
}
