//! A full disk is a fault and not a refusal (`docs/contract.md#rule-10`): what is tried again later has lost nothing.

use std::process::Command;

use database::execute;
use reqwest::StatusCode;

use crate::processes::Deployment;
use crate::support::{Answer, Browser, PASSWORD, TestApp, client};

fn is_fault(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
}

async fn is_ready(url: &str) -> bool {
    client().get(format!("{url}/readyz")).send().await.unwrap().status().is_success()
}

async fn until_ready(url: &str, ready: bool, pass: impl Fn()) {
    for _ in 0..100 {
        if is_ready(url).await == ready {
            return;
        }
        pass();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it is not so that readiness is {ready}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_on_a_full_disk_loses_nothing() {
    let mut deployment = Deployment::new(None);
    // A write beyond the limit on the size of files fails like one to a full disk, if its signal does not end the process.
    deployment.runner = &["env", "--ignore-signal=XFSZ"];
    let server = deployment.serve(deployment.public_port).await;
    let app = deployment.people_and_app(&server.url);
    let browser = Browser::new(&server.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let code = browser.open(&app).await;

    let limit = |bytes: &str| {
        let (pid, size) = (server.process.id().to_string(), format!("--fsize={bytes}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &size]).status().unwrap().success());
    };
    limit("0");
    is_fault(&app.refresh(first.refresh_token()).await);
    is_fault(&app.redeem(&code).await);
    until_ready(&server.url, false, || ()).await;
    limit("unlimited");
    let second = app.refresh(first.refresh_token()).await.ok();
    app.refresh(second.refresh_token()).await.ok();
    app.redeem(&code).await.ok();
    until_ready(&server.url, true, || ()).await;
    let events = deployment.json(&["events", "list"], "").to_string();
    assert!(events.contains("family.started") && !events.contains("family.reuse"), "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgresql_on_a_full_disk_loses_nothing() {
    let Some(t) = TestApp::postgres().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let code = browser.open(&app).await;
    let db = t.authority.store.db().write();
    for statement in [
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$",
        "CREATE TRIGGER full_disk BEFORE UPDATE ON families EXECUTE FUNCTION full_disk()",
        "CREATE TRIGGER full_disk BEFORE UPDATE ON write_probe EXECUTE FUNCTION full_disk()",
    ] {
        execute!(db.clone(), statement).unwrap();
    }
    is_fault(&app.refresh(first.refresh_token()).await);
    is_fault(&app.redeem(&code).await);
    until_ready(&t.url, false, || t.advance(1)).await;
    execute!(db, "DROP FUNCTION full_disk CASCADE").unwrap();
    let second = app.refresh(first.refresh_token()).await.ok();
    app.refresh(second.refresh_token()).await.ok();
    app.redeem(&code).await.ok();
    until_ready(&t.url, true, || t.advance(1)).await;
    assert!(t.events("family.reuse").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_another_has_locked_is_not_ready() {
    let t = TestApp::sqlite().await;
    let other = database::Db::connect(&t.database_url).await.unwrap();
    let lock = other.begin().await.unwrap();
    until_ready(&t.url, false, || t.advance(1)).await;
    drop(lock);
    until_ready(&t.url, true, || t.advance(1)).await;
}
