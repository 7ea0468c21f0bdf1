//! Confidential apps that do without PKCE: a `nonce` takes its place (RFC 9700 §2.1.1).

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::ops::clients;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    CALLBACK, Engine, OAuthApp, TestApp, VERIFIER, answer_of, both_databases, claims_of,
};

const NO_CHALLENGE: [(&str, &str); 2] = [("code_challenge", ""), ("code_challenge_method", "")];

async fn without_pkce(t: &TestApp) -> OAuthApp {
    t.add_client("old", ClientType::Confidential, |app| app.no_pkce = true).await
}

#[apply(both_databases)]
async fn a_nonce_takes_the_place_of_pkce(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = without_pkce(&t).await;
    let code = browser.open_with(&app, &NO_CHALLENGE).await;
    let answer = app.redeem_with(&code, CALLBACK, None).await.ok();
    assert_eq!(claims_of(answer.json["id_token"].as_str().unwrap())["nonce"], "some nonce");
    app.refresh(answer.refresh_token()).await.ok();
    for more in [("nonce", ""), ("scope", "profile email")] {
        let [challenge, method] = NO_CHALLENGE;
        let refused = answer_of(&browser.authorize(&app, &[challenge, method, more]).await);
        assert_eq!(refused["error"], "invalid_request", "{more:?}");
        assert!(refused["error_description"].contains("nonce and the scope openid are needed"));
    }
    // With PKCE, it needs neither.
    let code = browser.open_with(&app, &[("nonce", ""), ("scope", "profile")]).await;
    app.redeem(&code).await.ok();
}

#[apply(both_databases)]
async fn a_challenge_that_was_sent_counts(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    for app in [without_pkce(&t).await, t.confidential().await] {
        let code = browser.open(&app).await;
        let refused = app.redeem_with(&code, CALLBACK, None).await;
        refused.refused("invalid_grant");
        assert_eq!(refused.json["error_description"], "code_verifier is missing");
        let wrong = app.redeem_with(&code, CALLBACK, Some(&"x".repeat(43))).await;
        wrong.refused("invalid_grant");
        app.redeem(&code).await.ok();
    }
}

#[apply(both_databases)]
async fn a_verifier_without_a_challenge_is_a_downgrade(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = without_pkce(&t).await;
    let code = browser.open_with(&app, &NO_CHALLENGE).await;
    let refused = app.redeem_with(&code, CALLBACK, Some(VERIFIER)).await;
    refused.refused("invalid_grant");
    let told = refused.json["error_description"].as_str().unwrap();
    assert!(told.contains("without code_challenge"), "{told}");
    app.redeem_with(&code, CALLBACK, None).await.ok();
}

#[apply(both_databases)]
async fn a_code_without_pkce_is_worth_nothing_once_the_setting_is_gone(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = without_pkce(&t).await;
    let code = browser.open_with(&app, &NO_CHALLENGE).await;
    let mut metadata = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    metadata.no_pkce = false;
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    app.redeem_with(&code, CALLBACK, None).await.refused("invalid_grant");
}

#[tokio::test]
async fn a_refusal_says_what_is_needed_and_what_an_operator_can_set() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let needed = "PKCE is needed: code_challenge is missing";
    for (app, names_the_setting) in [(t.confidential().await, true), (t.public().await, false)] {
        let refused = answer_of(&browser.ask(&app, &NO_CHALLENGE).await);
        assert_eq!(refused["error"], "invalid_request");
        let told = &refused["error_description"];
        assert!(told.starts_with(needed), "{told}");
        assert_eq!(told.contains("no_pkce"), names_the_setting, "{told}");
    }
}

#[tokio::test]
async fn only_confidential_apps_can_be_set_so() {
    let t = TestApp::sqlite().await;
    let mut public = ClientMetadata::named("page", "Page", ClientType::Public);
    public.redirect_uris = vec![CALLBACK.to_owned()];
    public.no_pkce = true;
    let refused = clients::add(&t.authority, &public, &Caller::operator()).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.starts_with("no_pkce: only a confidential app"), "{told}");
}
