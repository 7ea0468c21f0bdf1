//! The drills of docs/operating.md: the server's secret, a signing key or an app's secret has leaked, a backup was restored.

use aa_server::domain::caller::Caller;
use aa_server::domain::event::EndKind;
use aa_server::ops::sessions::end::end_everything;
use aa_server::ops::settings::secret_lines;
use aa_server::ops::{clients, keys};
use database::execute;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::time::Duration;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Answer, Engine, OAuthApp, PASSWORD, TestApp, both_databases, header_of};

const OLD: &str = "a secret that all tests share, long enough";
const NEW: &str = "a new secret after the old one has leaked";

/// Another replica on the same database, with these lines of the secret.
async fn restarted(t: &TestApp, lines: &str) -> TestApp {
    let public_url = t.authority.config.public_url.as_str().to_owned();
    let given = [("secret", lines), ("public_url", public_url.as_str())];
    TestApp::with(Some(t.database_url.clone()), &given).await
}

async fn kids(t: &TestApp) -> Vec<String> {
    let jwks = reqwest::get(format!("{}/.well-known/jwks.json", t.url)).await.unwrap();
    let jwks: serde_json::Value = jwks.json().await.unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[apply(both_databases)]
async fn a_leaked_secret_is_replaced_and_the_old_line_can_go(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let published = kids(&t).await;

    let both = restarted(&t, &format!("{NEW}\n{OLD}")).await;
    let second = app.at(&both.url).refresh(first.refresh_token()).await.ok();
    let lines = secret_lines(&both.authority).await.unwrap();
    assert_eq!(
        lines.lines.iter().map(|line| line.signing_keys).collect::<Vec<_>>(),
        [published.len(), 0]
    );
    assert_eq!(lines.lines[0].tokens_until, None);
    let until = lines.lines[1].tokens_until.unwrap();
    let idle = Duration::from_hours(30 * 24);
    assert!(
        until > t.authority.now() + idle - Duration::from_mins(1)
            && until < t.authority.now() + idle + Duration::from_mins(1)
    );

    let new = restarted(&t, NEW).await;
    assert_eq!(kids(&new).await, published, "the same keys, sealed anew");
    let there = app.at(&new.url);
    there.refresh(second.refresh_token()).await.ok();
    there.refresh(first.refresh_token()).await.refused("invalid_grant");
    assert!(
        new.is_live(first.family()).await,
        "what is made under the old line is not genuine any more"
    );
}

#[apply(both_databases)]
async fn a_key_that_cannot_be_opened_is_left_out_while_there_is_another(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let before = kids(&t).await;
    keys::rotate(&t.authority, &Caller::operator()).await.unwrap();
    t.advance(700);
    let damage = "UPDATE signing_keys SET private_key = $1 WHERE kid = $2";
    let db = t.authority.store.db().write();
    for kid in &before {
        execute!(db.clone(), damage, vec![0_u8; 60], kid.as_str()).unwrap();
    }
    let now = t.authority.now();
    t.authority.keyring.reload(&t.authority.store, now).await.unwrap();
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    app.redeem(&browser.open(&app).await).await.ok();
    let lines = secret_lines(&t.authority).await.unwrap();
    assert_eq!((lines.lines[0].signing_keys, lines.lost_keys.len()), (before.len(), before.len()));

    for kid in kids(&t).await {
        execute!(db.clone(), damage, vec![0_u8; 60], kid.as_str()).unwrap();
    }
    let failed = t.authority.keyring.reload(&t.authority.store, now).await;
    assert!(failed.unwrap_err().to_string().contains("cannot be opened"));
    app.redeem(&browser.open(&app).await).await.ok();
}

/// The session of an app, and whether its application token is still accepted here.
async fn is_active(app: &OAuthApp, session: &Answer) -> serde_json::Value {
    let asked = app.post("/oauth/introspect", &[("token", session.access_token())]).await.ok();
    asked.json["active"].clone()
}

#[apply(both_databases)]
async fn a_leaked_signing_key_is_withdrawn_at_once(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let leaked = header_of(first.access_token())["kid"].as_str().unwrap().to_owned();
    assert_eq!(is_active(&app, &first).await, json!(true));
    let operator = Caller::operator();
    assert_eq!(keys::revoke(&t.authority, "unknown", &operator).await.unwrap(), None);
    let successor = keys::revoke(&t.authority, &leaked, &operator).await.unwrap().unwrap().unwrap();
    let published = kids(&t).await;
    assert!(!published.contains(&leaked) && published.contains(&successor));
    assert_eq!(is_active(&app, &first).await, json!(false));
    let second = app.refresh(first.refresh_token()).await.ok();
    assert_eq!(header_of(second.access_token())["kid"], successor);
    assert_eq!(is_active(&app, &second).await, json!(true));
    let ready = reqwest::get(format!("{}/readyz", t.url)).await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    assert_eq!(t.events("key.revoked").await.len(), 1);
    // One that would sign next needs no successor: the present one signs on.
    let next = keys::rotate(&t.authority, &operator).await.unwrap();
    assert!(keys::revoke(&t.authority, &next[0], &operator).await.unwrap().unwrap().is_none());
    for hours in [0, 25] {
        t.advance(hours * 3600);
        t.authority.keyring.reload(&t.authority.store, t.authority.now()).await.unwrap();
        app.redeem(&browser.open(&app).await).await.ok();
    }
}

#[apply(both_databases)]
async fn a_leaked_secret_of_an_app_stops_at_once(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let operator = Caller::operator();
    let day = clients::SECRET_OVERLAP;
    let second = clients::rotate_secret(&t.authority, &app.id, day, &operator).await.unwrap();
    let second = OAuthApp { secret: Some(second.expose_secret().to_owned()), ..app.clone() };
    let first = app.refresh(first.refresh_token()).await.ok();
    let third =
        clients::rotate_secret(&t.authority, &app.id, Duration::ZERO, &operator).await.unwrap();
    let third = OAuthApp { secret: Some(third.expose_secret().to_owned()), ..app.clone() };
    for stopped in [&app, &second] {
        let refused = stopped.refresh(first.refresh_token()).await;
        assert_eq!(
            (refused.status, &refused.json["error"]),
            (StatusCode::UNAUTHORIZED, &json!("invalid_client"))
        );
    }
    third.refresh(first.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn after_a_restored_backup_everything_is_ended(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.public().await;
    let mut sessions = Vec::new();
    for email in ["ann@example.com", "bo@example.com"] {
        let browser = t.signed_in(email).await;
        let first = app.redeem(&browser.open(&app).await).await.ok();
        sessions.push((browser, first));
    }
    assert_eq!(end_everything(&t.authority, &Caller::operator()).await.unwrap(), 2);
    for (browser, first) in &sessions {
        app.refresh(first.refresh_token()).await.refused("invalid_grant");
        assert_eq!(browser.get("/account").await.status(), StatusCode::SEE_OTHER);
    }
    assert!(t.events("family.reuse").await.is_empty());
    let ends = t.authority.store.ends_after(0, 10).await.unwrap();
    assert_eq!(ends.len(), 1, "one end, however many users there are");
    assert_eq!(ends[0].kind, EndKind::Everything);
    let (browser, _) = &sessions[0];
    browser.sign_in("ann@example.com", PASSWORD).await;
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert!(page.contains("An administrator ended it."), "{page}");
    let again = app.redeem(&browser.open(&app).await).await.ok();
    app.refresh(again.refresh_token()).await.ok();
}
