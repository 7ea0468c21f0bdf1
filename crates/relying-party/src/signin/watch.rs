//! Notice of the end of sessions, for streams that outlast the check at their beginning.
//!
//! An end in this process is noticed at once. One at another replica is noticed by reading the store: twice in
//! [`WATCH_INTERVAL`] at the most, and only for what is watched for longer than one interval, so that a short response
//! costs no read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::RelyingParty;
use crate::session::IdHash;

/// Interval at which the watched sessions are read. An end is noticed within two of them.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// The watched sessions of this process.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<HashMap<IdHash, Entry>>);

#[derive(Debug)]
struct Entry {
    has_ended: watch::Sender<bool>,
    /// Whether it was there at the last reading already.
    is_old: bool,
}

/// Notice of the end of one session.
#[derive(Debug)]
pub struct SessionWatch(watch::Receiver<bool>);

impl SessionWatch {
    /// Waits until the session has ended.
    pub async fn ended(&mut self) {
        if self.0.wait_for(|has_ended| *has_ended).await.is_err() {
            // No sender can tell any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Watched {
    fn map(&self) -> MutexGuard<'_, HashMap<IdHash, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, id: IdHash) -> SessionWatch {
        let new = || Entry { has_ended: watch::Sender::new(false), is_old: false };
        SessionWatch(self.map().entry(id).or_insert_with(new).has_ended.subscribe())
    }

    pub fn tell(&self, id: &IdHash) {
        if let Some(entry) = self.map().remove(id) {
            entry.has_ended.send_replace(true);
        }
    }

    /// Forgets what is not watched any more, and returns what has been watched since the last call.
    fn due(&self) -> Vec<IdHash> {
        let mut map = self.map();
        map.retain(|_, entry| entry.has_ended.receiver_count() > 0);
        let old = map.iter_mut().filter_map(|(id, entry)| {
            std::mem::replace(&mut entry.is_old, true).then(|| id.clone())
        });
        old.collect()
    }
}

impl RelyingParty {
    /// Watches a session that exists.
    pub fn watch(&self, session_id: &str) -> SessionWatch {
        self.watched.watch(IdHash::of(session_id))
    }

    /// Reads the watched sessions, and tells of those that have ended or expired. To be called every
    /// [`WATCH_INTERVAL`].
    pub async fn look_after_watched(&self) {
        for id in self.watched.due() {
            match self.store.read(&id, self.now()).await {
                Ok(None) => self.watched.tell(&id),
                Ok(Some(_)) => {}
                Err(error) => {
                    // A fault is no end.
                    warn!(%error, "it cannot be seen whether sessions have ended; streams go on");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_is_read_from_the_second_round_on_and_only_while_it_is_watched() {
        let watched = Watched::default();
        let id = IdHash::of("one");
        let mut first = watched.watch(id.clone());
        let short = watched.watch(IdHash::of("two"));
        assert!(watched.due().is_empty(), "just begun");
        drop(short);
        assert_eq!(watched.due(), std::slice::from_ref(&id));
        let mut second = watched.watch(id.clone());
        assert_eq!(watched.due(), std::slice::from_ref(&id), "one entry for both");
        watched.tell(&id);
        first.ended().await;
        second.ended().await;
        assert!(watched.due().is_empty());
        let mut next = watched.watch(id);
        let waiting = tokio::time::timeout(Duration::from_millis(10), next.ended());
        assert!(waiting.await.is_err(), "an end concerns those who watched");
    }
}
