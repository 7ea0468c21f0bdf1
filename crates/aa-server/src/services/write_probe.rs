//! Whether the database can be written to, for `/readyz`: asked seldom, however often that is.

use std::time::Duration;

use foundation::time::Timestamp;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::store::Store;

/// The time for which a write that succeeded speaks for the next ones.
const SUCCESS_HOLDS: Duration = Duration::from_secs(5);
/// The time for which one that failed does.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);
/// The time that a write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The last write that was tried.
#[derive(Debug, Default)]
pub struct WriteProbe {
    last: Mutex<Option<(Timestamp, bool)>>,
}

impl WriteProbe {
    /// Whether a write succeeds: one of this moment, or of a few seconds ago.
    pub async fn can_write(&self, store: &Store, now: Timestamp) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, succeeded)) = *last
            && now.since(at) < if succeeded { SUCCESS_HOLDS } else { FAILURE_HOLDS }
        {
            return succeeded;
        }
        let store = store.clone();
        // A task of its own: a client that hangs up must not cut the statement off.
        let write = tokio::spawn(async move { store.try_write().await.is_ok() });
        let succeeded = matches!(timeout(WRITE_TIMEOUT, write).await, Ok(Ok(true)));
        *last = Some((now, succeeded));
        succeeded
    }
}
