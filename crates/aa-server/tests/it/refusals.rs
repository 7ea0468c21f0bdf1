//! Refusals of clients: the operator is told of each, the caller learns nothing new, and no caller can fill the database.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use aa_server::ops::refusals::record;
use aa_server::store::{EventFilter, EventRow};
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{CALLBACK, Engine, OAuthApp, TestApp, VERIFIER, both_databases, client};

/// The refusals of a client that are recorded: endpoint, error, reason, count.
async fn refusals(t: &TestApp, client_id: &str) -> Vec<(String, String, String, i64)> {
    record(&t.authority, true).await;
    let only = EventFilter {
        client_id: Some(client_id.to_owned()),
        kind: Some("client.refused".to_owned()),
        ..EventFilter::default()
    };
    let events = t.authority.store.events_before(&only, None, 10_000).await.unwrap();
    let text = |event: &EventRow, name: &str| event.detail[name].as_str().unwrap().to_owned();
    let line = |event: &EventRow| {
        (text(event, "endpoint"), text(event, "error"), text(event, "reason"), event.count)
    };
    events.iter().map(line).collect()
}

/// The reason of the only refusal of a client since the last call.
async fn only_reason(t: &TestApp, app: &OAuthApp, endpoint: &str, error: &str) -> String {
    let found = refusals(t, &app.id).await;
    let [(at, code, reason, _)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((at.as_str(), code.as_str()), (endpoint, error), "{reason}");
    reason.clone()
}

#[apply(both_databases)]
async fn every_endpoint_tells_the_operator_the_reason(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let named = |id: &'static str| t.add_client(id, ClientType::Confidential, |_| ());

    let app = named("at-authorize").await;
    browser.ask(&app, &[("code_challenge", ""), ("code_challenge_method", "")]).await;
    let reason = only_reason(&t, &app, "/oauth/authorize", "invalid_request").await;
    assert!(reason.contains("code_challenge"), "{reason}");

    let app = named("at-redirect").await;
    browser.ask(&app, &[("redirect_uri", "https://evil.example/cb")]).await;
    let reason = only_reason(&t, &app, "/oauth/authorize", "invalid_request").await;
    assert!(reason.contains("redirect_uri"), "{reason}");

    let app = named("silent").await;
    let anonymous = crate::support::Browser::new(&t.url);
    anonymous.ask(&app, &[("prompt", "none")]).await;
    only_reason(&t, &app, "/oauth/authorize", "login_required").await;

    let app = named("no-verifier").await;
    let code = browser.open(&app).await;
    app.redeem_with(&code, CALLBACK, None).await.refused("invalid_grant");
    let reason = only_reason(&t, &app, "/oauth/token", "invalid_grant").await;
    assert_eq!(reason, "code_verifier is missing");

    let app = named("other-uri").await;
    let code = browser.open(&app).await;
    app.redeem_with(&code, "http://localhost:9/other", Some(VERIFIER))
        .await
        .refused("invalid_grant");
    let reason = only_reason(&t, &app, "/oauth/token", "invalid_grant").await;
    assert!(reason.contains("redirect_uri"), "{reason}");

    let app = named("late").await;
    let code = browser.open(&app).await;
    t.advance(31);
    app.redeem(&code).await.refused("invalid_grant");
    let reason = only_reason(&t, &app, "/oauth/token", "invalid_grant").await;
    assert!(reason.contains("expired"), "{reason}");

    let app = named("at-refresh").await;
    app.refresh("rt_x").await.refused("invalid_grant");
    let reason = only_reason(&t, &app, "/oauth/token", "invalid_grant").await;
    assert!(reason.contains("not made here"), "{reason}");

    let mut app = named("wrong-secret").await;
    app.secret = Some("wrong".to_owned());
    assert_eq!(app.refresh("rt_x").await.status, StatusCode::UNAUTHORIZED);
    let reason = only_reason(&t, &app, "/oauth/token", "invalid_client").await;
    assert!(reason.contains("credentials"), "{reason}");

    let app = named("disabled").await;
    clients::set_enabled(&t.authority, &app.id, false, &Caller::operator()).await.unwrap();
    app.post("/oauth/introspect", &[("token", "x")]).await;
    let reason = only_reason(&t, &app, "/oauth/introspect", "invalid_client").await;
    assert_eq!(reason, "the client is disabled");

    let app = named("at-revoke").await;
    app.post("/oauth/revoke", &[]).await.refused("invalid_request");
    let reason = only_reason(&t, &app, "/oauth/revoke", "invalid_request").await;
    assert!(reason.contains("token"), "{reason}");

    let app = named("at-userinfo").await;
    let redeemed = app.redeem(&browser.open(&app).await).await.ok();
    t.advance(301);
    let request = client().get(format!("{}/oauth/userinfo", t.url));
    request.bearer_auth(redeemed.access_token()).send().await.unwrap();
    only_reason(&t, &app, "/oauth/userinfo", "invalid_token").await;
}

#[apply(both_databases)]
async fn what_is_refused_again_is_counted_and_not_written_again(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    for _ in 0..30 {
        app.refresh("rt_x").await.refused("invalid_grant");
    }
    assert_eq!(refusals(&t, &app.id).await.len(), 1);
    t.advance(61);
    for _ in 0..12 {
        app.refresh("rt_x").await.refused("invalid_grant");
    }
    let found = refusals(&t, &app.id).await;
    assert_eq!(found.iter().map(|(.., count)| count).collect::<Vec<_>>(), [&42]);
    t.advance(3600);
    app.refresh("rt_x").await.refused("invalid_grant");
    let counts: Vec<i64> = refusals(&t, &app.id).await.iter().map(|(.., count)| *count).collect();
    assert_eq!(counts, [1, 42], "the next hour has an event of its own");
}

#[apply(both_databases)]
async fn an_unknown_client_makes_no_event_and_a_known_one_few(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    let mut unknown = app.clone();
    for number in 0..40 {
        unknown.id = format!("unknown-{number}");
        assert_eq!(unknown.refresh("rt_x").await.status, StatusCode::UNAUTHORIZED);
        let name = format!("made-up-{number}");
        app.token(&[(&name, "1"), (&name, "2")]).await.refused("invalid_request");
        // In the client's name, by anyone who knows its id.
        let browser = crate::support::Browser::new(&t.url);
        browser.ask(&app, &[("scope", &name)]).await;
    }
    record(&t.authority, true).await;
    let events = t.events("client.refused").await;
    assert!(events.iter().all(|event| event.client_id.as_deref() == Some("backend")));
    assert!(events.len() <= 21, "{}", events.len());
}

#[tokio::test]
async fn the_answer_tells_no_more_than_before() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    let mut said = Vec::new();
    let wrong = "x".repeat(43);
    for (uri, verifier) in [(CALLBACK, wrong.as_str()), ("http://localhost:9/x", VERIFIER)] {
        said.push(app.redeem_with(&code, uri, Some(verifier)).await.json);
    }
    said.push(app.redeem_with("dt_x", CALLBACK, Some(VERIFIER)).await.json);
    said.push(app.refresh("rt_x").await.json);
    assert!(said.iter().all(|answer| *answer == said[0]), "{said:?}");
    let mut known = app.clone();
    known.secret = Some("wrong".to_owned());
    let mut unknown = known.clone();
    unknown.id = "unknown".to_owned();
    assert_eq!(known.refresh("rt_x").await.json, unknown.refresh("rt_x").await.json);
}

#[apply(both_databases)]
async fn records_at_once_make_one_event(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    for round in 1..=20 {
        app.refresh("rt_x").await.refused("invalid_grant");
        let records = (0..8).map(|_| {
            let authority = t.authority.clone();
            tokio::spawn(async move { record(&authority, true).await })
        });
        for recorded in records.collect::<Vec<_>>() {
            recorded.await.unwrap();
        }
        assert_eq!(refusals(&t, &app.id).await.len(), round);
        // What is alike is one event for an hour.
        t.advance(3_601);
    }
}

/// The job that records them runs by itself.
#[tokio::test]
async fn an_event_is_there_within_seconds() {
    let t = TestApp::sqlite().await;
    let app = t.confidential().await;
    app.refresh("rt_x").await.refused("invalid_grant");
    for _ in 0..100 {
        if !t.events("client.refused").await.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("after ten seconds there is no event");
}
