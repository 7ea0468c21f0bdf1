//! Ends of sessions that the provider publishes before the tokens have expired (`docs/contract.md`, section 3).
//!
//! The feed of our own authority is followed by every process. An end is applied to what is open here at once, and to
//! all other sessions when they are used next.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foundation::time::Timestamp;
use oidc_client::ProviderError;
use quick_cache::sync::Cache;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use tokens::feed::{FeedSource, Follower, SessionIdentity};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tracing::{info, warn};

use super::{RelyingParty, SessionData};
use crate::StoreError;
use crate::session::{Handle, IdHash};

/// The reason of an end, as the authority names it: `revoked_by_user` and so on.
pub type Reason = Arc<str>;

/// The reason of an end that came by back-channel logout, which tells none.
const LOGGED_OUT: &str = "logged_out_by_provider";

/// Why a logout token ends nothing.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    /// The token is not valid, or the provider's keys cannot be had.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The session store did not answer: the provider tries again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sessions whose reason is remembered for tabs that ask later.
const MAX_REASONS: usize = 10_000;

/// What is known of ends.
#[derive(derive_more::Debug)]
#[debug("Ends {{ follower: {follower:?}, .. }}")]
pub(super) struct Ends {
    follower: OnceLock<Follower>,
    reasons: Cache<IdHash, Reason>,
}

impl Default for Ends {
    fn default() -> Self {
        Self { follower: OnceLock::new(), reasons: Cache::new(MAX_REASONS) }
    }
}

impl Ends {
    pub fn remember(&self, id: &IdHash, reason: &Reason) {
        self.reasons.insert(id.clone(), Arc::clone(reason));
    }

    pub fn reason_of(&self, id: &IdHash) -> Option<Reason> {
        self.reasons.get(id)
    }
}

impl SessionData {
    /// The identity of the session at our own authority, from its newest access token.
    pub(super) fn identity(&self) -> Option<SessionIdentity> {
        let newest = self.tokens.iter().max_by_key(|token| token.issued_at)?;
        SessionIdentity::of_received(&newest.access_token)
    }
}

impl RelyingParty {
    /// Whether ends are followed.
    pub fn follows_ends(&self) -> bool {
        self.ends.follower.get().is_some()
    }

    /// Follows the ends that the provider publishes, if it does, once it has been discovered. Called again, it does nothing.
    /// The caller runs [`RelyingParty::apply_ends`] beside.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] when no HTTP client can be made.
    pub fn follow_ends(&self, name: &str) -> Result<(), ProviderError> {
        let config = self.provider.config();
        let Some(secret) = &config.client_secret else { return Ok(()) };
        if self.follows_ends() || !self.provider.has_revocations_endpoint() {
            return Ok(());
        }
        let source = FeedSource {
            authority: config.backchannel_url.as_ref().unwrap_or(&config.issuer).clone(),
            client_id: config.client_id.clone(),
            client_secret: secret.expose_secret().trim().to_owned(),
            name: name.to_owned(),
        };
        // Whether http is meant was asked when the settings were read.
        let follower = Follower::follow(source, true)
            .map_err(|error| ProviderError::Unavailable(error.to_string()))?;
        // Of two callers the second drops its own.
        let _ = self.ends.follower.set(follower);
        Ok(())
    }

    /// Applies ends to the watched sessions as they are published, for as long as it is polled.
    pub async fn apply_ends(&self) {
        let Some(follower) = self.ends.follower.get() else { return std::future::pending().await };
        let mut published = follower.subscribe();
        loop {
            // Many at once cost one look at what is watched.
            while matches!(published.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
            for (id, identity, is_in_store) in self.watched.identified() {
                if follower.end_of(&identity).is_some() {
                    self.apply_end(&id, &identity, is_in_store).await;
                }
            }
            if published.recv().await == Err(RecvError::Closed) {
                return std::future::pending().await;
            }
        }
    }

    /// Applies an end that is known of a token of this session: the newest one decides.
    async fn apply_end(&self, id: &IdHash, identity: &SessionIdentity, is_in_store: bool) {
        let has_ended = if is_in_store {
            // Reading it removes a session that has ended.
            self.load(id).await.map(|found| found.is_none())
        } else if let Some(reason) = self.known_end(identity) {
            self.remove_ended(id, &reason).await.map(|()| true)
        } else {
            Ok(false)
        };
        match has_ended {
            Ok(true) => {}
            // Its token has expired, and the end may not concern the next one.
            Ok(false) => self.watched.doubt(id),
            Err(error) => {
                warn!(%error, "an ended session could not be removed; it will be when it is used");
            }
        }
    }

    /// The reason for which a session has ended at the provider; `None` if it has not, as far as is known here.
    pub fn known_end(&self, identity: &SessionIdentity) -> Option<Reason> {
        let end = self.ends.follower.get()?.end_of(identity)?;
        let counts = end.is_of_family || self.now().secs() < identity.expires_at();
        counts.then_some(end.reason)
    }

    /// Notes by what the provider will call a session that begins now, with these claims of its ID token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_handles(
        &self,
        id: &IdHash,
        claims: &Map<String, Value>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let sid = text("sid").map(Handle::of_sid);
        let handles: Vec<_> = sid.into_iter().chain(text("sub").map(Handle::of_sub)).collect();
        self.store.add_handles(id, &handles, self.now(), expires_at).await
    }

    /// Ends the sessions that a logout token of the provider names (OpenID Connect Back-Channel Logout 1.0 §2.7). Returns
    /// how many there were.
    ///
    /// # Errors
    /// [`LogoutError`].
    pub async fn back_channel_logout(&self, logout_token: &str) -> Result<usize, LogoutError> {
        let token = self.provider.validate_logout_token(logout_token, self.now()).await?;
        let handle = match (&token.sid, &token.sub) {
            (Some(sid), _) => Handle::of_sid(sid),
            (None, Some(sub)) => Handle::of_sub(sub),
            (None, None) => return Ok(0),
        };
        // What began after the token was issued is not meant: one that is sent again ends nothing.
        let until = token.issued_at + Duration::from_secs(1);
        let ids = self.store.find(&handle, until).await?;
        let mut ended = 0;
        for id in ids {
            ended += usize::from(self.store.remove(&id).await?.is_some());
            self.watched.tell(&id, Some(&Reason::from(LOGGED_OUT)));
            self.ends.remember(&id, &Reason::from(LOGGED_OUT));
        }
        info!(ended, "the provider has ended sessions");
        Ok(ended)
    }

    /// Tells those who watch a session that it has ended: for an app that removes it from the store itself.
    pub fn tell_end(&self, session_id: &str) {
        let id = IdHash::of(session_id);
        self.watched.tell(&id, self.ends.reason_of(&id).as_ref());
    }

    /// The reason for which a session ended, if it ended lately and the reason is known.
    pub fn reason_of_end(&self, session_id: &str) -> Option<Reason> {
        self.ends.reason_of(&IdHash::of(session_id))
    }

    /// Removes a session that has ended at the provider.
    pub(super) async fn remove_ended(
        &self,
        id: &IdHash,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        self.ends.remember(id, reason);
        self.store.remove(id).await?;
        self.watched.tell(id, Some(reason));
        info!(%reason, "the session has ended at the provider");
        Ok(())
    }
}
