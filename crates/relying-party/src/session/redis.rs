//! Sessions in Redis, or what speaks its language. It forgets them by itself when they end.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use foundation::time::Timestamp;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};

use super::{Handle, IdHash, PendingRevocation, SessionRecord, SessionStore, StoreError};

/// The time for an answer.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);

/// Replaces a value that begins with the version before. One step: Redis runs nothing else meanwhile.
static UPDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end
         redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
         return 1",
    )
});

#[derive(Clone, derive_more::Debug)]
#[debug("Redis {{ prefix: {prefix:?}, .. }}")]
pub(super) struct Redis {
    connection: ConnectionManager,
    prefix: String,
    /// Key of a sorted set: ids of revocations by the time of their next attempt.
    revocations: String,
    /// Prefix of the keys of handles.
    handles: String,
}

impl Redis {
    pub(super) async fn open(url: &str, name: &str) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT))
            .set_number_of_retries(2);
        let connection = ConnectionManager::new_with_config(Client::open(url)?, config).await?;
        let revocations = format!("revocations:{name}");
        let (prefix, handles) = (format!("session:{name}:"), format!("handle:{name}:"));
        Ok(Self { connection, prefix, revocations, handles })
    }

    fn key(&self, id: &IdHash) -> String {
        key_of(self.prefix.clone(), id.as_bytes())
    }

    fn handle_key(&self, handle: &Handle) -> String {
        key_of(self.handles.clone(), &handle.0)
    }

    fn revocation_key(&self, id: &[u8]) -> String {
        key_of(format!("{}:", self.revocations), id)
    }
}

fn key_of(mut key: String, id: &[u8]) -> String {
    for byte in id {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// A revocation as bytes: failures, next attempt, end (8 bytes each), sealed token.
fn revocation_to_bytes(revocation: &PendingRevocation) -> Vec<u8> {
    let mut bytes = revocation.failures.to_be_bytes().to_vec();
    bytes.extend(revocation.next_try_at.millis().to_be_bytes());
    bytes.extend(revocation.expires_at.millis().to_be_bytes());
    bytes.extend(&revocation.sealed);
    bytes
}

fn revocation_from_bytes(id: &[u8], bytes: &[u8]) -> Option<PendingRevocation> {
    let (failures, rest) = bytes.split_first_chunk()?;
    let (next_try_at, rest) = rest.split_first_chunk()?;
    let (expires_at, sealed) = rest.split_first_chunk()?;
    Some(PendingRevocation {
        id: IdHash(id.to_vec()),
        sealed: sealed.to_vec(),
        failures: i64::from_be_bytes(*failures),
        next_try_at: Timestamp::from_millis(i64::from_be_bytes(*next_try_at)),
        expires_at: Timestamp::from_millis(i64::from_be_bytes(*expires_at)),
    })
}

/// A record as bytes: version (8 bytes), end (8 bytes), lease (1 byte), sealed data.
fn to_bytes(session: &SessionRecord) -> Vec<u8> {
    let mut bytes = session.version.to_be_bytes().to_vec();
    bytes.extend(session.expires_at.millis().to_be_bytes());
    bytes.push(u8::from(session.leased));
    bytes.extend(&session.sealed);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<SessionRecord> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (expires_at, rest) = rest.split_first_chunk()?;
    let (leased, sealed) = rest.split_first()?;
    Some(SessionRecord {
        version: i64::from_be_bytes(*version),
        leased: *leased != 0,
        sealed: sealed.to_vec(),
        expires_at: Timestamp::from_millis(i64::from_be_bytes(*expires_at)),
    })
}

#[async_trait]
impl SessionStore for Redis {
    async fn create(&self, id: &IdHash, session: &SessionRecord) -> Result<(), StoreError> {
        let mut set = redis::cmd("SET");
        set.arg(self.key(id)).arg(to_bytes(session)).arg("PXAT").arg(session.expires_at.millis());
        Ok(set.exec_async(&mut self.connection.clone()).await?)
    }

    async fn read(&self, id: &IdHash, now: Timestamp) -> Result<Option<SessionRecord>, StoreError> {
        let mut get = redis::cmd("GET");
        let bytes: Option<Vec<u8>> =
            get.arg(self.key(id)).query_async(&mut self.connection.clone()).await?;
        let session = bytes.and_then(|bytes| from_bytes(&bytes));
        Ok(session.filter(|session| session.expires_at > now))
    }

    async fn update(&self, id: &IdHash, session: &SessionRecord) -> Result<bool, StoreError> {
        let replaced: i64 = UPDATE
            .key(self.key(id))
            .arg((session.version - 1).to_be_bytes().as_slice())
            .arg(to_bytes(session))
            .arg(session.expires_at.millis())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(replaced == 1)
    }

    async fn remove(&self, id: &IdHash) -> Result<Option<SessionRecord>, StoreError> {
        let mut take = redis::cmd("GETDEL");
        let bytes: Option<Vec<u8>> =
            take.arg(self.key(id)).query_async(&mut self.connection.clone()).await?;
        Ok(bytes.and_then(|bytes| from_bytes(&bytes)))
    }

    async fn add_handles(
        &self,
        id: &IdHash,
        handles: &[Handle],
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut steps = redis::pipe();
        steps.atomic();
        for handle in handles {
            let key = self.handle_key(handle);
            // A sorted set: sessions by the time of their beginning. It lives as long as the last of them.
            steps.cmd("ZADD").arg(&key).arg(created_at.millis()).arg(id.as_bytes()).ignore();
            steps.cmd("PEXPIREAT").arg(&key).arg(expires_at.millis()).ignore();
        }
        Ok(steps.exec_async(&mut self.connection.clone()).await?)
    }

    async fn find(&self, handle: &Handle, until: Timestamp) -> Result<Vec<IdHash>, StoreError> {
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(self.handle_key(handle)).arg("-inf").arg(until.millis());
        let ids: Vec<Vec<u8>> = range.query_async(&mut self.connection.clone()).await?;
        Ok(ids.into_iter().map(IdHash).collect())
    }

    async fn keep_revocation(&self, revocation: &PendingRevocation) -> Result<(), StoreError> {
        let id = revocation.id.as_bytes();
        let mut steps = redis::pipe();
        steps.atomic();
        steps
            .cmd("SET")
            .arg(self.revocation_key(id))
            .arg(revocation_to_bytes(revocation))
            .arg("PXAT")
            .arg(revocation.expires_at.millis())
            .ignore();
        steps
            .cmd("ZADD")
            .arg(&self.revocations)
            .arg(revocation.next_try_at.millis())
            .arg(id)
            .ignore();
        Ok(steps.exec_async(&mut self.connection.clone()).await?)
    }

    async fn due_revocations(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<PendingRevocation>, StoreError> {
        let mut connection = self.connection.clone();
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(&self.revocations).arg("-inf").arg(now.millis());
        range.arg("LIMIT").arg(0).arg(limit);
        let ids: Vec<Vec<u8>> = range.query_async(&mut connection).await?;
        let mut due = Vec::new();
        for id in ids {
            let mut get = redis::cmd("GET");
            let bytes: Option<Vec<u8>> =
                get.arg(self.revocation_key(&id)).query_async(&mut connection).await?;
            match bytes.and_then(|bytes| revocation_from_bytes(&id, &bytes)) {
                Some(revocation) if revocation.expires_at > now => due.push(revocation),
                _ => self.remove_revocation(&IdHash(id)).await?,
            }
        }
        Ok(due)
    }

    async fn remove_revocation(&self, id: &IdHash) -> Result<(), StoreError> {
        let mut steps = redis::pipe();
        steps.atomic();
        steps.cmd("DEL").arg(self.revocation_key(id.as_bytes())).ignore();
        steps.cmd("ZREM").arg(&self.revocations).arg(id.as_bytes()).ignore();
        Ok(steps.exec_async(&mut self.connection.clone()).await?)
    }

    async fn remove_expired(&self, _now: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(redis::cmd("PING").exec_async(&mut self.connection.clone()).await?)
    }
}
