//! Notice of the end of sessions, for streams that outlast the check at their beginning.
//!
//! An end in this process is noticed at once, and so is one that our own authority publishes. Another one at another
//! replica is noticed by reading the store: twice in
//! [`WATCH_INTERVAL`] at the most, and only for what is watched for longer than one interval, so that a short response
//! costs no read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokens::feed::SessionIdentity;
use tokio::sync::watch;
use tracing::warn;

use super::ends::Reason;
use super::{AccessToken, RelyingParty};
use crate::session::IdHash;

/// Interval at which the watched sessions are read. An end is noticed within two of them.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// The watched sessions of this process.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<HashMap<IdHash, Entry>>);

#[derive(Debug)]
struct Entry {
    state: watch::Sender<State>,
    /// The session's identity at our own authority, and whether the store has newer ones.
    identity: Option<(SessionIdentity, bool)>,
    /// Whether it was there at the last reading already.
    is_old: bool,
}

#[derive(Debug, Clone, Default)]
struct State {
    has_ended: bool,
    reason: Option<Reason>,
    /// Number of ends that may concern it, and that its token does not tell of because it has expired.
    doubts: u64,
}

/// Notice of the end of one session.
#[derive(Debug)]
pub struct SessionWatch {
    state: watch::Receiver<State>,
    doubts: u64,
}

/// What was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The session has ended, for this reason if it is known.
    Ended(Option<Reason>),
    /// The session may have ended: the provider has to be asked.
    InDoubt,
}

impl SessionWatch {
    /// Waits until there is something to notice. May be dropped and called again.
    pub async fn next(&mut self) -> Notice {
        let doubts = self.doubts;
        let changed = self.state.wait_for(|state| state.has_ended || state.doubts != doubts);
        let Ok(state) = changed.await.map(|state| state.clone()) else {
            // No sender can tell any more.
            return std::future::pending().await;
        };
        self.doubts = state.doubts;
        if state.has_ended { Notice::Ended(state.reason) } else { Notice::InDoubt }
    }

    /// Waits until the session has ended.
    pub async fn ended(&mut self) -> Option<Reason> {
        loop {
            if let Notice::Ended(reason) = self.next().await {
                return reason;
            }
        }
    }
}

impl Watched {
    fn map(&self) -> MutexGuard<'_, HashMap<IdHash, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, id: IdHash, identity: Option<(SessionIdentity, bool)>) -> SessionWatch {
        let new = || Entry { state: watch::Sender::default(), identity: None, is_old: false };
        let mut map = self.map();
        let entry = map.entry(id).or_insert_with(new);
        if identity.is_some() {
            entry.identity = identity;
        }
        let state = entry.state.subscribe();
        let doubts = state.borrow().doubts;
        SessionWatch { state, doubts }
    }

    pub fn tell(&self, id: &IdHash, reason: Option<&Reason>) {
        if let Some(entry) = self.map().remove(id) {
            let reason = reason.cloned();
            entry.state.send_modify(|state| {
                state.has_ended = true;
                state.reason = reason;
            });
        }
    }

    pub fn doubt(&self, id: &IdHash) {
        if let Some(entry) = self.map().get(id) {
            entry.state.send_modify(|state| state.doubts += 1);
        }
    }

    /// The watched sessions of our own authority.
    pub fn identified(&self) -> Vec<(IdHash, SessionIdentity, bool)> {
        let map = self.map();
        let identity = |(id, entry): (&IdHash, &Entry)| {
            let (identity, is_in_store) = entry.identity.clone()?;
            Some((id.clone(), identity, is_in_store))
        };
        map.iter().filter_map(identity).collect()
    }

    /// Forgets what is not watched any more, and returns what has been watched since the last call.
    fn due(&self) -> Vec<IdHash> {
        let mut map = self.map();
        map.retain(|_, entry| entry.state.receiver_count() > 0);
        let old = map.iter_mut().filter_map(|(id, entry)| {
            std::mem::replace(&mut entry.is_old, true).then(|| id.clone())
        });
        old.collect()
    }
}

impl RelyingParty {
    /// Watches a session that exists, and whose access token this is.
    pub fn watch(&self, session_id: &str, token: &AccessToken) -> SessionWatch {
        let identity = SessionIdentity::of_received(token.token.expose_secret());
        let identity = identity.map(|identity| (identity, true));
        self.watched.watch(IdHash::of(session_id), identity)
    }

    /// Watches a session that exists, and whose tokens are not in the store.
    pub fn watch_identity(
        &self,
        session_id: &str,
        identity: Option<SessionIdentity>,
    ) -> SessionWatch {
        let identity = identity.map(|identity| (identity, false));
        self.watched.watch(IdHash::of(session_id), identity)
    }

    /// Reads the watched sessions, and tells of those that have ended or expired. To be called every
    /// [`WATCH_INTERVAL`].
    pub async fn look_after_watched(&self) {
        for id in self.watched.due() {
            match self.store.read(&id, self.now()).await {
                Ok(None) => self.watched.tell(&id, self.ends.reason_of(&id).as_ref()),
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
        let mut first = watched.watch(id.clone(), None);
        let short = watched.watch(IdHash::of("two"), None);
        assert!(watched.due().is_empty(), "just begun");
        drop(short);
        assert_eq!(watched.due(), std::slice::from_ref(&id));
        let mut second = watched.watch(id.clone(), None);
        assert_eq!(watched.due(), std::slice::from_ref(&id), "one entry for both");
        watched.tell(&id, None);
        first.ended().await;
        second.ended().await;
        assert!(watched.due().is_empty());
        let mut next = watched.watch(id, None);
        let waiting = tokio::time::timeout(Duration::from_millis(10), next.ended());
        assert!(waiting.await.is_err(), "an end concerns those who watched");
    }
}
