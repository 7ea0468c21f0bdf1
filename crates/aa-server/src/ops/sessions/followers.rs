//! The followers of ended sessions, as administrators see them.

use std::time::Duration;

use foundation::time::Timestamp;

use crate::authority::Authority;
use crate::ops::lists::client_names;
use crate::store;

/// A follower that was not there since is gone.
const SEEN_SINCE: Duration = Duration::from_mins(2);
/// Followers that are shown, at most.
const SHOWN: u32 = 100;

/// A follower of the feed of ends.
#[derive(Debug)]
pub struct Follower {
    /// The name of the client that it authenticates as.
    pub client: String,
    /// The name that it gives itself; may be empty.
    pub name: String,
    /// The time up to which it has confirmed that it knows of every end.
    pub confirmed: Option<Timestamp>,
    /// The time at which it was last there.
    pub seen_at: Timestamp,
}

impl Follower {
    /// Whether it has confirmed that it knows of what ended at this time.
    pub fn knows(&self, ended_at: Timestamp) -> bool {
        self.confirmed.is_some_and(|confirmed| confirmed >= ended_at)
    }
}

/// The followers of all replicas, those that are furthest behind first.
///
/// # Errors
/// When the database cannot answer.
pub async fn followers(authority: &Authority) -> store::Result<Vec<Follower>> {
    let rows = authority.store.feed_followers(authority.now() - SEEN_SINCE, SHOWN).await?;
    let names = client_names(authority, rows.iter().map(|row| row.client_id.as_str())).await?;
    let follower = |row: store::FeedFollower| Follower {
        client: names.get(&row.client_id).unwrap_or(&row.client_id).clone(),
        name: row.name,
        confirmed: row.confirmed,
        seen_at: row.seen_at,
    };
    Ok(rows.into_iter().map(follower).collect())
}
