//! Databases that an older version left: what is missing is applied, and nothing that was in them is lost.

use aa_server::ops::{Caller, apps};
use database::execute;

use crate::support::{TestApp, on_both};

on_both! {
    async fn sessions_go_on_after_the_schema_has_changed(t) {
        let browser = t.signed_in("ann@example.com").await;
        let app = t.confidential().await;
        let answer = app.redeem(&browser.open(&app).await).await.ok();

        // As migration 1 alone left it.
        for sql in ["ALTER TABLE apps DROP COLUMN version", "DELETE FROM _sqlx_migrations WHERE version > 1"] {
            execute!(t.app.store.db().write(), sql).unwrap();
        }
        let newer = TestApp::with(Some(t.database_url.clone()), &[("public_url", t.url.as_str())]).await;
        let there = app.at(&newer.url);
        let answer = there.refresh(answer.refresh_token()).await.ok();

        // What came with migration 2 counts for the apps that were there before.
        apps::set_enabled(&newer.app, &app.id, false, &Caller::operator()).await.unwrap();
        let refused = there.refresh(answer.refresh_token()).await;
        assert_eq!(refused.json["error"], "invalid_client");
        apps::set_enabled(&newer.app, &app.id, true, &Caller::operator()).await.unwrap();
        there.refresh(answer.refresh_token()).await.ok();
        // The next start finds everything applied.
        TestApp::with(Some(t.database_url.clone()), &[]).await;
    }
}
