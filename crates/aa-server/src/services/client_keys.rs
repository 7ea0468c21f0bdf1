//! The public keys of clients that publish them at an address (`jwks_uri`, RFC 7591 §2).

use std::sync::Arc;
use std::time::Duration;

use foundation::time::Timestamp;
use quick_cache::sync::Cache;
use tokens::signed::{PublicJwk, parse_jwks};
use tokio::sync::Mutex;
use tracing::warn;

use super::outbound::Outbound;
use crate::domain::client_assertion::MAX_KEYS;

/// The time after which keys are fetched again.
const FRESH: Duration = Duration::from_mins(10);
/// The shortest time between two fetches of one address, whatever assertions name.
const MIN_INTERVAL: Duration = Duration::from_secs(30);
/// The time for which keys count that cannot be fetched again.
const STALE: Duration = Duration::from_hours(1);
/// Addresses in the cache, at most.
const CAPACITY: usize = 1000;
/// Bytes of a JWKS, at most.
const MAX_BYTES: usize = 64 * 1024;

/// The keys of clients, by the addresses that publish them.
#[derive(derive_more::Debug)]
#[debug("ClientKeys(…)")]
pub struct ClientKeys(Cache<String, Arc<Mutex<Published>>>);

#[derive(Default)]
struct Published {
    keys: Arc<Vec<PublicJwk>>,
    fetched_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

impl Default for ClientKeys {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl ClientKeys {
    /// The keys at this address. They are fetched when they are ten minutes old, or are not `enough`; but not twice in 30
    /// seconds. Callers that need the same fetch wait for one. None when they could not be fetched for an hour.
    pub async fn at(
        &self,
        url: &str,
        outbound: &Outbound,
        now: Timestamp,
        enough: impl Fn(&[PublicJwk]) -> bool,
    ) -> Arc<Vec<PublicJwk>> {
        let entry =
            self.0.get_or_insert_with(url, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(entry) = entry;
        let mut published = entry.lock().await;
        let within = |at: Option<Timestamp>, life| at.is_some_and(|at| now < at + life);
        let is_good = within(published.fetched_at, FRESH) && enough(&published.keys);
        if !is_good && !within(published.tried_at, MIN_INTERVAL) {
            published.tried_at = Some(now);
            match fetch(url, outbound).await {
                Ok(keys) => {
                    published.keys = Arc::new(keys);
                    published.fetched_at = Some(now);
                }
                Err(why) => warn!(url, why, "the keys of a client could not be fetched"),
            }
        }
        if !within(published.fetched_at, STALE) {
            published.keys = Arc::default();
        }
        Arc::clone(&published.keys)
    }
}

async fn fetch(url: &str, outbound: &Outbound) -> Result<Vec<PublicJwk>, String> {
    let body = outbound.get(url, MAX_BYTES).await.map_err(|error| error.0)?;
    let document = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    parse_jwks(&document, MAX_KEYS)
        .ok_or_else(|| format!("it is no JSON Web Key Set of at most {MAX_KEYS} keys"))
}
