//! Upgrades from the first schema: missing migrations are applied, and no session is lost.

use aa_server::domain::caller::Caller;
use aa_server::ops::clients;
use aa_server::store::MIGRATIONS;
use database::execute;
use sqlx::AssertSqlSafe;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Engine, TestApp, both_databases};

/// The reverse of each migration after the first, newest first.
const UNDO: &[&str] =
    &[include_str!("undo/0007.sql"), include_str!("undo/0003.sql"), include_str!("undo/0002.sql")];

#[apply(both_databases)]
async fn sessions_go_on_after_the_schema_has_changed(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let answer = app.redeem(&browser.open(&app).await).await.ok();

    assert_eq!(UNDO.len() + 1, MIGRATIONS.iter().count(), "every migration has its reverse");
    let statements = UNDO.iter().flat_map(|sql| sql.split(';')).map(str::trim);
    for sql in statements.filter(|sql| !sql.is_empty()) {
        execute!(t.authority.store.db().write(), AssertSqlSafe(sql)).unwrap();
    }
    execute!(t.authority.store.db().write(), "DELETE FROM _sqlx_migrations WHERE version > 1")
        .unwrap();
    let newer =
        TestApp::with(Some(t.database_url.clone()), &[("public_url", t.url.as_str())]).await;
    let there = app.at(&newer.url);
    let answer = there.refresh(answer.refresh_token()).await.ok();

    // A client's version, added by migration 2, exists for clients that were there before.
    clients::set_enabled(&newer.authority, &app.id, false, &Caller::operator()).await.unwrap();
    let refused = there.refresh(answer.refresh_token()).await;
    assert_eq!(refused.json["error"], "invalid_client");
    clients::set_enabled(&newer.authority, &app.id, true, &Caller::operator()).await.unwrap();
    there.refresh(answer.refresh_token()).await.ok();
    // The next start finds everything applied.
    TestApp::with(Some(t.database_url.clone()), &[]).await;
}
