//! Client ID metadata documents as they were last fetched.

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
#[derive(derive_more::Debug)]
#[debug("ClientDocuments(…)")]
pub struct ClientDocuments(Cache<String, Arc<Mutex<Fetched>>>);

/// What is known of an address without a fetch.
#[derive(Debug)]
pub enum Known {
    /// The document that is there.
    Document(Box<ClientMetadata>),
    /// None that can be used was there a moment ago.
    NoDocument,
    /// Nothing: it has to be fetched.
    Nothing,
}

#[derive(Default)]
struct Fetched {
    document: Option<ClientMetadata>,
    at: Option<Timestamp>,
}

impl Fetched {
    fn known(&self, now: Timestamp) -> Known {
        let life = if self.document.is_some() { FRESH } else { MIN_INTERVAL };
        match &self.document {
            _ if self.at.is_none_or(|at| now >= at + life) => Known::Nothing,
            Some(document) => Known::Document(Box::new(document.clone())),
            None => Known::NoDocument,
        }
    }
}

impl Default for ClientDocuments {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl ClientDocuments {
    /// What is known of the document at this address, without a fetch.
    pub async fn known(&self, url: &str, now: Timestamp) -> Known {
        let Some(entry) = self.0.get(url) else { return Known::Nothing };
        entry.lock().await.known(now)
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
        match fetched.known(now) {
            Known::Document(document) => return Some(*document),
            Known::NoDocument => return None,
            Known::Nothing => {}
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
