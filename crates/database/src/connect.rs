//! Connections: what they may do to a database, and what is said when there is none.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{sleep, timeout};

use super::{CONNECTION_TIMEOUT, Error, Result, SqlitePools};

const POSTGRES_CONNECTIONS: u32 = 16;
const SQLITE_READERS: u32 = 4;
/// The time between two attempts to reach a PostgreSQL server that is starting.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// The rights of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write. A missing SQLite file is created.
    Create,
    /// Read and write a database that exists.
    Existing,
    /// Read a database that exists.
    ReadOnly,
}

pub(super) async fn sqlite(url: &str, access: Access) -> Result<SqlitePools> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(Error::Unusable(
            "an in-memory database has a single connection; name a file".into(),
        ));
    }
    let unusable = |error: String| Error::Unusable(error);
    let options =
        SqliteConnectOptions::from_str(url).map_err(|error| unusable(error.to_string()))?;
    let file = options.get_filename().to_path_buf();
    if access == Access::Create {
        create_private(&file).map_err(|error| unusable(format!("{}: {error}", file.display())))?;
    } else if !file.exists() {
        return Err(Error::Missing(file.display().to_string()));
    }
    let options = options
        .foreign_keys(true)
        .busy_timeout(CONNECTION_TIMEOUT)
        // A checkpoint copies a page once, however often it changed. Frequent checkpoints are slower and stall longer.
        .pragma("wal_autocheckpoint", "16000")
        .pragma("cache_size", "-4096");
    let options = if access == Access::ReadOnly {
        let mut log = file.into_os_string();
        log.push("-wal");
        // Without a log beside it, no process has it open, and reading it would make one.
        options.immutable(!Path::new(&log).exists()).read_only(true)
    } else {
        options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
    };
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
    Ok(SqlitePools { read, write })
}

pub(super) async fn postgres(url: &str, access: Access) -> Result<PgPool> {
    let mut session =
        vec![("statement_timeout", "10s"), ("idle_in_transaction_session_timeout", "30s")];
    if access == Access::ReadOnly {
        session.push(("default_transaction_read_only", "on"));
    }
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| Error::Unusable(error.to_string()))?
        .options(session);
    // The pool would only say that it has waited too long.
    first_connection(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(CONNECTION_TIMEOUT)
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// Connects once, and again for some seconds while the server is starting.
async fn first_connection(options: &PgConnectOptions) -> Result<()> {
    let mut last = None;
    let attempts = async {
        loop {
            match PgConnection::connect_with(options).await {
                Ok(connection) => return connection.close().await.map_err(Error::from),
                Err(error) if is_starting(&error) => last = Some(error),
                Err(error) => return Err(refusal(options, error)),
            }
            sleep(RETRY_DELAY).await;
        }
    };
    match timeout(CONNECTION_TIMEOUT, attempts).await {
        Ok(result) => result,
        Err(_) => Err(match last {
            Some(error) => refusal(options, error),
            None => Error::Unavailable(format!("{} does not answer", server(options)).into()),
        }),
    }
}

fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "57P03"),
        _ => false,
    }
}

fn server(options: &PgConnectOptions) -> String {
    format!("PostgreSQL at {}:{}", options.get_host(), options.get_port())
}

/// The server's refusal, in words for the operator.
fn refusal(options: &PgConnectOptions, error: sqlx::Error) -> Error {
    let server = server(options);
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    match &error {
        sqlx::Error::Io(io) => {
            Error::Unavailable(format!("{server} cannot be reached: {io}").into())
        }
        sqlx::Error::Database(told) => match told.code().as_deref() {
            Some("28P01" | "28000") => {
                Error::Refused(format!("{server} does not let `{user}` in: {}", told.message()))
            }
            Some("3D000") => Error::Refused(format!("{server} has no database `{database}`")),
            _ => Error::from(error),
        },
        _ => Error::from(error),
    }
}

/// Creates the file with mode 0600 and its folder with mode 0700. SQLite's other files inherit the mode.
pub(super) fn create_private(file: &Path) -> std::io::Result<()> {
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
