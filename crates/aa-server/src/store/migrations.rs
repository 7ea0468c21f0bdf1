//! The schema's migrations.

use database::{Db, Either};
use sqlx::migrate::Migrator;

/// Migrations for both databases.
static COMMON: Migrator = sqlx::migrate!("../../migrations");
/// Migrations for PostgreSQL alone. Their numbers are in one row with those of [`COMMON`].
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// Every migration for this database, in order.
pub fn migrations(db: &Db) -> Migrator {
    let own = match db.write() {
        Either::Sqlite(_) => &[][..],
        Either::Postgres(_) => &POSTGRES.migrations,
    };
    Migrator::with_migrations(COMMON.iter().chain(own).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_migrations_have_the_same_number() {
        let mut versions: Vec<i64> =
            COMMON.iter().chain(POSTGRES.iter()).map(|migration| migration.version).collect();
        versions.sort_unstable();
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    }
}
