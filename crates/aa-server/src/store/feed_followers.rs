//! Followers of the feed of ends, as they were last seen.

use database::{all, execute};
use foundation::time::Timestamp;

use super::{Result, Store};

/// Followers of one client that are written down, at most.
const MAX_OF_CLIENT: i64 = 20_000;

/// What a follower has said of itself.
#[derive(Debug, Clone, Copy)]
pub struct Confirmation {
    /// The serial up to which it knows of every end; `None` if it is connected and has not said more since.
    pub serial: Option<i64>,
    /// The time at which it was last there.
    pub seen_at: Timestamp,
}

/// A follower, as it was last seen at any replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedFollower {
    /// The client that it authenticates as.
    pub client_id: String,
    /// The name that it gives itself; may be empty.
    pub name: String,
    /// The serial up to which it has confirmed that it knows of every end.
    pub serial: i64,
    /// The time of the end with that serial, if that is kept still.
    pub confirmed: Option<Timestamp>,
    /// The time at which it was last there.
    pub seen_at: Timestamp,
}

impl Store {
    /// Writes down what followers, by client and name, have said of themselves.
    pub async fn confirm_followers(
        &self,
        confirmations: &[((String, String), Confirmation)],
    ) -> Result<()> {
        if confirmations.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        for ((client_id, name), confirmation) in confirmations {
            execute!(
                tx.on(),
                "INSERT INTO feed_followers (client_id, name, serial, seen_at)
                 SELECT $1, $2, COALESCE($3, 0), $4
                 WHERE EXISTS (SELECT 1 FROM feed_followers WHERE client_id = $1 AND name = $2)
                    OR (SELECT COUNT(*) FROM feed_followers WHERE client_id = $1) < $5
                 ON CONFLICT (client_id, name)
                 DO UPDATE SET serial = COALESCE($3, feed_followers.serial), seen_at = $4",
                client_id.as_str(),
                name.as_str(),
                confirmation.serial,
                confirmation.seen_at.millis(),
                MAX_OF_CLIENT
            )?;
        }
        tx.commit().await
    }

    /// Up to `limit` followers that were there since this time, those that are furthest behind first.
    pub async fn feed_followers(&self, since: Timestamp, limit: u32) -> Result<Vec<FeedFollower>> {
        let rows = all!(
            self.db.read(),
            (String, String, i64, Option<Timestamp>, Timestamp),
            "SELECT f.client_id, f.name, f.serial, e.ended_at, f.seen_at
             FROM feed_followers f LEFT JOIN ends e ON e.serial = f.serial WHERE f.seen_at >= $1
             ORDER BY f.serial, f.seen_at LIMIT $2",
            since.millis(),
            i64::from(limit)
        )?;
        let follower = |(client_id, name, serial, confirmed, seen_at)| FeedFollower {
            client_id,
            name,
            serial,
            confirmed,
            seen_at,
        };
        Ok(rows.into_iter().map(follower).collect())
    }

    /// Forgets followers that were not there since this time.
    pub async fn forget_followers(&self, since: Timestamp) -> Result<()> {
        execute!(self.db.write(), "DELETE FROM feed_followers WHERE seen_at < $1", since.millis())
            .map(drop)
    }
}
