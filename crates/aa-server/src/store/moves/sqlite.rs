//! SQLite: one writer thread. All who wait go into one transaction, and so into one sync of the disk.

use database::rusqlite::{self, CachedStatement, Connection, Row, config::DbConfig};
use database::{Error, Result};
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{MOST_IN_A_BATCH, MOVE, Move, MovedRow, Waiting, tell_all};
use crate::store::Grant;

/// Starts the writer. It ends when nobody can ask any more.
pub(super) fn start(pool: SqlitePool, runtime: Handle, queue: mpsc::Receiver<Waiting>) {
    std::thread::Builder::new()
        .name("refreshes".to_owned())
        .spawn(move || commit_forever(&pool, &runtime, queue))
        .expect("the system gives a thread");
}

fn commit_forever(pool: &SqlitePool, runtime: &Handle, mut queue: mpsc::Receiver<Waiting>) {
    // Where connections find their way back to the pool.
    let _context = runtime.enter();
    let mut connection = None;
    let mut batch = Vec::with_capacity(MOST_IN_A_BATCH);
    while let Some(first) = queue.blocking_recv() {
        batch.push(first);
        while batch.len() < MOST_IN_A_BATCH
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        // Whoever hung up meanwhile loses nothing if the family stays where it is.
        batch.retain(|waiting| !waiting.answer.is_closed());
        // Other writers hold the pool's one connection. SQLite keeps them apart from this one, but not in turn: while
        // one of them writes or waits, it is this one's turn only after theirs.
        let others_wait = pool.num_idle() < pool.size() as usize;
        let _turn = others_wait.then(|| runtime.block_on(pool.acquire()));
        match commit(pool, &mut connection, &batch) {
            Ok(moved) => {
                for (waiting, moved) in batch.drain(..).zip(moved) {
                    waiting.tell(moved);
                }
            }
            Err(fault) => {
                connection = None;
                tell_all(batch.drain(..), &fault);
            }
        }
    }
}

/// All of a batch in one transaction, each with its own answer.
fn commit(
    pool: &SqlitePool,
    connection: &mut Option<Connection>,
    batch: &[Waiting],
) -> Result<Vec<Result<Option<Grant>>>> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(connect(pool)?),
    };
    connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
    let mut statement = connection.prepare_cached(MOVE)?;
    let mut moved = Vec::with_capacity(batch.len());
    for waiting in batch {
        let one = move_one(&mut statement, &waiting.wanted);
        if one.is_err() && connection.is_autocommit() {
            // SQLite has undone everything (a full disk, for instance).
            return Err(one.expect_err("it is an error").into());
        }
        moved.push(one.map_err(Error::from));
    }
    drop(statement);
    connection.prepare_cached("COMMIT")?.raw_execute()?;
    Ok(moved)
}

fn move_one(statement: &mut CachedStatement<'_>, wanted: &Move) -> rusqlite::Result<Option<Grant>> {
    statement.raw_bind_parameter(1, wanted.now.millis())?;
    statement.raw_bind_parameter(2, wanted.ip.as_str())?;
    statement.raw_bind_parameter(3, wanted.user_agent.as_str())?;
    statement.raw_bind_parameter(4, wanted.idle_expires_at.millis())?;
    statement.raw_bind_parameter(5, &wanted.family.as_bytes()[..])?;
    statement.raw_bind_parameter(6, wanted.generation)?;
    statement.raw_bind_parameter(7, wanted.secret_hash.as_bytes())?;
    statement.raw_bind_parameter(8, wanted.client_id.as_str())?;
    statement.raw_bind_parameter(9, wanted.app_version)?;
    let mut rows = statement.raw_query();
    let moved = rows.next()?.map(read).transpose()?;
    // To the end: a statement that is not stepped to its end is not done.
    while moved.is_some() && rows.next()?.is_some() {}
    Ok(moved.map(|row| wanted.grant(row)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<MovedRow> {
    let uuid = |index| -> rusqlite::Result<_> {
        let bytes: [u8; 16] = row.get(index)?;
        Ok(uuid::Uuid::from_bytes(bytes))
    };
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
         PRAGMA mmap_size = 1073741824; PRAGMA wal_autocheckpoint = 16000;",
    )?;
    Ok(connection)
}
