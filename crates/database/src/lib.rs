//! One store, two databases: SQLite embedded in the program, PostgreSQL for several replicas.
//!
//! A query is written **once**, in SQL that both speak; a small macro picks the arm:
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
//! SQLite has one real writer, so its writes go through a pool of one connection and transactions begin as
//! `IMMEDIATE`; reads have a pool of their own (WAL).

mod error;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

pub use error::{Cause, Error, Result};
pub use {rusqlite, sqlx};

/// How long a query waits for a free connection, or SQLite for another process's lock.
pub const PATIENCE: Duration = Duration::from_secs(5);
const POSTGRES_CONNECTIONS: u32 = 16;
const SQLITE_READERS: u32 = 4;

/// Something of either database.
#[derive(Debug, Clone)]
pub enum Either<S, P> {
    /// SQLite's.
    Sqlite(S),
    /// PostgreSQL's.
    Postgres(P),
}

/// Runs the same expression for whichever database it is.
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

/// Executes one statement: `execute!(db.write(), "UPDATE …", bound, …)` answers how many rows it touched.
#[macro_export]
macro_rules! execute {
    ($either:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::on!($either, c => {
            $crate::sqlx::query($sql)$(.bind($bind))*.execute(c).await.map(|done| done.rows_affected())
        })
    };
}

/// Fetches a row if there is one: `optional!(db.read(), Row, "SELECT …", bound, …)`.
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

    /// Makes it last.
    ///
    /// # Errors
    /// [`Error`]; the transaction may or may not have taken place if the connection broke meanwhile.
    pub async fn commit(self) -> Result<()> {
        on!(self, tx => tx.commit().await)
    }
}

impl Db {
    /// Connects to `sqlite://PATH` (made if missing, for its owner alone) or `postgres://…`.
    ///
    /// # Errors
    /// [`Error::Unusable`] for a URL that is neither, [`Error::Unavailable`] when nobody answers there.
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
                "one in memory has a single connection; name a file".into(),
            ));
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| Error::Unusable(error.to_string()))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            // A checkpoint copies pages that changed many times once. More often is slower, and its stalls longer.
            .pragma("wal_autocheckpoint", "16000")
            .pragma("cache_size", "-4096");
        create_private(options.get_filename())
            .map_err(|error| Error::Unusable(error.to_string()))?;
        // The writer first: it turns the file into WAL mode, which readers then find.
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        let read = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(PATIENCE)
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
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        Ok(Self(Either::Postgres(pool)))
    }

    /// Connections for reading. On SQLite they refuse to write.
    pub fn read(&self) -> Either<&SqlitePool, &PgPool> {
        match &self.0 {
            Either::Sqlite(pools) => Either::Sqlite(&pools.read),
            Either::Postgres(pool) => Either::Postgres(pool),
        }
    }

    /// Connections for single statements that write.
    pub fn write(&self) -> Either<&SqlitePool, &PgPool> {
        match &self.0 {
            Either::Sqlite(pools) => Either::Sqlite(&pools.write),
            Either::Postgres(pool) => Either::Postgres(pool),
        }
    }

    /// Begins a transaction that will write.
    ///
    /// A future dropped while this runs can poison the connection on PostgreSQL (sqlx issue 4393), so call it
    /// in a spawned task.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match &self.0 {
            Either::Sqlite(pools) => {
                Either::Sqlite(pools.write.begin_with("BEGIN IMMEDIATE").await?)
            }
            Either::Postgres(pool) => Either::Postgres(pool.begin().await?),
        })
    }

    /// Applies the migrations that are still missing. Several processes may do so at once.
    ///
    /// # Errors
    /// [`Error::Migration`] when one fails or the database is of a newer version.
    pub async fn migrate(&self, migrator: &Migrator) -> Result<()> {
        match &self.0 {
            Either::Sqlite(pools) => migrator.run(&pools.write).await,
            Either::Postgres(pool) => migrator.run(pool).await,
        }
        .map_err(Error::Migration)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        execute!(self.read(), "SELECT 1").map(drop)
    }

    /// Writes a consistent copy of an SQLite database into a new file, for its owner alone, while others go on reading
    /// and writing. `false` for PostgreSQL, which has its own tools for that.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the file is there already or cannot be made.
    pub async fn back_up(&self, file: &Path) -> Result<bool> {
        let Either::Sqlite(pools) = &self.0 else { return Ok(false) };
        let unusable = |why: String| Error::Unusable(format!("{}: {why}", file.display()));
        if file.exists() {
            return Err(unusable("it is there already".to_owned()));
        }
        let path = file.to_str().ok_or_else(|| unusable("its name is not UTF-8".to_owned()))?;
        create_private(file).map_err(|error| unusable(error.to_string()))?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(&pools.write).await?;
        Ok(true)
    }

    /// Which database it is, in words.
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

/// Makes the file and its folder, readable by their owner alone. SQLite's other files take its mode over.
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
    async fn sqlite_files_belong_to_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/test.db");
        let db = Db::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        execute!(db.write(), "CREATE TABLE t (x BIGINT)").unwrap();
        for name in ["test.db", "test.db-wal", "test.db-shm"] {
            let mode = file.with_file_name(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(execute!(db.read(), "DROP TABLE t").is_err(), "readers cannot write");
    }

    #[tokio::test]
    async fn a_url_of_no_database_is_refused() {
        for url in ["mysql://x", "", "sqlite::memory:", "/tmp/x.db"] {
            assert!(matches!(Db::connect(url).await, Err(Error::Unusable(_))), "{url}");
        }
    }
}
