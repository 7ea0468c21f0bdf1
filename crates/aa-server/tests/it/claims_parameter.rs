//! The `claims` parameter (OpenID Connect Core §5.5): claims by name, and conditions on the user and the sign-in.

use aa_server::domain::client::ClientType;
use reqwest::StatusCode;
use serde_json::{Value, json};

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    Browser, Engine, OAuthApp, PASSWORD, TestApp, answer_of, both_databases, claims_of, client,
    location,
};

async fn userinfo(app: &OAuthApp, access_token: &str) -> Value {
    let url = format!("{}/oauth/userinfo", app.url);
    let answer = app.http.get(url).bearer_auth(access_token).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

#[apply(both_databases)]
async fn claims_are_released_where_they_were_asked_for(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("backend", ClientType::Confidential, |app| app.id_token_on_refresh = true)
        .await;
    let claims = r#"{"userinfo": {"email": {"essential": true}, "shoe_size": null},
                     "id_token": {"preferred_username": null, "email_verified": {"value": true}}}"#;
    let more = [("scope", "openid offline_access"), ("claims", claims)];
    let first = app.redeem(&browser.open_with(&app, &more).await).await.ok();
    let mut newest = first;
    for _ in 0..2 {
        let id_token = claims_of(newest.json["id_token"].as_str().unwrap());
        assert_eq!(id_token["preferred_username"], "ann@example.com");
        assert_eq!(id_token["email_verified"], false, "what there is, not what was asked for");
        assert!(id_token.get("email").is_none() && id_token.get("name").is_none());
        let told = userinfo(&app, newest.access_token()).await;
        assert_eq!(told["email"], "ann@example.com");
        let names: Vec<&String> = told.as_object().unwrap().keys().collect();
        assert_eq!(names, ["email", "sub"]);
        assert_eq!(newest.json["scope"], "openid offline_access", "claims are no scopes");
        newest = app.refresh(newest.refresh_token()).await.ok();
    }
    let plain = app.redeem(&browser.open_with(&app, &[("scope", "openid")]).await).await.ok();
    assert!(userinfo(&app, plain.access_token()).await.get("email").is_none());
}

#[apply(both_databases)]
async fn no_claim_goes_round_the_scopes_of_an_app(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("narrow", ClientType::Confidential, |app| {
            app.scopes = vec!["openid".to_owned()];
        })
        .await;
    let claims = r#"{"userinfo": {"email": null, "name": null}, "id_token": {"email": null}}"#;
    let more = [("scope", "openid"), ("claims", claims)];
    let answer = app.redeem(&browser.open_with(&app, &more).await).await.ok();
    assert!(claims_of(answer.json["id_token"].as_str().unwrap()).get("email").is_none());
    let told = userinfo(&app, answer.access_token()).await;
    assert_eq!(told.as_object().unwrap().len(), 1, "{told}");
}

#[apply(both_databases)]
async fn a_subject_is_the_only_one_who_is_accepted(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let ann = t.signed_in("ann@example.com").await;
    let ben = t.signed_in("ben@example.com").await;
    let app = t.confidential().await;
    let answer = app.redeem(&ann.open(&app).await).await.ok();
    let sub = answer.claims()["sub"].as_str().unwrap().to_owned();
    for claims in [
        json!({ "id_token": { "sub": { "value": sub } } }),
        json!({ "id_token": { "sub": { "values": ["other", sub] } } }),
        json!({ "userinfo": { "sub": { "value": sub } } }),
    ] {
        let claims = claims.to_string();
        ann.open_with(&app, &[("claims", &claims), ("prompt", "none")]).await;
        let silent = ben.authorize(&app, &[("claims", &claims), ("prompt", "none")]).await;
        assert_eq!(answer_of(&silent)["error"], "login_required");
        let page = location(&ben.authorize(&app, &[("claims", &claims)]).await);
        assert!(page.starts_with("/login?"), "{page}");
    }
    // Both have to agree.
    let hint = answer.json["id_token"].as_str().unwrap();
    let other = json!({ "id_token": { "sub": { "value": "other" } } }).to_string();
    let both = [("id_token_hint", hint), ("claims", &other), ("prompt", "none")];
    assert_eq!(answer_of(&ann.authorize(&app, &both).await)["error"], "login_required");
}

#[apply(both_databases)]
async fn a_level_is_a_condition(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let acr = |essential: bool, values: Value| {
        json!({ "id_token": { "acr": { "essential": essential, "values": values } } }).to_string()
    };
    let two = acr(true, json!(["aal2"]));
    let silent = browser.authorize(&app, &[("claims", &two), ("prompt", "none")]).await;
    assert_eq!(answer_of(&silent)["error"], "login_required");
    // The sign-in page asks for two factors: a user without a second one has to set one up.
    let page = location(&browser.authorize(&app, &[("claims", &two)]).await);
    let query = page.split_once('?').unwrap().1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let return_to = pairs.find(|(name, _)| name == "return_to").unwrap().1.into_owned();
    let fields = [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", &return_to)];
    let next = location(&browser.submit(&page, "/login", &fields).await);
    assert!(next.starts_with("/login/enrol"), "{next}");
    for (claims, code) in [
        (acr(true, json!(["aal1", "aal2"])), None),
        (acr(false, json!(["gold"])), None),
        (acr(true, json!(["gold"])), Some("unmet_authentication_requirements")),
        ("[]".to_owned(), Some("invalid_request")),
        ("x".repeat(5_000), Some("invalid_request")),
    ] {
        let answer = answer_of(&browser.authorize(&app, &[("claims", &claims)]).await);
        assert_eq!(answer.get("error").map(String::as_str), code, "{claims}");
    }
}

#[tokio::test]
async fn discovery_says_so() {
    let t = TestApp::sqlite().await;
    let url = format!("{}/.well-known/openid-configuration", t.url);
    let document: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["claims_parameter_supported"], true);
    // A claim that is asked for by name needs no sign-in page of its own.
    let browser = Browser::new(&t.url);
    let app = t.confidential().await;
    let claims = r#"{"userinfo": {"email": null}}"#;
    let page = browser.authorize(&app, &[("claims", claims)]).await;
    assert!(location(&page).starts_with("/login?"));
}
