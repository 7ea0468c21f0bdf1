use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{KeySet, KeySetError};

/// How old keys may grow before the background fetches them again.
const REFRESH_EVERY: Duration = Duration::from_mins(5);
/// An unknown key id causes at most one fetch in this time, however many tokens name one.
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(30);
/// How soon the first fetches are tried again while there are no keys at all.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_JWKS_BYTES: usize = 256 * 1024;

/// The authority's keys, fetched in the background. When the authority is away, the last good keys go on.
///
/// Clones share one set. The background task ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct RemoteKeys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    url: String,
    http: reqwest::Client,
    fixed: KeySet,
    keys: RwLock<Arc<KeySet>>,
    asked_for_unknown: Mutex<Option<Instant>>,
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request failed, or the answer was no success.
    #[error("the keys could not be fetched: {0}")]
    Http(#[from] reqwest::Error),
    /// The answer was no JWKS.
    #[error("the answer has no usable keys: {0}")]
    Keys(#[from] KeySetError),
    /// The answer was larger than 256 KiB, or held no key that can check a token.
    #[error("the answer has no usable keys")]
    Unusable,
}

impl RemoteKeys {
    /// Starts to follow the JWKS at `url`. `fixed` are keys known beforehand (HS256 secrets).
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`FetchError::Http`] when no HTTP client can be made. A failed first fetch is no error: it is tried
    /// again, and [`RemoteKeys::is_ready`] tells.
    pub fn follow(url: impl Into<String>, fixed: KeySet) -> Result<Self, FetchError> {
        let http = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let shared = Arc::new(Shared {
            url: url.into(),
            http,
            keys: RwLock::new(Arc::new(fixed.clone())),
            fixed,
            asked_for_unknown: Mutex::new(None),
        });
        tokio::spawn(keep_fresh(Arc::downgrade(&shared)));
        Ok(Self(shared))
    }

    /// The keys at this moment.
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is any key, so that tokens can be checked.
    pub fn is_ready(&self) -> bool {
        !self.current().is_empty()
    }

    /// Called when a token named a key that is not there: fetches once, unless that was done within the last
    /// 30 seconds, and answers with what there is then.
    pub async fn after_unknown_key(&self) -> Arc<KeySet> {
        // Everyone who asks meanwhile waits here, and then finds the time set.
        let mut asked = self.0.asked_for_unknown.lock().await;
        if asked.is_none_or(|at| at.elapsed() >= UNKNOWN_KEY_EVERY) {
            *asked = Some(now());
            if let Err(error) = self.0.fetch().await {
                warn!(%error, url = self.0.url, "an unknown key was named, and the keys could not be fetched");
            }
        }
        self.current()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this measures the distance between fetches, not validity"
)]
fn now() -> Instant {
    Instant::now()
}

impl Shared {
    async fn fetch(&self) -> Result<(), FetchError> {
        let mut answer = self.http.get(&self.url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_JWKS_BYTES {
                return Err(FetchError::Unusable);
            }
        }
        let fetched = KeySet::from_jwks(&body)?;
        if fetched.is_empty() {
            return Err(FetchError::Unusable);
        }
        let keys = self.fixed.merged(&fetched);
        debug!(url = self.url, keys = ?keys.key_ids(), "fetched keys");
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // A set that only looks new would make everything be checked again.
        if !current.is_same_as(&keys) {
            *current = Arc::new(keys);
        }
        drop(current);
        Ok(())
    }
}

async fn keep_fresh(shared: std::sync::Weak<Shared>) {
    let mut retry = FIRST_RETRY;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let wait = match shared.fetch().await {
            Ok(()) => {
                if retry > FIRST_RETRY {
                    info!(url = shared.url, "the authority's keys are here");
                }
                retry = FIRST_RETRY;
                REFRESH_EVERY
            }
            Err(error) => {
                warn!(%error, url = shared.url, "the keys could not be fetched; trying again");
                retry = (retry * 2).min(UNKNOWN_KEY_EVERY);
                retry
            }
        };
        drop(shared);
        tokio::time::sleep(wait).await;
    }
}
