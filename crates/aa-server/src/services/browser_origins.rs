//! The origins of all enabled public clients, for CORS: kept in memory, so that a preflight costs no statement.

use std::sync::Arc;
use std::time::Duration;

use foundation::time::Timestamp;
use tokio::sync::Mutex;
use tracing::error;

use crate::domain::browser_origin::BrowserOrigins;
use crate::store::{self, Store};

/// The time after which a client that was changed or disabled is noticed: until then the origins are as they were.
pub const CHECKED_EVERY: Duration = Duration::from_secs(2);
/// Clients that are read at once.
const BATCH: u32 = 500;

/// The database cannot say which origins there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// The origins as they were last read. However many requests ask, the database is asked once in two seconds: whether a client
/// has changed, and only then for the clients.
#[derive(Debug, Default)]
pub struct KnownOrigins(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    checked_at: Option<Timestamp>,
    /// The version of the clients that the origins were read from; `None` when they are not to be used.
    version: Option<i64>,
    origins: Arc<BrowserOrigins>,
}

impl KnownOrigins {
    /// Whether this is the origin of an enabled public client.
    ///
    /// # Errors
    /// [`Unavailable`], for two seconds after the database did not answer.
    pub async fn contains(
        &self,
        store: &Store,
        origin: &str,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        let origins = {
            let mut known = self.0.lock().await;
            if known.checked_at.is_none_or(|at| now.since(at) >= CHECKED_EVERY || now < at) {
                if let Err(error) = known.read(store).await {
                    error!(%error, "the origins of public clients could not be read");
                    known.version = None;
                }
                known.checked_at = Some(now);
            }
            known.version.ok_or(Unavailable)?;
            Arc::clone(&known.origins)
        };
        Ok(origins.contains(origin))
    }
}

impl Known {
    async fn read(&mut self, store: &Store) -> store::Result<()> {
        // The version first: of a change in between, the next check tells.
        let version = store.clients_version().await?;
        if self.version == Some(version) {
            return Ok(());
        }
        let mut origins = BrowserOrigins::default();
        let mut after = String::new();
        loop {
            let clients = store.clients_after(&after, BATCH).await?;
            let Some(last) = clients.last() else { break };
            after.clone_from(&last.metadata.client_id);
            for client in clients.iter().filter(|client| client.enabled) {
                origins.add(&client.metadata);
            }
        }
        self.origins = Arc::new(origins);
        self.version = Some(version);
        Ok(())
    }
}
