//! Pairwise subject identifiers: another `sub` in each sector, the same one wherever a client meets it, for ever.

use std::time::Duration;

use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::subject::SubjectType;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use tokens::revocation::Revocations;

use crate::support::{
    Answer, CALLBACK, Engine, OAuthApp, TestApp, answer_of, both_databases, claims_of, client,
    location,
};

const AFTER: &str = "http://localhost:9/signed-out";

async fn pairwise(t: &TestApp, id: &str, sector: &str) -> OAuthApp {
    t.add_client(id, ClientType::Confidential, |app| {
        app.subject_type = SubjectType::Pairwise;
        app.sector_identifier = Some(sector.to_owned());
        app.audiences = vec!["notes".to_owned()];
        app.post_logout_uris = vec![AFTER.to_owned()];
    })
    .await
}

fn sub_of_id_token(answer: &Answer) -> String {
    let claims = claims_of(answer.json["id_token"].as_str().unwrap());
    claims["sub"].as_str().unwrap().to_owned()
}

async fn userinfo(t: &TestApp, answer: &Answer) -> Value {
    let request = client().get(format!("{}/oauth/userinfo", t.url));
    request.bearer_auth(answer.access_token()).send().await.unwrap().json().await.unwrap()
}

#[apply(both_databases)]
async fn a_client_meets_one_subject_and_another_sector_another(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let app = pairwise(&t, "app", "a.example").await;
    let same = pairwise(&t, "same", "a.example").await;
    let other = pairwise(&t, "other", "b.example").await;
    let public = t.confidential().await;
    let api = t.add_client("notes", ClientType::Api, |_| ()).await;
    let open = async |app: &OAuthApp| app.redeem(&browser.open(app).await).await.ok();
    let tokens = open(&app).await;
    let sub = sub_of_id_token(&tokens);
    assert_ne!(sub, user.id.to_string());
    assert_eq!(sub_of_id_token(&open(&same).await), sub);
    assert_ne!(sub_of_id_token(&open(&other).await), sub);
    assert_eq!(sub_of_id_token(&open(&public).await), user.id.to_string());

    assert_eq!(userinfo(&t, &tokens).await["sub"], sub);
    for token in [tokens.access_token(), tokens.refresh_token()] {
        let known = app.post("/oauth/introspect", &[("token", token)]).await.ok().json;
        assert_eq!((&known["active"], &known["sub"]), (&json!(true), &json!(sub)));
    }
    // APIs of several apps have to know the user again, and ends name the user: the application token keeps the user's id.
    assert_eq!(tokens.claims()["sub"], json!(user.id));
    let known = api.post("/oauth/introspect", &[("token", tokens.access_token())]).await.ok().json;
    assert_eq!(known["sub"], json!(user.id));

    // The same after a refresh and a year.
    let refreshed = app.refresh(tokens.refresh_token()).await.ok();
    assert_eq!(userinfo(&t, &refreshed).await["sub"], sub);
    t.advance(86_400 * 365);
    browser.sign_in("ann@example.com", crate::support::PASSWORD).await;
    assert_eq!(sub_of_id_token(&open(&app).await), sub);
}

#[apply(both_databases)]
async fn an_end_of_a_user_is_told_by_the_subject_of_application_tokens(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = pairwise(&t, "app", "a.example").await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    browser.submit("/sessions", "/sessions/revoke-all", &[]).await;
    let request = || {
        let request = client().get(format!("{}/revocations", t.url));
        request.basic_auth(&app.id, app.secret.as_deref()).send()
    };
    for _ in 0..500 {
        let text = request().await.unwrap().text().await.unwrap();
        let told: Revocations = serde_json::from_str(&text).unwrap();
        let sub = tokens.claims()["sub"].as_str().unwrap().to_owned();
        if told.revocations.len() == 1 {
            assert!(text.contains(&format!("\"sub\":\"{sub}\"")), "{text}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the end was not told");
}

#[apply(both_databases)]
async fn an_id_token_of_a_pairwise_client_is_a_hint(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let ann = t.signed_in("ann@example.com").await;
    let bo = t.signed_in("bo@example.com").await;
    let app = pairwise(&t, "app", "a.example").await;
    let tokens = app.redeem(&ann.open(&app).await).await.ok();
    let id_token = tokens.json["id_token"].as_str().unwrap().to_owned();
    let hint = [("id_token_hint", &*id_token), ("prompt", "none")];
    assert!(answer_of(&ann.ask(&app, &hint).await).contains_key("code"));
    assert_eq!(answer_of(&bo.ask(&app, &hint).await)["error"], "login_required");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("id_token_hint", &id_token)
        .append_pair("post_logout_redirect_uri", AFTER)
        .finish();
    let path = format!("/oauth/logout?{query}");
    assert_eq!(bo.get(&path).await.status(), StatusCode::OK, "another user is asked");
    let out = ann.get(&path).await;
    assert_eq!(out.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&out), AFTER);
    assert_eq!(ann.cookie("aa_identity"), None);
}

#[apply(both_databases)]
async fn a_new_secret_makes_no_new_users(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = pairwise(&t, "app", "a.example").await;
    let sub = sub_of_id_token(&app.redeem(&browser.open(&app).await).await.ok());
    let lines =
        "a newer secret, which is long enough as well\na secret that all tests share, long enough";
    let given = [("secret", lines), ("public_url", t.url.as_str())];
    let rotated = TestApp::with(Some(t.database_url.clone()), &given).await;
    let metadata = t.authority.store.client("app").await.unwrap().unwrap().metadata;
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    assert_eq!(rotated.authority.subjects.of(&metadata, user.id), sub);
}

#[test]
fn a_sector_is_needed_where_there_is_not_one_host() {
    let mut app = ClientMetadata::named("a", "A", ClientType::Public);
    app.redirect_uris = vec![CALLBACK.to_owned(), "com.example.app:/cb".to_owned()];
    app.subject_type = SubjectType::Pairwise;
    assert!(app.check().unwrap_err().starts_with("sector_identifier"));
    app.sector_identifier = Some("example.com".to_owned());
    assert_eq!(app.check(), Ok(()));
}
