//! Sessions in SQLite or PostgreSQL.

use async_trait::async_trait;
use database::{Db, all, execute, optional};
use foundation::time::Timestamp;
use sqlx::migrate::Migrator;

use super::{Handle, IdHash, PendingRevocation, SessionRecord, SessionStore, StoreError};

/// Every migration of the session store, in order.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
/// Rows that one statement of the cleanup removes.
const BATCH: i64 = 500;

/// `version`, `leased`, `sealed`, `expires_at`.
type Row = (i64, i64, Vec<u8>, i64);

/// `id_hash`, `sealed`, `failures`, `next_try_at`, `expires_at`.
type RevocationRow = (Vec<u8>, Vec<u8>, i64, i64, i64);

#[derive(Debug)]
pub(super) struct Sql(Db);

impl Sql {
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let db = Db::connect(url).await?;
        db.migrate(&MIGRATIONS).await?;
        Ok(Self(db))
    }
}

fn record((version, leased, sealed, expires_at): Row) -> SessionRecord {
    SessionRecord {
        version,
        leased: leased != 0,
        sealed,
        expires_at: Timestamp::from_millis(expires_at),
    }
}

fn revocation((id, sealed, failures, next_try_at, expires_at): RevocationRow) -> PendingRevocation {
    PendingRevocation {
        id: IdHash(id),
        sealed,
        failures,
        next_try_at: Timestamp::from_millis(next_try_at),
        expires_at: Timestamp::from_millis(expires_at),
    }
}

#[async_trait]
impl SessionStore for Sql {
    async fn create(&self, id: &IdHash, session: &SessionRecord) -> Result<(), StoreError> {
        execute!(
            self.0.write(),
            "INSERT INTO rp_sessions (id_hash, version, leased, sealed, expires_at)
             VALUES ($1, $2, $3, $4, $5)",
            id.as_bytes(),
            session.version,
            i64::from(session.leased),
            session.sealed.as_slice(),
            session.expires_at.millis()
        )?;
        Ok(())
    }

    async fn read(&self, id: &IdHash, now: Timestamp) -> Result<Option<SessionRecord>, StoreError> {
        let row = optional!(
            self.0.read(),
            Row,
            "SELECT version, leased, sealed, expires_at FROM rp_sessions
             WHERE id_hash = $1 AND expires_at > $2",
            id.as_bytes(),
            now.millis()
        )?;
        Ok(row.map(record))
    }

    async fn update(&self, id: &IdHash, session: &SessionRecord) -> Result<bool, StoreError> {
        let updated = execute!(
            self.0.write(),
            "UPDATE rp_sessions SET version = $1, leased = $2, sealed = $3, expires_at = $4
             WHERE id_hash = $5 AND version = $6",
            session.version,
            i64::from(session.leased),
            session.sealed.as_slice(),
            session.expires_at.millis(),
            id.as_bytes(),
            session.version - 1
        )?;
        Ok(updated > 0)
    }

    async fn remove(&self, id: &IdHash) -> Result<Option<SessionRecord>, StoreError> {
        let row = optional!(
            self.0.write(),
            Row,
            "DELETE FROM rp_sessions WHERE id_hash = $1
             RETURNING version, leased, sealed, expires_at",
            id.as_bytes()
        )?;
        Ok(row.map(record))
    }

    async fn add_handles(
        &self,
        id: &IdHash,
        handles: &[Handle],
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        for handle in handles {
            execute!(
                self.0.write(),
                "INSERT INTO rp_handles (handle, id_hash, created_at, expires_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (handle, id_hash) DO NOTHING",
                handle.0.as_slice(),
                id.as_bytes(),
                created_at.millis(),
                expires_at.millis()
            )?;
        }
        Ok(())
    }

    async fn find(&self, handle: &Handle, until: Timestamp) -> Result<Vec<IdHash>, StoreError> {
        let rows = all!(
            self.0.read(),
            (Vec<u8>,),
            "SELECT id_hash FROM rp_handles WHERE handle = $1 AND created_at <= $2",
            handle.0.as_slice(),
            until.millis()
        )?;
        Ok(rows.into_iter().map(|(id,)| IdHash(id)).collect())
    }

    async fn keep_revocation(&self, revocation: &PendingRevocation) -> Result<(), StoreError> {
        execute!(
            self.0.write(),
            "INSERT INTO rp_revocations (id_hash, sealed, failures, next_try_at, expires_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id_hash) DO UPDATE
             SET failures = excluded.failures, next_try_at = excluded.next_try_at",
            revocation.id.as_bytes(),
            revocation.sealed.as_slice(),
            revocation.failures,
            revocation.next_try_at.millis(),
            revocation.expires_at.millis()
        )?;
        Ok(())
    }

    async fn due_revocations(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<PendingRevocation>, StoreError> {
        let rows = all!(
            self.0.read(),
            RevocationRow,
            "SELECT id_hash, sealed, failures, next_try_at, expires_at FROM rp_revocations
             WHERE next_try_at <= $1 AND expires_at > $1 ORDER BY next_try_at LIMIT $2",
            now.millis(),
            i64::from(limit)
        )?;
        Ok(rows.into_iter().map(revocation).collect())
    }

    async fn remove_revocation(&self, id: &IdHash) -> Result<(), StoreError> {
        execute!(self.0.write(), "DELETE FROM rp_revocations WHERE id_hash = $1", id.as_bytes())?;
        Ok(())
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        execute!(
            self.0.write(),
            "DELETE FROM rp_revocations WHERE expires_at <= $1",
            now.millis()
        )?;
        execute!(self.0.write(), "DELETE FROM rp_handles WHERE expires_at <= $1", now.millis())?;
        let mut removed = 0;
        loop {
            let batch = execute!(
                self.0.write(),
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

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.0.ping().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_of_the_previous_version_is_upgraded() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/s.db", folder.path().display());
        for (name, text) in [
            ("0001_sessions.sql", include_str!("../../migrations/0001_sessions.sql")),
            ("0002_claims.sql", include_str!("../../migrations/0002_claims.sql")),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let previous = Migrator::new(folder.path()).await.unwrap();
        let db = Db::connect(&url).await.unwrap();
        db.migrate(&previous).await.unwrap();
        let id = IdHash::of("one");
        execute!(
            db.write(),
            "INSERT INTO rp_sessions (id_hash, version, claimed, sealed, expires_at)
             VALUES ($1, 7, 1, $2, 1000)",
            id.as_bytes(),
            [1_u8, 2].as_slice()
        )
        .unwrap();
        db.close().await;

        let store = Sql::open(&url).await.unwrap();
        let session = store.read(&id, Timestamp::from_millis(0)).await.unwrap().unwrap();
        let expires_at = Timestamp::from_millis(1000);
        let expected = SessionRecord { version: 7, leased: true, sealed: vec![1, 2], expires_at };
        assert_eq!(session, expected);
        let released = SessionRecord { version: 8, leased: false, ..session };
        assert!(store.update(&id, &released).await.unwrap());
        assert_eq!(store.read(&id, Timestamp::from_millis(0)).await.unwrap(), Some(released));
        Sql::open(&url).await.unwrap();
    }
}
