//! Pairs of cookies: which one of a session is the newest, so that a copy that is used is noticed.
//!
//! Both cookies of a session carry a number, sealed like all of their content: it cannot be made or changed elsewhere. Every
//! refresh gives the pair with the next number. The store has the newest number of each session, and no token.

use std::sync::Arc;
use std::time::Duration;

use foundation::time::Timestamp;
use relying_party::StoreError;
use relying_party::session::{IdHash, SessionRecord, SessionStore};

/// Time in which a pair may be presented again after it was replaced: tabs that refresh at the same moment, and answers
/// that were lost.
pub(crate) const RACE_WINDOW: Duration = Duration::from_secs(10);
/// The number of a session's first pair.
pub(crate) const FIRST: i64 = 1;

/// The newest pair of each session.
#[derive(Debug, Clone)]
pub(crate) struct Pairs(pub Arc<dyn SessionStore>);

/// The standing of a pair that is presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presented {
    /// The newest pair of its session.
    Newest(SessionRecord),
    /// The newest replaced it a moment ago.
    JustReplaced(SessionRecord),
    /// A pair that was replaced before that. Another browser has used the session: one of the two holds a copy.
    Copied,
    /// The session has ended.
    Ended,
}

impl Pairs {
    /// Begins a session that is refreshed before `expires_at`.
    pub async fn begin(
        &self,
        session: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.create(&IdHash::of(session), &record(FIRST, now, expires_at)).await
    }

    /// Whether a session lives.
    pub async fn is_live(&self, session: &str, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.0.read(&IdHash::of(session), now).await?.is_some())
    }

    /// Looks at the pair with this number.
    pub async fn look_at(
        &self,
        session: &str,
        number: i64,
        now: Timestamp,
    ) -> Result<Presented, StoreError> {
        let newest = self.0.read(&IdHash::of(session), now).await?;
        Ok(newest.map_or(Presented::Ended, |newest| judge(newest, number, now)))
    }

    /// The number of the pair that follows `presented`: of several requests with one pair, all get the same. `None` if
    /// the session has ended meanwhile.
    pub async fn replace(
        &self,
        session: &str,
        presented: SessionRecord,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let id = IdHash::of(session);
        let next = record(presented.version + 1, now, expires_at);
        if self.0.update(&id, &next).await? {
            return Ok(Some(next.version));
        }
        Ok(self.0.read(&id, now).await?.map(|newest| newest.version))
    }

    /// Ends a session, for every holder of its cookies.
    pub async fn end(&self, session: &str) -> Result<(), StoreError> {
        self.0.remove(&IdHash::of(session)).await.map(drop)
    }
}

/// The record of a session whose newest pair has this number since `replaced_at`.
fn record(number: i64, replaced_at: Timestamp, expires_at: Timestamp) -> SessionRecord {
    let sealed = replaced_at.millis().to_be_bytes().to_vec();
    SessionRecord { version: number, leased: false, sealed, expires_at }
}

fn judge(newest: SessionRecord, number: i64, now: Timestamp) -> Presented {
    let replaced_at = newest.sealed.as_slice().try_into().map_or(0, i64::from_be_bytes);
    let is_recent = now < Timestamp::from_millis(replaced_at) + RACE_WINDOW;
    match newest.version - number {
        0 => Presented::Newest(newest),
        1 if is_recent => Presented::JustReplaced(newest),
        1.. => Presented::Copied,
        // Newer than the store's: it was restored from a backup, and cannot tell.
        _ => Presented::Ended,
    }
}

#[cfg(test)]
mod tests {
    use foundation::time::{Clock as _, MovableClock};
    use relying_party::session;

    use super::*;

    #[tokio::test]
    async fn a_pair_that_was_replaced_counts_for_ten_seconds() {
        let clock = MovableClock::default();
        let pairs = Pairs(session::open("memory:", "spa").await.unwrap());
        let end = clock.now() + Duration::from_hours(1);
        pairs.begin("one", clock.now(), end).await.unwrap();
        let look = async |number| pairs.look_at("one", number, clock.now()).await.unwrap();
        let Presented::Newest(first) = look(FIRST).await else { panic!("the newest") };
        // Tabs that refresh at once get the same next pair.
        for _ in 0..3 {
            let next = pairs.replace("one", first.clone(), clock.now(), end).await.unwrap();
            assert_eq!(next, Some(FIRST + 1));
        }
        clock.advance(Duration::from_millis(9_999));
        assert!(
            matches!(look(FIRST).await, Presented::JustReplaced(newest) if newest.version == 2)
        );
        assert!(matches!(look(FIRST + 1).await, Presented::Newest(_)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(look(FIRST).await, Presented::Copied);
        let Presented::Newest(second) = look(FIRST + 1).await else { panic!("the newest") };
        pairs.replace("one", second, clock.now(), end).await.unwrap();
        assert_eq!(look(FIRST).await, Presented::Copied, "two before: at once");
        assert_eq!(look(FIRST + 3).await, Presented::Ended);
        pairs.end("one").await.unwrap();
        assert_eq!(look(FIRST + 2).await, Presented::Ended);
        assert_eq!(pairs.replace("one", first, clock.now(), end).await.unwrap(), None);
        assert!(!pairs.is_live("one", clock.now()).await.unwrap());
    }
}
