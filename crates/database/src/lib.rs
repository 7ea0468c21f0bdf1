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

mod connect;
mod error;
mod signals;

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

pub use connect::Access;
pub use error::{Cause, Error, Result};
pub use signals::Signals;
pub use {rusqlite, sqlx};

/// The time that a query waits for a free connection, or SQLite for another process's lock.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

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

/// The state of a schema, compared with the migrations of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Nothing has been created yet.
    Empty,
    /// Some migrations have not been applied.
    Older {
        /// The number of migrations.
        missing: usize,
    },
    /// Everything has been applied.
    Current,
}

/// Checks that a URL is of a database that can be used, before anything is connected to.
///
/// # Errors
/// [`Error::Unusable`].
pub fn check_url(url: &str) -> Result<()> {
    let schemes = ["sqlite:", "postgres:", "postgresql:"];
    if schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    Err(Error::Unusable("it is neither `sqlite://…` nor `postgres://…`".to_owned()))
}

impl Db {
    /// Connects to `sqlite://PATH` (created with mode 0600 if missing) or `postgres://…`.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(url, Access::Create).await
    }

    /// Connects to `sqlite://PATH` or `postgres://…`.
    ///
    /// # Errors
    /// [`Error::Unusable`] for another URL, [`Error::Missing`] when there is no such database, [`Error::Refused`] when the
    /// server does not accept the user, [`Error::Unavailable`] when it does not answer.
    pub async fn open(url: &str, access: Access) -> Result<Self> {
        check_url(url)?;
        Ok(Self(if url.starts_with("sqlite:") {
            Either::Sqlite(connect::sqlite(url, access).await?)
        } else {
            Either::Postgres(connect::postgres(url, access).await?)
        }))
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
                // Of its own, so no other statement runs without the time-out.
                let options = (*pool.connect_options()).clone();
                let patient = PgPoolOptions::new()
                    .max_connections(1)
                    .connect_with(options.options([("statement_timeout", "0")]))
                    .await?;
                let done = migrator.run(&patient).await;
                patient.close().await;
                done
            }
        }
        .map_err(Error::Migration)
    }

    /// Compares the schema with these migrations. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Migration`] when the database is of a newer version.
    pub async fn schema(&self, migrator: &Migrator) -> Result<Schema> {
        let table = match &self.0 {
            Either::Sqlite(_) => {
                "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'"
            }
            Either::Postgres(_) => {
                "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')"
            }
        };
        let (tables,) = optional!(self.read(), (i64,), table)?.unwrap_or((0,));
        if tables == 0 {
            return Ok(Schema::Empty);
        }
        let applied = all!(self.read(), (i64,), "SELECT version FROM _sqlx_migrations")?;
        let known = |version: i64| migrator.iter().any(|migration| migration.version == version);
        if let Some((version,)) = applied.iter().find(|(version,)| !known(*version)) {
            return Err(Error::Migration(MigrateError::VersionMissing(*version)));
        }
        let missing = migrator.iter().count() - applied.len();
        Ok(if missing == 0 { Schema::Current } else { Schema::Older { missing } })
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
        connect::create_private(file).map_err(|error| unusable(error.to_string()))?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(&pools.write).await?;
        Ok(true)
    }

    /// Connections that are idle, and that are used. Those that refresh alone are not counted.
    pub fn connections(&self) -> (usize, usize) {
        let (size, idle) = match &self.0 {
            Either::Sqlite(pools) => (
                pools.read.size() + pools.write.size(),
                pools.read.num_idle() + pools.write.num_idle(),
            ),
            Either::Postgres(pool) => (pool.size(), pool.num_idle()),
        };
        (idle, (size as usize).saturating_sub(idle))
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
