//! The notes in the database, and notifications of their changes within this process.

use database::{Db, Result, all, execute, optional};
use foundation::time::Timestamp;
use serde::Serialize;
use sqlx::migrate::Migrator;
use tokio::sync::broadcast;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
/// The number of changes that a slow subscriber may be behind before it is told to read all notes again.
const CHANGES_CAPACITY: usize = 256;

/// A note in the form the API returns; times are in RFC 3339.
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

/// A change of a user's note. `kind` is `added`, `changed` or `removed`.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) user: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) note: Uuid,
}

/// The outcome of a write to an existing note.
pub(crate) enum WriteOutcome<T> {
    Done(T),
    /// The user has no such note.
    NotFound,
    /// The note's version is not the expected one.
    VersionMismatch,
}

/// The notes of all users.
#[derive(Debug)]
pub(crate) struct Notes {
    db: Db,
    changes: broadcast::Sender<Change>,
}

impl Notes {
    pub(crate) async fn open(db: Db) -> Result<Self> {
        db.migrate(&MIGRATIONS).await?;
        Ok(Self { db, changes: broadcast::channel(CHANGES_CAPACITY).0 })
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn notify(&self, user: Uuid, kind: &'static str, note: Uuid) {
        // Sending fails when there are no subscribers.
        let _ = self.changes.send(Change { user, kind, note });
    }

    /// At most `limit` of a user's notes, newest first: all, or those older than `before`.
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
        self.notify(user, "added", id);
        let at = now.to_string();
        let text = text.to_owned();
        Ok(Note { id, text, version: 1, created_at: at.clone(), updated_at: at })
    }

    /// Replaces a note's text; with `expected`, only if that is its version.
    pub(crate) async fn replace(
        &self,
        user: Uuid,
        id: Uuid,
        text: &str,
        expected: Option<i64>,
        now: Timestamp,
    ) -> Result<WriteOutcome<Note>> {
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
                self.notify(user, "changed", id);
                Ok(WriteOutcome::Done(row.into()))
            }
            None => self.unmatched(user, id).await,
        }
    }

    /// Removes a note; with `expected`, only if that is its version.
    pub(crate) async fn remove(
        &self,
        user: Uuid,
        id: Uuid,
        expected: Option<i64>,
    ) -> Result<WriteOutcome<()>> {
        let removed = execute!(
            self.db.write(),
            "DELETE FROM notes WHERE user_id = $1 AND id = $2 AND ($3 = 0 OR version = $3)",
            user,
            id,
            expected.unwrap_or(0)
        )?;
        if removed > 0 {
            self.notify(user, "removed", id);
            return Ok(WriteOutcome::Done(()));
        }
        self.unmatched(user, id).await
    }

    /// Finds out why a write matched no row.
    async fn unmatched<T>(&self, user: Uuid, id: Uuid) -> Result<WriteOutcome<T>> {
        let exists = self.read(user, id).await?.is_some();
        Ok(if exists { WriteOutcome::VersionMismatch } else { WriteOutcome::NotFound })
    }
}
