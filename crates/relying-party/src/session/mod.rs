//! Sessions and their stores.
//!
//! The id in the cookie has 256 random bits; the store keeps its hash, so that a copy of the store does not let an
//! attacker sign in. The data of a session is sealed before it gets here.

mod memory;
mod redis;
mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use foundation::time::Timestamp;

/// The hash of a session id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdHash(pub(crate) Vec<u8>);

impl IdHash {
    /// The hash of the id in a cookie.
    pub fn of(id: &str) -> Self {
        Self(digest(&SHA256, id.as_bytes()).as_ref().to_vec())
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A session in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Number of writes.
    pub version: i64,
    /// Whether a request holds the lease on this session, in order to refresh its tokens. `version` moves while it lives.
    pub leased: bool,
    /// Sealed data.
    pub sealed: Vec<u8>,
    /// Expiry.
    pub expires_at: Timestamp,
}

/// A refresh token that the provider is still to be told of, in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRevocation {
    /// The hash of the token.
    pub id: IdHash,
    /// The sealed token.
    pub sealed: Vec<u8>,
    /// Failed attempts.
    pub failures: i64,
    /// The next attempt.
    pub next_try_at: Timestamp,
    /// The time at which the token is worth nothing anyway.
    pub expires_at: Timestamp,
}

/// A name that the provider has for a session, its `sid` or `sub`, as a hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(pub(crate) Vec<u8>);

impl Handle {
    /// The handle of the provider's session with this id.
    pub fn of_sid(sid: &str) -> Self {
        Self(digest(&SHA256, format!("sid:{sid}").as_bytes()).as_ref().to_vec())
    }

    /// The handle of all sessions of this user.
    pub fn of_sub(sub: &str) -> Self {
        Self(digest(&SHA256, format!("sub:{sub}").as_bytes()).as_ref().to_vec())
    }
}

/// Error of a session store: a fault, not the absence of a session.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Error of the database.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// Error of Redis.
    #[error("redis cannot answer: {0}")]
    Redis(#[from] ::redis::RedisError),
    /// The URL names no store.
    #[error("`{0}` is none of memory:, sqlite://…, postgres://…, redis://…")]
    Unknown(String),
}

/// A session store. All replicas of an app share one.
///
/// Every write names the version it follows, so that of two writers one learns that it was second.
#[async_trait]
pub trait SessionStore: std::fmt::Debug + Send + Sync {
    /// Inserts a new session.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn create(&self, id: &IdHash, session: &SessionRecord) -> Result<(), StoreError>;

    /// The session of this id, if it has not expired.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn read(&self, id: &IdHash, now: Timestamp) -> Result<Option<SessionRecord>, StoreError>;

    /// Replaces a session if its version is the one before; `false` if it is not.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn update(&self, id: &IdHash, session: &SessionRecord) -> Result<bool, StoreError>;

    /// Removes a session and returns it: of two concurrent calls, one gets it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remove(&self, id: &IdHash) -> Result<Option<SessionRecord>, StoreError>;

    /// Notes the handles by which [`SessionStore::find`] finds a session that begins at `created_at`. Before the session is
    /// created, so that it is never there without them.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn add_handles(
        &self,
        id: &IdHash,
        handles: &[Handle],
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// The sessions with a handle that began no later than `until`. Some of them may be gone.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find(&self, handle: &Handle, until: Timestamp) -> Result<Vec<IdHash>, StoreError>;

    /// Keeps a revocation, in place of the one with the same id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn keep_revocation(&self, revocation: &PendingRevocation) -> Result<(), StoreError>;

    /// At most `limit` revocations whose next attempt is due, the longest overdue first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn due_revocations(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<PendingRevocation>, StoreError>;

    /// Removes a revocation: the provider has been told.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remove_revocation(&self, id: &IdHash) -> Result<(), StoreError>;

    /// Removes expired sessions, in batches, and returns their number; 0 from a store that expires them itself. Expired
    /// revocations go too, and are not counted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Checks that the store answers.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Opens the store that a URL names (`memory:`, `sqlite://…`, `postgres://…`, `redis://…`, `rediss://…`), and
/// brings its schema up to date. `name` keeps the sessions of several apps in one Redis apart.
///
/// # Errors
/// [`StoreError`].
pub async fn open(url: &str, name: &str) -> Result<Arc<dyn SessionStore>, StoreError> {
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "memory" => Ok(Arc::new(memory::Memory::default())),
        "sqlite" | "postgres" | "postgresql" => Ok(Arc::new(sql::Sql::open(url).await?)),
        "redis" | "rediss" => Ok(Arc::new(redis::Redis::open(url, name).await?)),
        // Without what may be a password.
        scheme => Err(StoreError::Unknown(format!("{scheme}:…"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use foundation::time::{Clock as _, SystemClock};

    use super::*;

    /// Requirements of every store. A new one is covered by a call of this.
    async fn conforms(store: Arc<dyn SessionStore>) {
        let now = SystemClock.now();
        let later = now + Duration::from_mins(1);
        let id = IdHash::of("one");
        let first =
            SessionRecord { version: 1, leased: false, sealed: vec![1, 0, 255], expires_at: later };
        assert_eq!(store.read(&id, now).await.unwrap(), None);
        store.create(&id, &first).await.unwrap();
        assert_eq!(store.read(&id, now).await.unwrap(), Some(first.clone()));
        assert_eq!(store.read(&id, later).await.unwrap(), None, "it has expired");
        assert_eq!(store.read(&IdHash::of("two"), now).await.unwrap(), None);

        let sooner = later + Duration::from_secs(1);
        let second =
            SessionRecord { version: 2, leased: true, sealed: vec![4], expires_at: sooner };
        assert!(store.update(&id, &second).await.unwrap());
        assert!(!store.update(&id, &second).await.unwrap(), "a second writer loses");
        assert_eq!(store.read(&id, now).await.unwrap(), Some(second.clone()));
        assert!(!store.update(&IdHash::of("two"), &second).await.unwrap());

        // Of many who write the next version at once, one does; of many who remove it, one gets it.
        let third = SessionRecord { version: 3, leased: false, ..second };
        let writing: Vec<_> = (0..16)
            .map(|_| {
                let (store, id, third) = (Arc::clone(&store), id.clone(), third.clone());
                tokio::spawn(async move { store.update(&id, &third).await.unwrap() })
            })
            .collect();
        let mut wrote = 0;
        for writer in writing {
            wrote += u32::from(writer.await.unwrap());
        }
        assert_eq!(wrote, 1);
        let removing: Vec<_> = (0..16)
            .map(|_| {
                let (store, id) = (Arc::clone(&store), id.clone());
                tokio::spawn(async move { store.remove(&id).await.unwrap() })
            })
            .collect();
        let mut removed = Vec::new();
        for remover in removing {
            removed.extend(remover.await.unwrap());
        }
        assert_eq!(removed, std::slice::from_ref(&third));
        assert_eq!(store.read(&id, now).await.unwrap(), None);
        let fourth = SessionRecord { version: 4, ..third };
        assert!(!store.update(&id, &fourth).await.unwrap(), "a write does not bring it back");
        store.ping().await.unwrap();
        keeps_revocations(&*store).await;
        finds_by_handles(&*store).await;
    }

    async fn finds_by_handles(store: &dyn SessionStore) {
        let now = SystemClock.now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let (sid, sub) = (Handle::of_sid("one"), Handle::of_sub("one"));
        assert_ne!(sid, sub);
        let [first, second] = ["first", "second"].map(IdHash::of);
        let both = [sid.clone(), sub.clone()];
        store.add_handles(&first, &both, at(0), at(100)).await.unwrap();
        store.add_handles(&second, std::slice::from_ref(&sub), at(10), at(100)).await.unwrap();
        let found = async |handle: &Handle, seconds| {
            let mut found = store.find(handle, at(seconds)).await.unwrap();
            found.sort_by_key(|id| *id != first);
            found
        };
        assert_eq!(found(&sid, 99).await, std::slice::from_ref(&first));
        assert_eq!(found(&sub, 9).await, std::slice::from_ref(&first), "the other began later");
        assert_eq!(found(&sub, 10).await, [first.clone(), second.clone()]);
        assert!(found(&Handle::of_sid("two"), 99).await.is_empty());
    }

    async fn keeps_revocations(store: &dyn SessionStore) {
        let now = SystemClock.now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let revocation = |name: &str, next_try_at, expires_at| PendingRevocation {
            id: IdHash::of(name),
            sealed: vec![1, 0, 255],
            failures: 0,
            next_try_at,
            expires_at,
        };
        let first = revocation("first", at(10), at(1_000));
        let second = revocation("second", at(20), at(1_000));
        let expired = revocation("expired", at(1), at(5));
        for kept in [&second, &first, &expired] {
            store.keep_revocation(kept).await.unwrap();
        }
        store.remove_expired(at(6)).await.unwrap();
        let due = async |seconds, limit| store.due_revocations(at(seconds), limit).await.unwrap();
        assert!(due(9, 9).await.is_empty());
        assert_eq!(due(10, 9).await, std::slice::from_ref(&first));
        assert_eq!(due(20, 9).await, [first.clone(), second.clone()]);
        assert_eq!(due(20, 1).await, std::slice::from_ref(&first));
        let later = PendingRevocation { failures: 1, next_try_at: at(30), ..first.clone() };
        store.keep_revocation(&later).await.unwrap();
        assert_eq!(due(29, 9).await, std::slice::from_ref(&second));
        assert_eq!(due(30, 9).await, [second.clone(), later.clone()]);
        store.remove_revocation(&second.id).await.unwrap();
        store.remove_revocation(&second.id).await.unwrap();
        assert_eq!(due(30, 9).await, std::slice::from_ref(&later));
        store.remove_revocation(&later.id).await.unwrap();
        assert!(due(999, 9).await.is_empty());
    }

    /// Requirements of every store that is told when to forget.
    async fn forgets(store: Arc<dyn SessionStore>) {
        let now = SystemClock.now();
        for number in 0..1_100 {
            let expires_at = if number < 1_050 { now } else { now + Duration::from_mins(1) };
            let session = SessionRecord { version: 1, leased: false, sealed: vec![], expires_at };
            store.create(&IdHash::of(&number.to_string()), &session).await.unwrap();
        }
        assert_eq!(store.remove_expired(now).await.unwrap(), 1_050);
        assert_eq!(store.remove_expired(now).await.unwrap(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn memory_conforms() {
        conforms(open("memory:", "test").await.unwrap()).await;
        forgets(open("memory:", "test").await.unwrap()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn postgresql_conforms() {
        if let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() {
            let store = open(&url, "test").await.unwrap();
            conforms(Arc::clone(&store)).await;
            forgets(store).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn sqlite_conforms() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/s.db", folder.path().display());
        let store = open(&url, "test").await.unwrap();
        conforms(Arc::clone(&store)).await;
        forgets(store).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn redis_conforms() {
        let Some(url) = tokio::task::spawn_blocking(testing::redis).await.unwrap() else { return };
        conforms(open(&url, "test").await.unwrap()).await;
        // It forgets by itself, and keeps apps apart.
        let (ours, others) =
            (open(&url, "ours").await.unwrap(), open(&url, "others").await.unwrap());
        let now = SystemClock.now();
        let id = IdHash::of("short");
        let expires_at = now + Duration::from_millis(300);
        let session = SessionRecord { version: 1, leased: false, sealed: vec![7], expires_at };
        ours.create(&id, &session).await.unwrap();
        assert_eq!(others.read(&id, now).await.unwrap(), None);
        assert!(ours.read(&id, now).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(ours.remove(&id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn other_urls_are_refused_without_their_passwords() {
        let error = open("mysql://u:hush@host/db", "test").await.unwrap_err().to_string();
        assert!(error.contains("mysql:…") && !error.contains("hush"), "{error}");
    }
}
