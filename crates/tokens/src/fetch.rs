use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{KeySet, KeySetError};

/// The interval between fetches in the background.
const REFRESH_INTERVAL: Duration = Duration::from_mins(5);
/// The shortest time between two fetches caused by unknown key ids, and the longest between retries.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(30);
/// The delay that doubles with each failed fetch.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_JWKS_BYTES: usize = 256 * 1024;

/// The authority's keys, fetched in the background every five minutes. While the authority cannot be reached, the
/// last keys stay in use.
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
    fetched_for_unknown: Mutex<Option<Instant>>,
}

/// The reason that keys could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request failed, or its answer was not a success (2xx).
    #[error("the keys could not be fetched: {0}")]
    Http(#[from] reqwest::Error),
    /// The answer was not a JWKS.
    #[error("the answer has no usable keys: {0}")]
    Keys(#[from] KeySetError),
    /// The issuer is http, and not this machine: anybody on the way could exchange its keys.
    #[error(
        "`{0}` is not https: an attacker on the way can exchange its keys and sign tokens; use https, or \
         `Guard::new` with an authority that is reached another way"
    )]
    InsecureIssuer(String),
    /// The answer was larger than 256 KiB, or had no key that can check a token.
    #[error("the answer has no usable keys")]
    Unusable,
}

/// Whether what is fetched from a URL cannot be exchanged on its way: https, or http to this machine.
pub(crate) fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let is_local = || {
        let address =
            host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        address.map_or(host == "localhost" || host.ends_with(".localhost"), |ip| ip.is_loopback())
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_local())
}

impl RemoteKeys {
    /// Starts to fetch the JWKS at `url`, now and at intervals. `fixed` are keys known beforehand (HS256 secrets).
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`FetchError::Http`] when no HTTP client can be made. A failed first fetch is not an error: it is
    /// tried again, and [`RemoteKeys::is_ready`] turns true when one succeeds.
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
            fetched_for_unknown: Mutex::new(None),
        });
        tokio::spawn(refresh_periodically(Arc::downgrade(&shared)));
        Ok(Self(shared))
    }

    /// The current keys.
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// True once there is a key to check tokens with.
    pub fn is_ready(&self) -> bool {
        !self.current().is_empty()
    }

    /// Fetches the keys because a token names one that is not known, and returns the keys there are then.
    ///
    /// At most one such fetch is made in 30 seconds; callers meanwhile wait for it.
    pub async fn after_unknown_key(&self) -> Arc<KeySet> {
        // Concurrent callers wait for the lock, and then find the time set.
        let mut fetched_at = self.0.fetched_for_unknown.lock().await;
        if fetched_at.is_none_or(|at| at.elapsed() >= UNKNOWN_KEY_INTERVAL) {
            *fetched_at = Some(now());
            if let Err(error) = self.0.fetch().await {
                warn!(%error, url = self.0.url, "a token names an unknown key, and the keys could not be fetched");
            }
        }
        self.current()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures the time between fetches; no token's validity depends on it"
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
        // Replacing a set by an equal one would invalidate every cached token.
        if !current.is_same_as(&keys) {
            *current = Arc::new(keys);
        }
        drop(current);
        Ok(())
    }
}

async fn refresh_periodically(shared: std::sync::Weak<Shared>) {
    let mut retry = FIRST_RETRY;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let wait = match shared.fetch().await {
            Ok(()) => {
                if retry > FIRST_RETRY {
                    info!(url = shared.url, "the keys were fetched again after failures");
                }
                retry = FIRST_RETRY;
                REFRESH_INTERVAL
            }
            Err(error) => {
                warn!(%error, url = shared.url, "the keys could not be fetched; trying again");
                retry = (retry * 2).min(UNKNOWN_KEY_INTERVAL);
                retry
            }
        };
        drop(shared);
        tokio::time::sleep(wait).await;
    }
}
