use std::time::Duration;

use foundation::time::Timestamp;
use sqlx::PgPool;
use uuid::Uuid;

use super::super::Result;

/// Takes a try from every counter. The rows are locked in the order of their keys, so two requests never wait for each
/// other.
const TAKE: &str = "INSERT INTO tries AS t (counter, full_at)
     SELECT asked.counter, $1 + asked.interval FROM UNNEST($2::uuid[], $3::bigint[]) AS asked (counter, interval)
     ORDER BY asked.counter
     ON CONFLICT (counter) DO UPDATE SET full_at = GREATEST(t.full_at, $1) + EXCLUDED.full_at - $1
     RETURNING t.counter, t.full_at";
const GIVE_BACK: &str = "UPDATE tries SET full_at = full_at - $1 WHERE counter = $2";
const REMOVE_FULL: &str = "DELETE FROM tries WHERE full_at <= $1";

/// A counter, and how many tries it allows: `burst` at once, then one more after each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TryCounter {
    /// The key that the counter is found by.
    pub key: u128,
    /// The time until there is one try more.
    pub interval: Duration,
    /// The number of tries at once.
    pub burst: u32,
}

impl TryCounter {
    /// The time from now at which a counter that is full again then has no tries left.
    pub fn capacity(&self) -> Duration {
        self.interval * self.burst
    }

    fn id(&self) -> Uuid {
        Uuid::from_u128(self.key)
    }

    fn interval_millis(&self) -> i64 {
        i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The counters of all replicas, in PostgreSQL.
#[derive(Debug, Clone)]
pub struct SharedTries(PgPool);

impl SharedTries {
    pub(super) fn new(pool: PgPool) -> Self {
        Self(pool)
    }

    /// Takes one try from each counter, or none from any. Returns the time until there is one when a counter has none
    /// left.
    pub async fn take(&self, counters: &[TryCounter], now: Timestamp) -> Result<Option<Duration>> {
        let keys: Vec<Uuid> = counters.iter().map(TryCounter::id).collect();
        let intervals: Vec<i64> = counters.iter().map(TryCounter::interval_millis).collect();
        let mut tx = self.0.begin().await?;
        let taken: Vec<(Uuid, Timestamp)> =
            sqlx::query_as(TAKE).bind(now).bind(keys).bind(intervals).fetch_all(&mut *tx).await?;
        let excess = taken.iter().filter_map(|(id, full_at)| {
            let counter = counters.iter().find(|counter| counter.id() == *id)?;
            full_at.since(now).checked_sub(counter.capacity()).filter(|excess| !excess.is_zero())
        });
        let retry_after = excess.max();
        if retry_after.is_some() {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        Ok(retry_after)
    }

    /// Gives one try back to each counter.
    pub async fn give_back(&self, counters: &[TryCounter]) -> Result<()> {
        for counter in counters {
            let update = sqlx::query(GIVE_BACK).bind(counter.interval_millis()).bind(counter.id());
            update.execute(&self.0).await?;
        }
        Ok(())
    }

    /// Removes counters that are full again, which are as good as none. Returns how many were removed.
    pub async fn remove_full(&self, now: Timestamp) -> Result<u64> {
        Ok(sqlx::query(REMOVE_FULL).bind(now).execute(&self.0).await?.rows_affected())
    }
}
