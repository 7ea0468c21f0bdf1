//! SQLite: one writer thread. Rotations that wait go into one transaction, and so into one sync of the disk.
//!
//! Committed pages stay in the write-ahead log until a checkpoint copies them into the database file. A checkpoint waits
//! for the disk twice, so a second thread runs it while the writer goes on, in several rounds: each copies the pages that
//! were written during the round before. While the writer writes, no round copies everything and the log cannot be
//! reset. So the writer itself runs a last, short round between two commits; after that, SQLite reuses the log from its
//! start.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;

use database::rusqlite::config::DbConfig;
use database::rusqlite::{self, Connection, Row, Statement};
use database::{Error, Result};
use foundation::time::Timestamp;
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::pending::{MAX_BATCH, PendingRotation, RESTART_DELAY, respond_all};
use super::statement::{ROTATE, RotatedRow, Rotation};
use crate::store::family::Grant;

/// Pages in the log, about, at which a checkpoint begins. A rotation changes one page. Pages scattered over a large file
/// are cheaper to write many at a time, but a long log delays the first start after a crash.
const CHECKPOINT_AFTER: usize = 16_000;
/// Pages of a round, at most, for the writer to run the next round itself.
const LAST_ROUND: i64 = 500;
/// Rounds after which the writer runs the last one, however many pages are left.
const MAX_ROUNDS: usize = 8;

/// Starts the writer. It ends when the queue is closed. A panic costs the batch it happens in, and nothing more.
pub(super) fn start(pool: SqlitePool, runtime: Handle, mut queue: mpsc::Receiver<PendingRotation>) {
    let write = move || {
        let mut writer = Writer::new(pool.clone(), runtime.clone());
        writer.commit_until_closed(&mut queue);
    };
    spawn("refreshes", write);
}

/// Runs `work` in a thread, and again if it panics, until it returns.
fn spawn(name: &str, mut work: impl FnMut() + Send + 'static) {
    let supervised = move || {
        while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
            tracing::error!("a thread of the database has panicked; it starts anew");
            std::thread::sleep(RESTART_DELAY);
        }
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(supervised);
    thread.expect("a thread can be started");
}

struct Writer {
    pool: SqlitePool,
    runtime: Handle,
    connection: Option<Connection>,
    checkpoints: Checkpoints,
}

impl Writer {
    fn new(pool: SqlitePool, runtime: Handle) -> Self {
        let checkpoints = Checkpoints::start(pool.clone());
        Self { pool, runtime, connection: None, checkpoints }
    }

    fn commit_until_closed(&mut self, queue: &mut mpsc::Receiver<PendingRotation>) {
        let runtime = self.runtime.clone();
        // Connections that are dropped here return to the pool by a task, which needs a runtime.
        let _context = runtime.enter();
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while let Some(first) = queue.blocking_recv() {
            batch.push(first);
            while batch.len() < MAX_BATCH
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            batch.retain(|pending| !pending.is_abandoned());
            // Other writers share the pool's one connection. SQLite's lock separates them from this thread, but it is
            // not fair: when one of them writes or waits, this thread queues for the pool too.
            let in_use = self.pool.num_idle() < self.pool.size() as usize;
            let _turn = in_use.then(|| runtime.block_on(self.pool.acquire()));
            match self.commit(&batch) {
                Ok(rotated) => {
                    for (pending, rotated) in batch.drain(..).zip(rotated) {
                        pending.respond(rotated);
                    }
                }
                Err(fault) => {
                    self.connection = None;
                    respond_all(batch.drain(..), &fault);
                }
            }
        }
    }

    /// Commits a batch in one transaction, and returns one result for each rotation.
    ///
    /// # Errors
    /// When nothing was committed.
    fn commit(&mut self, batch: &[PendingRotation]) -> Result<Vec<Result<Option<Grant>>>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(connect(&self.pool)?),
        };
        self.checkpoints.before_commit(batch.len(), connection);
        connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        let mut statement = connection.prepare_cached(ROTATE)?;
        let mut rotated = Vec::with_capacity(batch.len());
        for pending in batch {
            match rotate_one(&mut statement, &pending.rotation) {
                // SQLite has rolled back the transaction, because the disk is full for example.
                Err(fault) if connection.is_autocommit() => return Err(fault.into()),
                Err(fault) => rotated.push(Err(fault.into())),
                Ok(row) => rotated.push(row.map(|row| pending.rotation.grant(row)).transpose()),
            }
        }
        drop(statement);
        connection.prepare_cached("COMMIT")?.raw_execute()?;
        Ok(rotated)
    }
}

fn rotate_one(
    statement: &mut Statement<'_>,
    rotation: &Rotation,
) -> rusqlite::Result<Option<RotatedRow>> {
    rotation.bind(statement)?;
    let mut rows = statement.raw_query();
    let rotated = rows.next()?.map(read).transpose()?;
    // A statement takes effect only when it is stepped to its end.
    while rotated.is_some() && rows.next()?.is_some() {}
    Ok(rotated)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RotatedRow> {
    Ok(RotatedRow {
        id: row.get(0).map(Uuid::from_bytes)?.into(),
        user_id: row.get(1).map(Uuid::from_bytes)?.into(),
        scope: row.get(2)?,
        audience: row.get(3)?,
        auth_time: row.get(4).map(Timestamp::from_millis)?,
        amr: row.get(5)?,
        nonce: row.get(6)?,
        expires_at: row.get(7).map(Timestamp::from_millis)?,
        idle_expires_at: row.get(8).map(Timestamp::from_millis)?,
        user_epoch: row.get(9)?,
        resources: row.get(10)?,
    })
}

fn connect(pool: &SqlitePool) -> Result<Connection> {
    let connection = Connection::open(pool.connect_options().get_filename())?;
    // Durable at every commit, as the pool's connections are. With QPSG, SQLite keeps the plan of a prepared statement;
    // without it, it plans anew at every binding once the database has statistics (`ANALYZE`).
    connection.busy_timeout(database::CONNECTION_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096;
         PRAGMA mmap_size = 1099511627776; PRAGMA wal_autocheckpoint = 0;",
    )?;
    Ok(connection)
}

/// The checkpoint thread, as the writer sees it.
struct Checkpoints {
    /// Pages written since the last checkpoint began, at most.
    pages: usize,
    begin: std_mpsc::SyncSender<()>,
    /// The thread has finished its rounds: the last one is the writer's.
    last_round_due: Arc<AtomicBool>,
}

impl Checkpoints {
    fn start(pool: SqlitePool) -> Self {
        let (begin, begun) = std_mpsc::sync_channel(1);
        let last_round_due = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&last_round_due);
        let mut copier = Copier { pool, file: None };
        spawn("checkpoints", move || {
            while begun.recv().is_ok() {
                if let Err(fault) = copier.copy() {
                    tracing::warn!(%fault, "a checkpoint failed; another one will be tried");
                }
                finished.store(true, Ordering::Release);
            }
        });
        Self { pages: 0, begin, last_round_due }
    }

    /// Runs or begins a checkpoint if one is due. Called between two commits; the next one changes up to `pages` pages.
    fn before_commit(&mut self, pages: usize, connection: &Connection) {
        self.pages += pages;
        if self.last_round_due.swap(false, Ordering::Acquire) {
            if let Err(fault) = checkpoint(connection) {
                tracing::warn!(%fault, "a checkpoint failed; another one will be tried");
            }
            self.pages = 0;
        } else if self.pages >= CHECKPOINT_AFTER && self.begin.try_send(()).is_ok() {
            self.pages = 0;
        }
    }
}

struct Copier {
    pool: SqlitePool,
    /// The database file, for its sync. Never closed: closing any descriptor of a file releases the locks that the process
    /// holds on it, SQLite's included (`fcntl(2)`).
    file: Option<ManuallyDrop<File>>,
}

impl Copier {
    /// Copies pages in rounds, until a round has had at most [`LAST_ROUND`] of them.
    fn copy(&mut self) -> Result<()> {
        let connection = connect(&self.pool)?;
        let mut before = 0;
        for _ in 0..MAX_ROUNDS {
            let (in_log, copied) = checkpoint(&connection)?;
            self.sync().map_err(|fault| Error::Unavailable(fault.into()))?;
            if in_log - before <= LAST_ROUND || copied < in_log {
                break;
            }
            before = in_log;
        }
        Ok(())
    }

    /// Syncs the database file, so that SQLite has little to sync in the last round, which is the writer's.
    fn sync(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            unopened => {
                let file = File::open(self.pool.connect_options().get_filename())?;
                unopened.insert(ManuallyDrop::new(file))
            }
        };
        file.sync_data()
    }
}

/// Runs one round, which blocks neither readers nor writers. Returns the pages in the log, and how many of them are
/// copied now.
fn checkpoint(connection: &Connection) -> Result<(i64, i64)> {
    let sql = "PRAGMA wal_checkpoint(PASSIVE)";
    Ok(connection.query_row(sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?)
}
