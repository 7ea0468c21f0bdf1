//! Upgrades from the first schema: missing migrations are applied, and no session is lost.

use aa_server::domain::caller::Caller;
use aa_server::domain::event::{EndKind, EndReason};
use aa_server::ops::clients;
use aa_server::store::migrations;
use database::{Db, Either, execute};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Engine, TestApp, both_databases};

/// The reverse of each migration after the first, by its number.
const UNDO: &[(i64, &str)] = &[
    (2, include_str!("undo/0002.sql")),
    (3, include_str!("undo/0003.sql")),
    (4, include_str!("undo/0004.sql")),
    (5, include_str!("undo/0005.sql")),
    (6, include_str!("undo/0006.sql")),
    (7, include_str!("undo/0007.sql")),
    (8, include_str!("undo/0008.sql")),
    (9, include_str!("undo/0009.sql")),
    (12, include_str!("undo/0012.sql")),
    (14, include_str!("undo/0014.sql")),
    (16, include_str!("undo/0016.sql")),
    (17, include_str!("undo/0017.sql")),
    (20, include_str!("undo/0020.sql")),
    (21, include_str!("undo/0021.sql")),
    (22, include_str!("undo/0022.sql")),
    (23, include_str!("undo/0023.sql")),
    (24, include_str!("undo/0024.sql")),
    (25, include_str!("undo/0025.sql")),
    (26, include_str!("undo/0026.sql")),
    (27, include_str!("undo/0027.sql")),
    (28, include_str!("undo/0028.sql")),
    (29, include_str!("undo/0029.sql")),
    (30, include_str!("undo/0030.sql")),
    (31, include_str!("undo/0031.sql")),
    (34, include_str!("undo/0034.sql")),
    (35, include_str!("undo/0035.sql")),
    (36, include_str!("undo/0036.sql")),
    (39, include_str!("undo/0039.sql")),
];

#[apply(both_databases)]
async fn sessions_go_on_after_the_schema_has_changed(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let answer = app.redeem(&browser.open(&app).await).await.ok();

    let other = t.signed_in("bo@example.com").await;
    app.redeem(&other.open(&app).await).await.ok();
    other.submit("/sessions", "/sessions/revoke-all", &[]).await;
    let started = t.events("family.started").await;

    let applied = migrations(t.authority.store.db());
    let mut versions: Vec<i64> = applied.iter().map(|migration| migration.version).collect();
    assert_eq!(versions.remove(0), 1);
    for version in versions.into_iter().rev() {
        let undo = UNDO.iter().find(|(number, _)| *number == version);
        let (_, undo) = undo.unwrap_or_else(|| panic!("migration {version} has no reverse"));
        for sql in undo.split(';').map(str::trim).filter(|sql| !sql.is_empty()) {
            execute!(t.authority.store.db().write(), AssertSqlSafe(sql)).unwrap();
        }
    }
    execute!(t.authority.store.db().write(), "DELETE FROM _sqlx_migrations WHERE version > 1")
        .unwrap();
    let newer =
        TestApp::with(Some(t.database_url.clone()), &[("public_url", t.url.as_str())]).await;
    let there = app.at(&newer.url);
    let answer = there.refresh(answer.refresh_token()).await.ok();

    // The end of a user's epoch moved to the log of ends, and events name their actors in today's words.
    let ends = newer.authority.store.ends_after(0, 10).await.unwrap();
    assert_eq!(ends.len(), 1);
    assert_eq!((ends[0].kind, ends[0].reason), (EndKind::User, EndReason::RevokedByUser));
    let bo = newer.authority.store.user_by_email("bo@example.com").await.unwrap().unwrap();
    assert_eq!((ends[0].user_id, ends[0].user_epoch), (Some(bo.id), bo.epoch - 1));
    let actors = newer.events("family.started").await;
    assert_eq!(actors[0].actor, "client:backend");
    assert_eq!(actors.len(), started.len());

    // A client's version, added by migration 2, exists for clients that were there before.
    clients::set_enabled(&newer.authority, &app.id, false, &Caller::operator()).await.unwrap();
    let refused = there.refresh(answer.refresh_token()).await;
    assert_eq!(refused.json["error"], "invalid_client");
    clients::set_enabled(&newer.authority, &app.id, true, &Caller::operator()).await.unwrap();
    there.refresh(answer.refresh_token()).await.ok();
    // The next start finds everything applied.
    TestApp::with(Some(t.database_url.clone()), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgresql_has_room_for_rotations_and_no_names_of_the_first_schema() {
    let Some(t) = TestApp::postgres().await else { return };
    let Either::Postgres(pool) = t.authority.store.db().write() else { panic!("PostgreSQL") };
    let options: Vec<String> =
        sqlx::query_scalar("SELECT reloptions FROM pg_class WHERE oid = 'families'::regclass")
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(options, ["fillfactor=85"]);
    let old_names: Vec<String> = sqlx::query_scalar(
        "SELECT conname::text FROM pg_constraint WHERE contype <> 'n' AND conname ~ '^app|device|identit'
             AND conname !~ '^device_authorizations'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(old_names.is_empty(), "{old_names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_takes_the_time_that_it_needs() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    let db = Db::connect(&url).await.unwrap();
    let timeout = "CREATE TABLE seen AS SELECT current_setting('statement_timeout') AS timeout";
    let migration = Migration::new(
        1,
        "sees the time-out".into(),
        MigrationType::Simple,
        timeout.into_sql_str(),
        false,
    );
    db.migrate(&Migrator::with_migrations(vec![migration])).await.unwrap();
    let told = async |sql: &'static str| {
        database::optional!(db.read(), (String,), sql).unwrap().unwrap().0
    };
    assert_eq!(told("SELECT timeout FROM seen").await, "0");
    for _ in 0..20 {
        assert_eq!(told("SELECT current_setting('statement_timeout')").await, "10s");
    }
}
