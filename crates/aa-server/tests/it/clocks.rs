//! One clock judges, the database's, whatever the machines' clocks are set to (`docs/contract.md#rule-10`).

use std::sync::Arc;
use std::time::Duration;

use aa_server::services::time_reference;
use foundation::steady_clock::{SteadyClock, SystemUptime};
use foundation::time::{Clock as _, MovableClock, SystemClock};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::TestApp;

const HOUR: Duration = Duration::from_hours(1);

/// A replica whose machine's clock is ahead by so much.
async fn replica(database_url: &str, ahead: Duration, grace: &str) -> TestApp {
    let machine = MovableClock::default();
    machine.advance(ahead);
    let clock = SteadyClock::new(Arc::new(machine.clone()), Arc::new(SystemUptime));
    let given = [("refresh_grace", grace), ("public_url", "http://localhost:1")];
    TestApp::with_clock(Some(database_url.to_owned()), &given, Arc::new(clock), machine).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_whose_clocks_are_hours_apart_judge_alike() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    for (grace, answered) in [("0s", false), ("60s", true)] {
        let right = replica(&url, Duration::ZERO, grace).await;
        let ahead = replica(&url, HOUR, grace).await;
        let email = format!("ann{grace}@example.com");
        let browser = right.signed_in(&email).await;
        let app =
            right.add_client(grace, aa_server::domain::client::ClientType::Public, |_| ()).await;
        for (one, other) in [(&right, &ahead), (&ahead, &right)] {
            let first = app.redeem(&browser.open(&app).await).await.ok();
            let second = app.at(&one.url).refresh(first.refresh_token()).await.ok();
            let again = app.at(&other.url).refresh(first.refresh_token()).await;
            if answered {
                assert_eq!(again.ok().refresh_token(), second.refresh_token());
            } else {
                again.refused("invalid_grant");
            }
            assert_eq!(right.is_live(first.family()).await, answered);
        }
        let ready = reqwest::get(format!("{}/readyz", right.url)).await.unwrap();
        assert_eq!(ready.status(), StatusCode::OK);
        let ready = reqwest::get(format!("{}/readyz", ahead.url)).await.unwrap();
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        let missing: serde_json::Value = ready.json().await.unwrap();
        assert_eq!(missing["missing"], json!(["clock"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_machine_whose_clock_is_set_forth_and_back_loses_nobody() {
    let machine = MovableClock::default();
    let clock = SteadyClock::new(Arc::new(machine.clone()), Arc::new(SystemUptime));
    let t = TestApp::with_clock(None, &[], Arc::new(clock), machine.clone()).await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let mut last = app.redeem(&browser.open(&app).await).await.ok();
    let family = last.family();
    for change in [MovableClock::advance, MovableClock::set_back] {
        change(&machine, HOUR);
        time_reference::observe(&t.authority.store, &*t.authority.clock).await.unwrap();
        let off = t.authority.now().since(SystemClock.now());
        assert!(off < Duration::from_secs(5), "{off:?}");
        let next = app.refresh(last.refresh_token()).await.ok();
        assert_eq!(
            app.refresh(last.refresh_token()).await.ok().refresh_token(),
            next.refresh_token()
        );
        last = next;
    }
    assert!(t.is_live(family).await);
    assert!(t.events("family.reuse").await.is_empty());
}
