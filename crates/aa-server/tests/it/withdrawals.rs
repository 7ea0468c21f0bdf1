//! What was taken from an app is gone from its live sessions (`docs/contract.md#rule-7`).

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use serde_json::json;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Answer, Browser, Engine, OAuthApp, PASSWORD, TestApp, both_databases};

/// An app with scopes of an API, and its session in a browser.
async fn orders(t: &TestApp) -> (OAuthApp, Answer) {
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("shop", ClientType::Confidential, |app| {
            app.scopes = ["openid", "offline_access", "orders:read", "orders:admin"]
                .map(str::to_owned)
                .to_vec();
        })
        .await;
    let scope = "openid offline_access orders:read orders:admin";
    let first = app.redeem(&browser.open_with(&app, &[("scope", scope)]).await).await.ok();
    assert_eq!(first.json["scope"], scope);
    (app, first)
}

/// Registers the app anew with these scopes alone.
async fn leave_scopes(t: &TestApp, app: &OAuthApp, scopes: &[&str]) {
    let mut metadata = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    metadata.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
}

#[apply(both_databases)]
async fn a_scope_taken_from_an_app_is_gone_at_the_next_issuance(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (app, first) = orders(&t).await;
    leave_scopes(&t, &app, &["openid", "offline_access", "orders:read"]).await;
    let left = "openid offline_access orders:read";
    let token = first.json["access_token"].as_str().unwrap();
    for token in [token, first.refresh_token()] {
        let known = app.post("/oauth/introspect", &[("token", token)]).await.ok();
        assert_eq!((&known.json["active"], &known.json["scope"]), (&json!(true), &json!(left)));
    }
    let narrower = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.refresh_token()),
        ("scope", "orders:admin"),
    ];
    app.token(&narrower).await.refused("invalid_scope");
    let second = app.refresh(first.refresh_token()).await.ok();
    assert_eq!(second.json["scope"], left);
    assert!(t.is_live(first.family()).await);
}

#[apply(both_databases)]
async fn without_offline_access_a_session_ends_and_nobody_is_called_a_thief(
    #[case] engine: Engine,
) {
    let Some(t) = engine.start().await else { return };
    let (app, first) = orders(&t).await;
    leave_scopes(&t, &app, &["openid", "orders:read"]).await;
    for _ in 0..3 {
        app.refresh(first.refresh_token()).await.refused("invalid_grant");
        t.advance(700);
    }
    assert!(!t.is_live(first.family()).await);
    assert!(t.events("family.reuse").await.is_empty());
    assert_eq!(t.events("family.ended").await.len(), 1);
}

#[apply(both_databases)]
async fn an_app_without_any_of_its_scopes_gets_nothing(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (app, first) = orders(&t).await;
    let browser = Browser::new(&t.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let scope = [("scope", "orders:admin")];
    let code = browser.open_with(&app, &scope).await;
    leave_scopes(&t, &app, &["calendar"]).await;
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    app.redeem(&code).await.refused("invalid_grant");
    assert!(t.events("family.reuse").await.is_empty());
}
