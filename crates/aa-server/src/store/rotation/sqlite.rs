//! SQLite: one writer thread. All who wait go into one transaction, and so into one sync of the disk.
//!
//! What is committed stands in the write-ahead log until a checkpoint copies it into the database. That waits for the
//! disk twice, so a second thread does it meanwhile; what comes into the log while it copies, it copies in another
//! round. It never catches up by itself, and the log would grow for ever: the last, short round is the writer's,
//! between two commits. After that the log starts anew.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;

use database::rusqlite::{self, CachedStatement, Connection, Row, config::DbConfig};
use database::{Error, Result};
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{MAX_BATCH, ROTATE, RotatedRow, Rotation, Waiting, respond_all};
use crate::store::Grant;

/// After about so many pages in the log a checkpoint begins. (A move changes one.) Pages from all over a large file cost
/// the less the more of them are written at once, but whatever is in the log delays the first start after a crash.
const CHECKPOINT_AFTER: usize = 16_000;
/// So few pages the writer copies itself.
const LAST_ROUND: i64 = 500;
/// Rounds after which the writer does it anyway.
const MAX_ROUNDS: usize = 8;

/// Starts the writer. It ends when nobody can ask any more.
pub(super) fn start(pool: SqlitePool, runtime: Handle, queue: mpsc::Receiver<Waiting>) {
    std::thread::Builder::new()
        .name("refreshes".to_owned())
        .spawn(move || Writer::new(pool, runtime).commit_forever(queue))
        .expect("the system gives a thread");
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

    fn commit_forever(mut self, mut queue: mpsc::Receiver<Waiting>) {
        let runtime = self.runtime.clone();
        // Where connections find their way back to the pool.
        let _context = runtime.enter();
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while let Some(first) = queue.blocking_recv() {
            batch.push(first);
            while batch.len() < MAX_BATCH
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            // Whoever hung up meanwhile loses nothing if the family stays where it is.
            batch.retain(|waiting| !waiting.answer.is_closed());
            // Other writers hold the pool's one connection. SQLite keeps them apart from this one, but not in turn:
            // while one of them writes or waits, it is this one's turn only after theirs.
            let others_wait = self.pool.num_idle() < self.pool.size() as usize;
            let _turn = others_wait.then(|| runtime.block_on(self.pool.acquire()));
            match self.commit(&batch) {
                Ok(rotated) => {
                    for (waiting, rotated) in batch.drain(..).zip(rotated) {
                        waiting.respond(rotated);
                    }
                }
                Err(fault) => {
                    self.connection = None;
                    respond_all(batch.drain(..), &fault);
                }
            }
        }
    }

    /// All of a batch in one transaction, each with its own answer.
    fn commit(&mut self, batch: &[Waiting]) -> Result<Vec<Result<Option<Grant>>>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(connect(&self.pool)?),
        };
        self.checkpoints.before_commit(batch.len(), connection);
        connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        let mut statement = connection.prepare_cached(ROTATE)?;
        let mut rotated = Vec::with_capacity(batch.len());
        for waiting in batch {
            match rotate_one(&mut statement, &waiting.wanted) {
                // SQLite has undone everything (a full disk, for instance).
                Err(fault) if connection.is_autocommit() => return Err(fault.into()),
                one => rotated.push(one.map_err(Error::from)),
            }
        }
        drop(statement);
        connection.prepare_cached("COMMIT")?.raw_execute()?;
        Ok(rotated)
    }
}

fn rotate_one(
    statement: &mut CachedStatement<'_>,
    wanted: &Rotation,
) -> rusqlite::Result<Option<Grant>> {
    statement.raw_bind_parameter(1, wanted.now.millis())?;
    statement.raw_bind_parameter(2, wanted.ip.as_str())?;
    statement.raw_bind_parameter(3, wanted.user_agent.as_str())?;
    statement.raw_bind_parameter(4, wanted.idle_expires_at.millis())?;
    statement.raw_bind_parameter(5, &wanted.family.as_bytes()[..])?;
    statement.raw_bind_parameter(6, wanted.generation)?;
    statement.raw_bind_parameter(7, wanted.secret_hash.as_bytes())?;
    statement.raw_bind_parameter(8, wanted.client_id.as_str())?;
    statement.raw_bind_parameter(9, wanted.client_version)?;
    let mut rows = statement.raw_query();
    let rotated = rows.next()?.map(read).transpose()?;
    // To the end: a statement that is not stepped to its end is not done.
    while rotated.is_some() && rows.next()?.is_some() {}
    Ok(rotated.map(|row| wanted.grant(row)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<RotatedRow> {
    let uuid = |index| row.get(index).map(uuid::Uuid::from_bytes);
    Ok((
        uuid(0)?,
        uuid(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
        row.get(8)?,
    ))
}

fn connect(pool: &SqlitePool) -> Result<Connection> {
    let connection = Connection::open(pool.connect_options().get_filename())?;
    // As the pool's connections, durable at every commit. The statement above is planned once and for all (without
    // QPSG it would be at every binding, should anybody ever `ANALYZE`).
    connection.busy_timeout(database::PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096;
         PRAGMA mmap_size = 1099511627776; PRAGMA wal_autocheckpoint = 0;",
    )?;
    Ok(connection)
}

/// The second thread, and what the writer has to do about it.
struct Checkpoints {
    pages: usize,
    begin: std_mpsc::SyncSender<()>,
    /// Little is left to copy.
    ripe: Arc<AtomicBool>,
}

impl Checkpoints {
    fn start(pool: SqlitePool) -> Self {
        let (begin, begun) = std_mpsc::sync_channel(1);
        let ripe = Arc::new(AtomicBool::new(false));
        let is_ripe = Arc::clone(&ripe);
        std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || {
                let mut copier = Copier { pool, file: None };
                while begun.recv().is_ok() {
                    if let Err(fault) = copier.copy() {
                        tracing::warn!(%fault, "a checkpoint did not succeed; the next one may");
                    }
                    is_ripe.store(true, Ordering::Release);
                }
            })
            .expect("the system gives a thread");
        Self { pages: 0, begin, ripe }
    }

    /// The writer is between two commits, and about to change so many pages.
    fn before_commit(&mut self, pages: usize, connection: &Connection) {
        self.pages += pages;
        if self.ripe.swap(false, Ordering::Acquire) {
            if let Err(fault) = checkpoint(connection) {
                tracing::warn!(%fault, "a checkpoint did not succeed; the next one may");
            }
            self.pages = 0;
        } else if self.pages >= CHECKPOINT_AFTER && self.begin.try_send(()).is_ok() {
            self.pages = 0;
        }
    }
}

struct Copier {
    pool: SqlitePool,
    /// Never closed: that would take away the locks that SQLite has on the same file (`fcntl(2)`).
    file: Option<ManuallyDrop<File>>,
}

impl Copier {
    /// Copies, in rounds, until little is left.
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

    /// Waits for the disk. SQLite would do so in the round that leaves nothing, which is the writer's.
    fn sync(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = File::open(self.pool.connect_options().get_filename())?;
                none.insert(ManuallyDrop::new(file))
            }
        };
        file.sync_data()
    }
}

/// One round, which nobody waits for: how many pages the log had, and how many of them are copied now.
fn checkpoint(connection: &Connection) -> Result<(i64, i64)> {
    let sql = "PRAGMA wal_checkpoint(PASSIVE)";
    Ok(connection.query_row(sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?)
}
