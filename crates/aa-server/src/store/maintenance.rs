use std::time::Duration;

use database::execute;
use foundation::time::Timestamp;
use uuid::Uuid;

use super::{Result, Store};

/// Rows a single statement removes: writers wait for no longer than that takes.
const BATCH: i64 = 500;
const DAY: Duration = Duration::from_hours(24);
/// How long ended sessions stay to be read about.
pub const REMEMBERED: Duration = Duration::from_hours(30 * 24);

impl Store {
    /// Removes what nothing can refer to any more, in batches. How many rows went.
    ///
    /// A family stays until its absolute end, so that the reuse of any of its tokens is recognised, and 30 days
    /// more to be read about. One that was never redeemed goes a day after it was made, or two; if it is not asked for so
    /// long, with the others.
    pub async fn remove_old(&self, now: Timestamp) -> Result<u64> {
        let remembered = (now - REMEMBERED).millis();
        let a_day_ago = now - DAY;
        let mut removed = in_batches(|| async move {
            Ok(execute!(
                self.db.write(),
                "DELETE FROM families WHERE id IN (
                     SELECT id FROM families WHERE expires_at < $1 LIMIT $2)",
                remembered,
                BATCH
            )?)
        })
        .await?;
        removed += in_batches(|| async move {
            // Ids sort by time, so this looks at the families of two days and not at all of them.
            Ok(execute!(
                self.db.write(),
                "DELETE FROM families WHERE id IN (
                     SELECT id FROM families
                     WHERE id >= $1 AND id < $2 AND generation = 0 AND code_expires_at < $3 LIMIT $4)",
                first_id_at(a_day_ago - 2 * DAY),
                first_id_at(a_day_ago),
                a_day_ago.millis(),
                BATCH
            )?)
        })
        .await?;
        removed += in_batches(|| async move {
            Ok(execute!(
                self.db.write(),
                "DELETE FROM browser_sessions WHERE id IN (
                     SELECT i.id FROM browser_sessions i
                     WHERE i.expires_at < $1
                       AND NOT EXISTS (SELECT 1 FROM families f WHERE f.browser_session_id = i.id
                                         AND f.user_id = i.user_id AND f.browser_id = i.browser_id)
                     LIMIT $2)",
                remembered,
                BATCH
            )?)
        })
        .await?;
        removed += in_batches(|| async move {
            Ok(execute!(
                self.db.write(),
                "DELETE FROM ends WHERE (id, user_epoch) IN (
                     SELECT id, user_epoch FROM ends WHERE ended_at < $1 LIMIT $2)",
                (now - REMEMBERED - DAY).millis(),
                BATCH
            )?)
        })
        .await?;
        removed += in_batches(|| async move {
            Ok(execute!(
                self.db.write(),
                "DELETE FROM authentication_attempts WHERE token_hash IN (
                     SELECT token_hash FROM authentication_attempts WHERE expires_at <= $1 LIMIT $2)",
                now.millis(),
                BATCH
            )?)
        })
        .await?;
        removed +=
            execute!(self.db.write(), "DELETE FROM invitations WHERE expires_at < $1", remembered)?;
        removed += execute!(
            self.db.write(),
            "DELETE FROM client_secrets WHERE expires_at < $1",
            a_day_ago.millis()
        )?;
        Ok(removed)
    }
}

/// Removes until there is nothing left to remove: how many rows.
async fn in_batches<F: Future<Output = Result<u64>>>(batch: impl Fn() -> F) -> Result<u64> {
    let mut removed = 0;
    loop {
        match batch().await? {
            0 => return Ok(removed),
            some => removed += some,
        }
    }
}

/// The least of the ids (UUID version 7) that are made at this moment.
fn first_id_at(moment: Timestamp) -> Uuid {
    let millis = u64::try_from(moment.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}
