//! Counters of tries that all replicas share. SQLite has one process and needs none.

mod postgres;

use database::Either;

pub use postgres::{SharedTries, TryCounter};

use super::Store;

impl Store {
    /// The counters that replicas share. `None` for SQLite.
    pub fn shared_tries(&self) -> Option<SharedTries> {
        match self.db.write() {
            Either::Sqlite(_) => None,
            Either::Postgres(pool) => Some(SharedTries::new(pool.clone())),
        }
    }
}
