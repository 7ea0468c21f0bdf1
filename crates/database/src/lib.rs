//! One store, two databases: SQLite embedded in the program, PostgreSQL for several replicas.
//!
//! A query is written **once**, in SQL that both databases accept; a small macro selects the pool:
//!
//! ```
//! # async fn example(db: &database::Db) -> database::Result<()> {
//! let mut tx = db.begin().await?;
//! database::execute!(tx.on(), "UPDATE notes SET text = $1 WHERE id = $2", "Hello", 7_i64)?;
//! tx.commit().await?;
//! let found = database::optional!(db.read(), (String,), "SELECT text FROM notes WHERE id = $1", 7_i64)?;
//! # Ok(())
//! # }
//! ```
//!
//! SQLite has one writer at a time, so writes use a pool of one connection and transactions begin as `IMMEDIATE`;
//! reads have their own pool (WAL).

mod error;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool,
    Transaction,
};

pub use error::{Cause, Error, Result};
pub use {rusqlite, sqlx};

/// The time that a query waits for a free connection, or SQLite for another process's lock.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
const POSTGRES_CONNECTIONS: u32 = 16;
const SQLITE_READERS: u32 = 4;

/// A value for SQLite or for PostgreSQL.
#[derive(Debug, Clone)]
pub enum Either<S, P> {
    /// The value for SQLite.
    Sqlite(S),
    /// The value for PostgreSQL.
    Postgres(P),
}

/// Evaluates one expression for either database and converts its error to [`Error`].
#[macro_export]
macro_rules! on {
    ($either:expr, $c:ident => $body:expr) => {
        match $either {
            $crate::Either::Sqlite($c) => $body,
            $crate::Either::Postgres($c) => $body,
        }
        .map_err($crate::Error::from)
    };
}

/// Executes one statement: `execute!(db.write(), "UPDATE …", bound, …)` returns the number of affected rows.
#[macro_export]
macro_rules! execute {
    ($either:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on!($either, c => {
            $crate::sqlx::query($sql)$(.bind($bind))*.execute(c).await.map(|done| done.rows_affected())
        })
    };
}

/// Fetches one row or none: `optional!(db.read(), Row, "SELECT …", bound, …)`.
#[macro_export]
macro_rules! optional {
    ($either:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on!($either, c => {
            $crate::sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_optional(c).await
        })
    };
}

/// Fetches all rows: `all!(db.read(), Row, "SELECT …", bound, …)`.
#[macro_export]
macro_rules! all {
    ($either:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on!($either, c => {
            $crate::sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_all(c).await
        })
    };
}

/// A database and its connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Db(Either<SqlitePools, PgPool>);

#[derive(Debug, Clone)]
struct SqlitePools {
    read: SqlitePool,
    write: SqlitePool,
}

/// A transaction. Dropped without [`Tx::commit`], it is rolled back.
pub type Tx = Either<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;

impl Tx {
    /// The transaction's connection, for the macros.
    pub fn on(&mut self) -> Either<&mut SqliteConnection, &mut PgConnection> {
        match self {
            Either::Sqlite(tx) => Either::Sqlite(tx),
            Either::Postgres(tx) => Either::Postgres(tx),
        }
    }

    /// Lets the statements of this transaction take as long as they need. On PostgreSQL they are ended after ten seconds
    /// otherwise.
    pub async fn without_timeout(&mut self) -> Result<()> {
        if let Either::Postgres(tx) = self {
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection breaks: the transaction may or may not have been committed.
    pub async fn commit(self) -> Result<()> {
        on!(self, tx => tx.commit().await)
    }
}

impl Db {
    /// Connects to `sqlite://PATH` (created with mode 0600 if missing) or `postgres://…`.
    ///
    /// # Errors
    /// [`Error::Unusable`] for another URL, [`Error::Unavailable`] when the server does not answer.
    pub async fn connect(url: &str) -> Result<Self> {
        if url.starts_with("sqlite:") {
            Self::connect_sqlite(url).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::connect_postgres(url).await
        } else {
            Err(Error::Unusable("it is neither `sqlite://…` nor `postgres://…`".to_owned()))
        }
    }

    async fn connect_sqlite(url: &str) -> Result<Self> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(Error::Unusable(
                "an in-memory database has a single connection; name a file".into(),
            ));
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| Error::Unusable(error.to_string()))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(CONNECTION_TIMEOUT)
            // A checkpoint copies a page once, however often it changed. Frequent checkpoints are slower and stall longer.
            .pragma("wal_autocheckpoint", "16000")
            .pragma("cache_size", "-4096");
        create_private(options.get_filename())
            .map_err(|error| Error::Unusable(error.to_string()))?;
        // The writer connects first: it switches the file to WAL mode, which read-only connections cannot.
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECTION_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            // SQLite itself rolls a transaction back when the disk is full, and sqlx then cannot: its connection would
            // begin no transaction any more.
            .before_acquire(|connection, _| {
                let usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(usable) })
            })
            .connect_with(options.clone())
            .await?;
        let read = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(CONNECTION_TIMEOUT)
            .connect_lazy_with(options.read_only(true));
        Ok(Self(Either::Sqlite(SqlitePools { read, write })))
    }

    async fn connect_postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::Unusable(error.to_string()))?
            .options([
                ("statement_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "30s"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(CONNECTION_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self(Either::Postgres(pool)))
    }

    /// The pool for reads. On SQLite its connections are read-only.
    pub fn read(&self) -> Either<&SqlitePool, &PgPool> {
        match &self.0 {
            Either::Sqlite(pools) => Either::Sqlite(&pools.read),
            Either::Postgres(pool) => Either::Postgres(pool),
        }
    }

    /// The pool for single statements that write.
    pub fn write(&self) -> Either<&SqlitePool, &PgPool> {
        match &self.0 {
            Either::Sqlite(pools) => Either::Sqlite(&pools.write),
            Either::Postgres(pool) => Either::Postgres(pool),
        }
    }

    /// Begins a transaction that will write.
    ///
    /// On PostgreSQL, dropping this future can poison the connection (sqlx issue 4393), so call it in a spawned task.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match &self.0 {
            Either::Sqlite(pools) => {
                Either::Sqlite(pools.write.begin_with("BEGIN IMMEDIATE").await?)
            }
            Either::Postgres(pool) => Either::Postgres(pool.begin().await?),
        })
    }

    /// Applies the missing migrations, which take the time that they need. Several processes may do so at once.
    ///
    /// # Errors
    /// [`Error::Migration`] when one fails or the database is of a newer version.
    pub async fn migrate(&self, migrator: &Migrator) -> Result<()> {
        match &self.0 {
            Either::Sqlite(pools) => migrator.run(&pools.write).await,
            Either::Postgres(pool) => {
                // Closed afterwards, so no other statement runs without the time-out.
                let mut connection = pool.acquire().await?.detach();
                sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
                let done = migrator.run(&mut connection).await;
                connection.close().await?;
                done
            }
        }
        .map_err(Error::Migration)
    }

    /// Checks that the database answers, with one query.
    pub async fn ping(&self) -> Result<()> {
        execute!(self.read(), "SELECT 1").map(drop)
    }

    /// The time of the database server, in Unix milliseconds. `None` for SQLite, whose clock is this machine's.
    pub async fn time(&self) -> Result<Option<i64>> {
        let Either::Postgres(pool) = &self.0 else { return Ok(None) };
        let sql = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";
        Ok(Some(sqlx::query_scalar(sql).fetch_one(pool).await?))
    }

    /// Whether the database may run on a machine with another clock.
    pub fn has_own_clock(&self) -> bool {
        matches!(self.0, Either::Postgres(_))
    }

    /// Writes a consistent copy of an SQLite database to a new file with mode 0600, during which reads and writes go on.
    ///
    /// Returns `false` for PostgreSQL, which has its own tools for backups.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the file exists or cannot be created.
    pub async fn back_up(&self, file: &Path) -> Result<bool> {
        let Either::Sqlite(pools) = &self.0 else { return Ok(false) };
        let unusable = |why: String| Error::Unusable(format!("{}: {why}", file.display()));
        if file.exists() {
            return Err(unusable("the file exists already".to_owned()));
        }
        let path = file.to_str().ok_or_else(|| unusable("the name is not UTF-8".to_owned()))?;
        create_private(file).map_err(|error| unusable(error.to_string()))?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(&pools.write).await?;
        Ok(true)
    }

    /// The name of the database engine.
    pub fn kind(&self) -> &'static str {
        match self.0 {
            Either::Sqlite(_) => "SQLite",
            Either::Postgres(_) => "PostgreSQL",
        }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match &self.0 {
            Either::Sqlite(pools) => {
                pools.read.close().await;
                pools.write.close().await;
            }
            Either::Postgres(pool) => pool.close().await,
        }
    }
}

/// Creates the file with mode 0600 and its folder with mode 0700. SQLite's other files inherit the mode.
fn create_private(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sqlite_files_are_private_to_their_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/test.db");
        let db = Db::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        execute!(db.write(), "CREATE TABLE t (x BIGINT)").unwrap();
        for name in ["test.db", "test.db-wal", "test.db-shm"] {
            let mode = file.with_file_name(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(execute!(db.read(), "DROP TABLE t").is_err(), "the read pool is read-only");
    }

    #[tokio::test]
    async fn a_url_of_another_database_is_rejected() {
        for url in ["mysql://x", "", "sqlite::memory:", "/tmp/x.db"] {
            assert!(matches!(Db::connect(url).await, Err(Error::Unusable(_))), "{url}");
        }
    }
}
