//! Every SQL statement of the store is prepared on both databases. They are found in the sources, so a new one is
//! covered by being written.

use database::{Db, Either};
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Engine, both_databases};

/// The text literals of the store that begin like a statement, but for those of a file named after another database.
fn statements(other: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in crate::architecture::sources("store") {
        if path.file_stem().is_some_and(|name| name == other) {
            continue;
        }
        for literal in text.split('"') {
            let literal = literal.trim();
            let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
            if verbs.iter().any(|verb| literal.starts_with(verb)) {
                found.push(literal.to_owned());
            }
        }
    }
    found
}

#[apply(both_databases)]
async fn every_statement_is_understood(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let db = Db::connect(&t.database_url).await.unwrap();
    let statements = statements(if db.kind() == "SQLite" { "postgres" } else { "sqlite" });
    assert!(statements.len() > 40, "only {} were found", statements.len());
    for statement in statements {
        let sql = AssertSqlSafe(statement.clone()).into_sql_str();
        let prepared = match db.write() {
            Either::Sqlite(pool) => pool.prepare(sql).await.map(drop),
            Either::Postgres(pool) => pool.prepare(sql).await.map(drop),
        };
        prepared.unwrap_or_else(|error| panic!("{error}:\n{statement}"));
    }
}
