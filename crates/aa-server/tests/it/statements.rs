//! Every SQL statement of the store is prepared on both databases. They are found in the sources, so a new one is
//! covered by being written.

use std::path::Path;

use database::{Db, Either};
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use crate::support::on_both;

/// The text literals of the store that begin like a statement.
fn statements() -> Vec<String> {
    let mut found = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
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

on_both! {
    async fn every_statement_is_understood(t) {
        let statements = statements();
        assert!(statements.len() > 40, "only {} were found", statements.len());
        let db = Db::connect(&t.database_url).await.unwrap();
        for statement in statements {
            let sql = AssertSqlSafe(statement.clone()).into_sql_str();
            let prepared = match db.write() {
                Either::Sqlite(pool) => pool.prepare(sql).await.map(drop),
                Either::Postgres(pool) => pool.prepare(sql).await.map(drop),
            };
            prepared.unwrap_or_else(|error| panic!("{error}:\n{statement}"));
        }
    }
}
