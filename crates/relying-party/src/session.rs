//! What a signed-in browser stands for, and where that is kept.
//!
//! The id in the cookie has 256 random bits; the store keeps its hash, so that a copy of it signs nobody in.
//! What is stored is sealed before it gets here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use database::{Db, execute, optional};
use service::time::Timestamp;
use sqlx::migrate::Migrator;

/// Every migration of the session store, in order.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
/// Rows that one statement of the cleanup removes.
const BATCH: i64 = 500;

/// The hash of a session id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdHash(Vec<u8>);

impl IdHash {
    /// Of the id in a cookie.
    pub fn of(id: &str) -> Self {
        Self(digest(&SHA256, id.as_bytes()).as_ref().to_vec())
    }
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Counts the writes.
    pub version: i64,
    /// Sealed.
    pub sealed: Vec<u8>,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

/// Why a store does not answer. A fault: the session is still there.
pub type StoreError = database::Error;

/// Where sessions are kept.
#[derive(Debug)]
pub enum SessionStore {
    /// In this process. They are gone when it ends.
    Memory(Mutex<HashMap<IdHash, Stored>>),
    /// In a database.
    Database(Db),
}

impl SessionStore {
    /// Opens `memory:`, `sqlite://…` or `postgres://…`, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        if url == "memory:" {
            return Ok(Self::Memory(Mutex::default()));
        }
        let db = Db::connect(url).await?;
        db.migrate(&MIGRATIONS).await?;
        Ok(Self::Database(db))
    }

    /// Keeps a new session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create(&self, id: &IdHash, session: &Stored) -> Result<(), StoreError> {
        match self {
            Self::Memory(map) => {
                lock(map).insert(id.clone(), session.clone());
                Ok(())
            }
            Self::Database(db) => execute!(
                db.write(),
                "INSERT INTO rp_sessions (id_hash, version, sealed, expires_at) VALUES ($1, $2, $3, $4)",
                id.0.as_slice(),
                session.version,
                session.sealed.as_slice(),
                session.expires_at.millis()
            )
            .map(drop),
        }
    }

    /// The session of this id, if it has not expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, id: &IdHash, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        match self {
            Self::Memory(map) => {
                Ok(lock(map).get(id).filter(|session| session.expires_at > now).cloned())
            }
            Self::Database(db) => {
                let row = optional!(
                    db.read(),
                    (i64, Vec<u8>, i64),
                    "SELECT version, sealed, expires_at FROM rp_sessions
                     WHERE id_hash = $1 AND expires_at > $2",
                    id.0.as_slice(),
                    now.millis()
                )?;
                Ok(row.map(|(version, sealed, expires_at)| Stored {
                    version,
                    sealed,
                    expires_at: Timestamp::from_millis(expires_at),
                }))
            }
        }
    }

    /// Replaces what is stored, if it is still the version before. Whether it was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update(&self, id: &IdHash, session: &Stored) -> Result<bool, StoreError> {
        match self {
            Self::Memory(map) => {
                let mut map = lock(map);
                match map.get_mut(id).filter(|known| known.version == session.version - 1) {
                    Some(known) => {
                        *known = session.clone();
                        Ok(true)
                    }
                    None => Ok(false),
                }
            }
            Self::Database(db) => execute!(
                db.write(),
                "UPDATE rp_sessions SET version = $1, sealed = $2 WHERE id_hash = $3 AND version = $4",
                session.version,
                session.sealed.as_slice(),
                id.0.as_slice(),
                session.version - 1
            )
            .map(|updated| updated > 0),
        }
    }

    /// Removes a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, id: &IdHash) -> Result<(), StoreError> {
        match self {
            Self::Memory(map) => {
                lock(map).remove(id);
                Ok(())
            }
            Self::Database(db) => {
                execute!(db.write(), "DELETE FROM rp_sessions WHERE id_hash = $1", id.0.as_slice())
                    .map(drop)
            }
        }
    }

    /// Removes expired sessions, in batches. How many went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        match self {
            Self::Memory(map) => {
                let mut map = lock(map);
                let before = map.len();
                map.retain(|_, session| session.expires_at > now);
                Ok((before - map.len()) as u64)
            }
            Self::Database(db) => {
                let mut removed = 0;
                loop {
                    let batch = execute!(
                        db.write(),
                        "DELETE FROM rp_sessions WHERE id_hash IN (
                             SELECT id_hash FROM rp_sessions WHERE expires_at <= $1 LIMIT $2)",
                        now.millis(),
                        BATCH
                    )?;
                    removed += batch;
                    if batch == 0 {
                        return Ok(removed);
                    }
                }
            }
        }
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Database(db) => db.ping().await,
        }
    }
}

fn lock(
    map: &Mutex<HashMap<IdHash, Stored>>,
) -> std::sync::MutexGuard<'_, HashMap<IdHash, Stored>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every store must do. A new one is covered by a call of this.
    async fn conforms(store: SessionStore) {
        let (now, later) = (Timestamp::from_millis(1_000), Timestamp::from_millis(2_000));
        let id = IdHash::of("one");
        let first = Stored { version: 1, sealed: vec![1, 2, 3], expires_at: later };
        assert_eq!(store.read(&id, now).await.unwrap(), None);
        store.create(&id, &first).await.unwrap();
        assert_eq!(store.read(&id, now).await.unwrap(), Some(first.clone()));
        assert_eq!(store.read(&id, later).await.unwrap(), None, "it has expired");
        assert_eq!(store.read(&IdHash::of("two"), now).await.unwrap(), None);

        let second = Stored { version: 2, sealed: vec![4], ..first.clone() };
        assert!(store.update(&id, &second).await.unwrap());
        assert!(!store.update(&id, &second).await.unwrap(), "a second writer loses");
        assert_eq!(store.read(&id, now).await.unwrap(), Some(second.clone()));
        assert!(!store.update(&IdHash::of("two"), &second).await.unwrap());

        store.remove(&id).await.unwrap();
        store.remove(&id).await.unwrap();
        assert_eq!(store.read(&id, now).await.unwrap(), None);
        let third = Stored { version: 3, ..second };
        assert!(!store.update(&id, &third).await.unwrap(), "a write does not bring it back");

        for number in 0..1_100 {
            let expires_at = if number < 1_050 { now } else { later };
            let session = Stored { version: 1, sealed: vec![], expires_at };
            store.create(&IdHash::of(&number.to_string()), &session).await.unwrap();
        }
        assert_eq!(store.remove_expired(now).await.unwrap(), 1_050);
        assert_eq!(store.remove_expired(now).await.unwrap(), 0);
        store.ping().await.unwrap();
    }

    #[tokio::test]
    async fn memory_conforms() {
        conforms(SessionStore::open("memory:").await.unwrap()).await;
    }

    #[tokio::test]
    async fn postgresql_conforms() {
        if let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() {
            conforms(SessionStore::open(&url).await.unwrap()).await;
        }
    }

    #[tokio::test]
    async fn sqlite_conforms() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/s.db", folder.path().display());
        conforms(SessionStore::open(&url).await.unwrap()).await;
    }
}
