//! Notes in a database, and the news of their changes.

use database::{Db, Result, all, execute, optional};
use foundation::time::Timestamp;
use serde::Serialize;
use sqlx::migrate::Migrator;
use tokio::sync::broadcast;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
/// How many changes a slow reader may be behind before it is told to read everything again.
const BACKLOG: usize = 256;

/// A note, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Note {
    pub(crate) id: Uuid,
    pub(crate) text: String,
    pub(crate) version: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

#[derive(sqlx::FromRow)]
struct NoteRow {
    id: Uuid,
    text: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl From<NoteRow> for Note {
    fn from(row: NoteRow) -> Self {
        Self {
            id: row.id,
            text: row.text,
            version: row.version,
            created_at: Timestamp::from_millis(row.created_at).to_string(),
            updated_at: Timestamp::from_millis(row.updated_at).to_string(),
        }
    }
}

/// What happened to a note of a user.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) user: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) note: Uuid,
}

/// What came of a change.
pub(crate) enum Changed<T> {
    Done(T),
    /// There is no such note of this user's.
    Missing,
    /// It is of another version than the one expected.
    Stale,
}

/// The notes of everyone.
#[derive(Debug)]
pub(crate) struct Notes {
    db: Db,
    changes: broadcast::Sender<Change>,
}

impl Notes {
    pub(crate) async fn open(db: Db) -> Result<Self> {
        db.migrate(&MIGRATIONS).await?;
        Ok(Self { db, changes: broadcast::channel(BACKLOG).0 })
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn tell(&self, user: Uuid, kind: &'static str, note: Uuid) {
        // Nobody listening is no error.
        let _ = self.changes.send(Change { user, kind, note });
    }

    /// A page of a user's notes, the newest first: those before `before`.
    pub(crate) async fn list(
        &self,
        user: Uuid,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Note>> {
        let rows = all!(
            self.db.read(),
            NoteRow,
            "SELECT id, text, version, created_at, updated_at FROM notes
             WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            user,
            before.unwrap_or(Uuid::max()),
            limit
        )?;
        Ok(rows.into_iter().map(Note::from).collect())
    }

    pub(crate) async fn read(&self, user: Uuid, id: Uuid) -> Result<Option<Note>> {
        let row = optional!(
            self.db.read(),
            NoteRow,
            "SELECT id, text, version, created_at, updated_at FROM notes
             WHERE user_id = $1 AND id = $2",
            user,
            id
        )?;
        Ok(row.map(Note::from))
    }

    pub(crate) async fn add(
        &self,
        user: Uuid,
        id: Uuid,
        text: &str,
        now: Timestamp,
    ) -> Result<Note> {
        execute!(
            self.db.write(),
            "INSERT INTO notes (id, user_id, text, version, created_at, updated_at)
             VALUES ($1, $2, $3, 1, $4, $4)",
            id,
            user,
            text,
            now.millis()
        )?;
        self.tell(user, "added", id);
        let at = now.to_string();
        let text = text.to_owned();
        Ok(Note { id, text, version: 1, created_at: at.clone(), updated_at: at })
    }

    /// Replaces a note's text; if a version is expected, only that one.
    pub(crate) async fn replace(
        &self,
        user: Uuid,
        id: Uuid,
        text: &str,
        expected: Option<i64>,
        now: Timestamp,
    ) -> Result<Changed<Note>> {
        let row = optional!(
            self.db.write(),
            NoteRow,
            "UPDATE notes SET text = $1, version = version + 1, updated_at = $2
             WHERE user_id = $3 AND id = $4 AND ($5 = 0 OR version = $5)
             RETURNING id, text, version, created_at, updated_at",
            text,
            now.millis(),
            user,
            id,
            expected.unwrap_or(0)
        )?;
        match row {
            Some(row) => {
                self.tell(user, "changed", id);
                Ok(Changed::Done(row.into()))
            }
            None => self.why_not(user, id).await,
        }
    }

    pub(crate) async fn remove(
        &self,
        user: Uuid,
        id: Uuid,
        expected: Option<i64>,
    ) -> Result<Changed<()>> {
        let removed = execute!(
            self.db.write(),
            "DELETE FROM notes WHERE user_id = $1 AND id = $2 AND ($3 = 0 OR version = $3)",
            user,
            id,
            expected.unwrap_or(0)
        )?;
        if removed > 0 {
            self.tell(user, "removed", id);
            return Ok(Changed::Done(()));
        }
        self.why_not(user, id).await
    }

    async fn why_not<T>(&self, user: Uuid, id: Uuid) -> Result<Changed<T>> {
        let there = self.read(user, id).await?.is_some();
        Ok(if there { Changed::Stale } else { Changed::Missing })
    }
}
