//! What an attacker can make grow is bounded (`docs/contract.md#4-the-authority-over-http`).

use std::time::Duration;

use aa_server::domain::client::ClientType;
use aa_server::store::MAX_OPEN_DELEGATIONS;
use database::{execute, optional};
use reqwest::StatusCode;
use url::Url;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    Browser, Engine, PASSWORD, TestApp, authorize_query, both_databases, location,
};

async fn count_rows(t: &TestApp, sql: &'static str) -> i64 {
    optional!(t.authority.store.db().read(), (i64,), sql).unwrap().unwrap().0
}

const FAMILIES: &str = "SELECT COUNT(*) FROM families";
const EVENTS: &str = "SELECT COUNT(*) FROM events";
const BROWSERS: &str =
    "SELECT (SELECT COUNT(*) FROM browsers) + (SELECT COUNT(*) FROM user_browsers)";

#[apply(both_databases)]
async fn open_delegations_of_one_browser_are_few(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.add_client("many", ClientType::Public, |app| app.multiple_sessions = true).await;
    let other = t.confidential().await;
    let kept = other.redeem(&browser.open(&other).await).await.ok();
    let redeemed = app.redeem(&browser.open(&app).await).await.ok();
    let mut last = String::new();
    for _ in 0..MAX_OPEN_DELEGATIONS + 15 {
        t.advance(1);
        last = browser.open(&app).await;
    }
    assert_eq!(count_rows(&t, FAMILIES).await, MAX_OPEN_DELEGATIONS + 2);
    app.redeem(&last).await.ok();
    app.refresh(redeemed.refresh_token()).await.ok();
    other.refresh(kept.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn what_is_kept_with_a_request_is_short(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let (fits, too_long) = ("x".repeat(512), "x".repeat(513));
    let scopes = (0..65).map(|number| format!("s{number}")).collect::<Vec<_>>().join(" ");
    for (name, value, error) in [
        ("state", fits.as_str(), None),
        ("nonce", &fits, None),
        ("state", &too_long, Some("invalid_request")),
        ("nonce", &too_long, Some("invalid_request")),
        ("scope", &scopes, Some("invalid_scope")),
    ] {
        let answer = browser.authorize(&app, &[(name, value)]).await;
        let url = Url::parse(&location(&answer)).unwrap();
        let told = url.query_pairs().find(|(name, _)| name == "error");
        assert_eq!(told.map(|(_, error)| error.into_owned()).as_deref(), error, "{name}");
    }
}

#[apply(both_databases)]
async fn an_image_of_another_page_opens_no_app(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let path = format!("/oauth/authorize?{}", crate::support::authorize_query(&app.id, &[]));
    for (dest, status) in [
        ("image", StatusCode::FORBIDDEN),
        ("empty", StatusCode::FORBIDDEN),
        ("script", StatusCode::FORBIDDEN),
        ("document", StatusCode::SEE_OTHER),
        ("iframe", StatusCode::SEE_OTHER),
    ] {
        let answer = browser.get_with(&path, &[("sec-fetch-dest", dest)]).await;
        assert_eq!(answer.status(), status, "{dest}");
    }
    assert_eq!(count_rows(&t, FAMILIES).await, 2);
}

#[apply(both_databases)]
async fn events_and_browsers_are_not_kept_for_ever(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    app.redeem(&browser.open(&app).await).await.ok();
    let remove = async || {
        let kept = t.authority.config.events_kept;
        t.authority.store.remove_old(t.authority.now(), kept).await.unwrap()
    };
    remove().await;
    assert_eq!((count_rows(&t, FAMILIES).await, count_rows(&t, BROWSERS).await), (1, 2));
    let day = 24 * 3600;
    t.advance(399 * day);
    remove().await;
    assert!(count_rows(&t, EVENTS).await > 0);
    assert_eq!(count_rows(&t, BROWSERS).await, 2);
    t.advance(2 * day);
    remove().await;
    assert_eq!(count_rows(&t, EVENTS).await, 0);
    assert_eq!(count_rows(&t, BROWSERS).await, 0);
    assert_eq!(count_rows(&t, FAMILIES).await, 0);
}

#[apply(both_databases)]
async fn what_cannot_be_removed_does_not_keep_the_rest(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    browser.get("/account").await;
    t.advance(500 * 24 * 3600);
    let db = t.authority.store.db().write();
    execute!(db.clone(), "ALTER TABLE families RENAME TO families_away").unwrap();
    let kept = Duration::from_hours(24);
    t.authority.store.remove_old(t.authority.now(), kept).await.unwrap_err();
    assert_eq!(count_rows(&t, EVENTS).await, 0);
    execute!(db, "ALTER TABLE families_away RENAME TO families").unwrap();
    t.authority.store.remove_old(t.authority.now(), kept).await.unwrap();
    assert_eq!(count_rows(&t, BROWSERS).await, 0);
}

#[apply(both_databases)]
async fn an_address_that_guesses_does_not_lock_known_browsers_out(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let known = t.signed_in("ann@example.com").await;
    let attacker = Browser::new(&t.url);
    let mut refused = 0;
    for number in 0..130 {
        let email = format!("made-up-{number}@example.com");
        let answer = attacker.sign_in(&email, "wrong password").await;
        refused += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused >= 20, "{refused}");
    let back = known.sign_in("ann@example.com", crate::support::PASSWORD).await;
    assert_eq!(back.status(), StatusCode::SEE_OTHER);
    // A browser that is not known waits with the others at that address.
    let unknown = attacker.sign_in("ann@example.com", crate::support::PASSWORD).await;
    assert_eq!(unknown.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_guesses_at_two_replicas_are_counted_together() {
    let Some(t) = TestApp::postgres().await else { return };
    t.add_user("ann@example.com").await;
    let replica =
        TestApp::with(Some(t.database_url.clone()), &[("public_url", t.url.as_str())]).await;
    let guesses = (0..50).map(|number| {
        let url = [&t.url, &replica.url][number % 2].clone();
        tokio::spawn(async move {
            let attacker = Browser::new(&url);
            attacker.sign_in("ann@example.com", "wrong password").await.status()
        })
    });
    let statuses = futures_util::future::join_all(guesses).await;
    let count = |wanted| statuses.iter().filter(|it| *it.as_ref().unwrap() == wanted).count();
    assert_eq!(count(StatusCode::UNAUTHORIZED), 10, "{statuses:?}");
    assert_eq!(count(StatusCode::TOO_MANY_REQUESTS), 40);
    let counters = "SELECT COUNT(*) FROM tries";
    // The account's, and the address's.
    assert_eq!(count_rows(&t, counters).await, 2);
    t.advance(3600);
    t.authority.store.remove_old(t.authority.now(), Duration::from_hours(1)).await.unwrap();
    assert_eq!(count_rows(&t, counters).await, 0);
}

#[apply(both_databases)]
async fn failed_sign_ins_do_not_fill_the_list_of_events(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let attacker = Browser::new(&t.url);
    for _ in 0..6 {
        attacker.sign_in("ann@example.com", "wrong password").await;
        attacker.sign_in("unknown@example.com", "wrong password").await;
    }
    let failed = t.events("identity.refused").await;
    assert_eq!(failed.iter().map(|event| event.count).collect::<Vec<_>>(), [6, 6]);
    assert!(failed[0].user_id.is_some() != failed[1].user_id.is_some());
    t.advance(30 * 60);
    attacker.sign_in("ann@example.com", "wrong password").await;
    assert_eq!(t.events("identity.refused").await[0].count, 7, "the last is the newest");
    t.advance(61 * 60);
    attacker.sign_in("ann@example.com", "wrong password").await;
    attacker.sign_in("ann@example.com", PASSWORD).await;
    let activity = attacker.get("/account/activity").await.text().await.unwrap();
    assert!(activity.contains("Failed sign-in, 7 times") && activity.contains("Failed sign-in<"));
}

#[apply(both_databases)]
async fn requests_that_wait_for_a_sign_in_are_few_at_one_address(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    let url = format!("{}/oauth/authorize?{}", t.url, authorize_query(&app.id, &[]));
    // Without a cookie, each is of a browser of its own.
    let attacker = crate::support::client();
    let mut refused = 0;
    for _ in 0..1_010 {
        let answer = attacker.get(&url).send().await.unwrap();
        refused += u32::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!((1..=10).contains(&refused), "{refused}");
    let stored = count_rows(&t, "SELECT COUNT(*) FROM authentication_attempts").await;
    assert_eq!(stored, 1_010 - i64::from(refused));
    t.advance(1);
    assert_eq!(attacker.get(&url).send().await.unwrap().status(), StatusCode::SEE_OTHER);
}
