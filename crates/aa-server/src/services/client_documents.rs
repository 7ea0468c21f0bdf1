//! Client ID metadata documents as they were last fetched.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use foundation::time::Timestamp;
use quick_cache::sync::Cache;
use tokio::sync::Mutex;
use tracing::warn;

use super::outbound::Outbound;
use crate::domain::client::ClientMetadata;
use crate::domain::client_document::{MAX_BYTES, parse};

/// The time for which a document counts without being fetched again.
const FRESH: Duration = Duration::from_mins(10);
/// The shortest time between two fetches of one address.
const MIN_INTERVAL: Duration = Duration::from_secs(30);
/// Documents in the cache, at most.
const CAPACITY: usize = 500;

/// The documents, by their addresses.
pub struct ClientDocuments(Cache<String, Arc<Mutex<Fetched>>>);

#[derive(Default)]
struct Fetched {
    document: Option<ClientMetadata>,
    at: Option<Timestamp>,
}

impl Fetched {
    /// What is known without a fetch: a document or its absence. `None` when it has to be fetched.
    fn known(&self, now: Timestamp) -> Option<Option<ClientMetadata>> {
        let life = if self.document.is_some() { FRESH } else { MIN_INTERVAL };
        self.at.filter(|at| now < *at + life).map(|_| self.document.clone())
    }
}

impl Default for ClientDocuments {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl fmt::Debug for ClientDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientDocuments(…)")
    }
}

impl ClientDocuments {
    /// What is known of the document at this address, without a fetch. `None` when it has to be fetched.
    pub async fn known(&self, url: &str, now: Timestamp) -> Option<Option<ClientMetadata>> {
        let entry = self.0.get(url)?;
        let known = entry.lock().await.known(now);
        known
    }

    /// The document at this address, fetched if it has not been within ten minutes. Callers that need the same fetch wait for one.
    /// `None` when it cannot be fetched or is none: an agent whose document is gone is gone.
    pub async fn fetch(
        &self,
        url: &str,
        outbound: &Outbound,
        now: Timestamp,
    ) -> Option<ClientMetadata> {
        let entry =
            self.0.get_or_insert_with(url, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(entry) = entry;
        let mut fetched = entry.lock().await;
        if let Some(known) = fetched.known(now) {
            return known;
        }
        let body = outbound.get(url, MAX_BYTES).await.map_err(|error| error.0);
        let document = body.and_then(|body| parse(url, &body));
        if let Err(why) = &document {
            warn!(url, why, "the metadata of a client cannot be used");
        }
        *fetched = Fetched { document: document.ok(), at: Some(now) };
        fetched.document.clone()
    }
}
