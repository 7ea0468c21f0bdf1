/// The result of a query.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of a database driver.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A database error. "Not found" is not an error but an `Option`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot answer now; a retry may succeed and will find every change that was made.
    #[error("the database cannot answer: {0}")]
    Unavailable(#[source] Cause),
    /// The database was not asked, because too much waits for it already.
    #[error("the database is not asked: {0}")]
    Busy(&'static str),
    /// A row with the same unique value exists.
    #[error("it exists already: {0}")]
    Conflict(#[source] Cause),
    /// There is no file at this place.
    #[error("there is no database at {0}")]
    Missing(String),
    /// The server did not let us in, in words for the operator.
    #[error("{0}")]
    Refused(String),
    /// The URL or the file cannot be used.
    #[error("the database cannot be used: {0}")]
    Unusable(String),
    /// A migration failed.
    #[error("the database could not be migrated: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A stored value is invalid.
    #[error("inconsistent data in {table}.{column} of row {row}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The key of the row.
        row: String,
    },
    /// A query does not match the schema: a defect of this program.
    #[error("a query failed: {0}")]
    Defect(#[source] Cause),
}

impl Error {
    /// True if a later retry may succeed.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_))
    }

    /// True if it is not known whether a change was made.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Conflict(error.into())
            }
            sqlx::Error::Database(database) => {
                if database.code().is_some_and(|code| is_transient(&code)) {
                    Self::Unavailable(error.into())
                } else {
                    Self::Defect(error.into())
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.into()),
            _ => Self::Defect(error.into()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|error| error.extended_code.to_string());
        if code.is_some_and(|code| is_transient(&code)) {
            Self::Unavailable(error.into())
        } else {
            Self::Defect(error.into())
        }
    }
}

/// True for the codes of a database that is busy, full, starting, stopping, read-only or resolving a deadlock:
/// PostgreSQL's SQLSTATE (appendix A of its manual) and SQLite's result codes (the low byte is the class).
fn is_transient(code: &str) -> bool {
    const POSTGRES_CLASSES: [&str; 6] = ["08", "25", "40", "53", "57", "58"];
    const SQLITE_CLASSES: [i64; 7] = [5, 6, 8, 9, 10, 13, 14];
    if code.len() == 5 {
        return code == "55P03" || POSTGRES_CLASSES.iter().any(|class| code.starts_with(class));
    }
    code.parse::<i64>().is_ok_and(|code| SQLITE_CLASSES.contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_errors_differ_from_defects() {
        for code in ["57P01", "40001", "40P01", "53300", "08006", "55P03", "5", "261", "13", "778"]
        {
            assert!(is_transient(code), "{code}");
        }
        for code in ["42P01", "23505", "22003", "1", "19", "2067", "x"] {
            assert!(!is_transient(code), "{code}");
        }
    }
}
