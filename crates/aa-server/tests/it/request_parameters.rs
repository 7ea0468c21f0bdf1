//! Parameters of `/oauth/authorize` one by one: scopes, `max_age`, `resource`, `response_mode`, `prompt=create`, `display`.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    Answer, Browser, CALLBACK, Engine, OAuthApp, PASSWORD, TestApp, answer_of, authorize_query,
    both_databases, client, location,
};

#[apply(both_databases)]
async fn scopes_that_an_app_may_not_have_are_left_out(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    for (scope, granted) in [
        ("openid address phone", "openid"),
        ("openid admin email", "openid email"),
        ("https://other.example/read offline_access", "offline_access"),
    ] {
        let code = browser.open_with(&app, &[("scope", scope)]).await;
        let answer = app.redeem(&code).await.ok();
        assert_eq!(answer.json["scope"], granted);
        assert_eq!(answer.claims()["scope"], granted);
    }
    let nothing = answer_of(&browser.authorize(&app, &[("scope", "admin phone")]).await);
    assert_eq!(nothing["error"], "invalid_scope");
}

/// The path that a sign-in page leads on to.
fn return_to(page: &str) -> String {
    let query = page.split_once('?').unwrap().1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "return_to").unwrap().1.into_owned()
}

#[apply(both_databases)]
async fn an_age_of_zero_asks_for_a_sign_in_in_the_same_second_too(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let page = location(&browser.authorize(&app, &[("max_age", "0")]).await);
    assert!(page.starts_with("/login?"), "{page}");
    let silent = [("max_age", "0"), ("prompt", "none")];
    assert_eq!(answer_of(&browser.authorize(&app, &silent).await)["error"], "login_required");
    let path = return_to(&page);
    t.clock.advance(std::time::Duration::from_millis(1));
    browser.sign_in("ann@example.com", PASSWORD).await;
    // All of it within one second: the sign-in is good for this request, once.
    assert!(answer_of(&browser.get(&path).await).contains_key("code"));
    assert!(location(&browser.get(&path).await).starts_with("/login?"));
    assert!(location(&browser.authorize(&app, &[("max_age", "0")]).await).starts_with("/login?"));
    browser.open_with(&app, &[("max_age", "1")]).await;
}

async fn apis(t: &TestApp) -> OAuthApp {
    t.add_client("apis", ClientType::Confidential, |app| {
        app.audiences = ["one", "two", "three"].map(str::to_owned).to_vec();
    })
    .await
}

/// A code of a request that names these audiences.
async fn open_for(browser: &Browser, app: &OAuthApp, resources: &str) -> String {
    let path = format!("/oauth/authorize?{}{resources}", authorize_query(&app.id, &[]));
    answer_of(&browser.get(&path).await)["code"].clone()
}

async fn refresh_for(app: &OAuthApp, before: &Answer, resources: &[&str]) -> Answer {
    let mut fields =
        vec![("grant_type", "refresh_token"), ("refresh_token", before.refresh_token())];
    fields.extend(resources.iter().map(|resource| ("resource", *resource)));
    app.token(&fields).await
}

#[apply(both_databases)]
async fn a_family_remembers_the_audiences_that_were_named(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = apis(&t).await;
    let code = open_for(&browser, &app, "&resource=two&resource=three&resource=two").await;
    let first = app.redeem(&code).await.ok();
    assert_eq!(first.claims()["aud"], "two", "the first one named");
    let three = refresh_for(&app, &first, &["three", "three"]).await.ok();
    assert_eq!(three.claims()["aud"], "three");
    refresh_for(&app, &three, &["one"]).await.refused("invalid_target");
    refresh_for(&app, &three, &["two", "three"]).await.refused("invalid_target");
    let again = refresh_for(&app, &three, &[]).await.ok();
    assert_eq!(again.claims()["aud"], "two", "a choice is for one token");

    let one = open_for(&browser, &app, "&resource=three").await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", one.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", crate::support::VERIFIER),
    ];
    app.token(&[&fields[..], &[("resource", "one")]].concat()).await.refused("invalid_target");
    let redeemed = app.token(&[&fields[..], &[("resource", "three")]].concat()).await.ok();
    assert_eq!(redeemed.claims()["aud"], "three");

    let unknown =
        format!("/oauth/authorize?{}&resource=two&resource=four", authorize_query(&app.id, &[]));
    assert_eq!(answer_of(&browser.get(&unknown).await)["error"], "invalid_target");
    // Where none is named, all that the app has can be chosen.
    let any = app.redeem(&browser.open(&app).await).await.ok();
    assert_eq!(any.claims()["aud"], "one");
    assert_eq!(refresh_for(&app, &any, &["three"]).await.ok().claims()["aud"], "three");
}

#[apply(both_databases)]
async fn audiences_taken_from_an_app_are_gone_from_what_was_named(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = apis(&t).await;
    let code = open_for(&browser, &app, "&resource=two&resource=three").await;
    let first = app.redeem(&code).await.ok();
    let mut metadata = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    metadata.audiences = vec!["one".to_owned(), "three".to_owned()];
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    let left = app.refresh(first.refresh_token()).await.ok();
    assert_eq!(left.claims()["aud"], "three", "never one that was not named");
    metadata.audiences = vec!["one".to_owned()];
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    app.refresh(left.refresh_token()).await.refused("invalid_grant");
    assert!(!t.is_live(first.family()).await, "it can have no more tokens");
    assert!(t.events("family.reuse").await.is_empty());
}

#[tokio::test]
async fn an_answer_can_come_in_the_fragment() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let fields = |to: &str| -> Value {
        let (uri, fragment) = to.split_once('#').unwrap();
        assert_eq!(uri, CALLBACK);
        let pairs = url::form_urlencoded::parse(fragment.as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), json!(value))).collect()
    };
    let mode = ("response_mode", "fragment");
    let granted = fields(&location(&browser.authorize(&app, &[mode]).await));
    assert_eq!((&granted["state"], &granted["iss"]), (&json!("some state"), &json!(t.url)));
    app.redeem(granted["code"].as_str().unwrap()).await.ok();
    for (more, code) in [
        (("scope", "admin"), "invalid_scope"),
        (("max_age", "soon"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
    ] {
        let refused = fields(&location(&browser.authorize(&app, &[mode, more]).await));
        assert_eq!((&refused["error"], &refused["state"]), (&json!(code), &json!("some state")));
    }
}

async fn discovery(t: &TestApp) -> Value {
    let url = format!("{}/.well-known/openid-configuration", t.url);
    client().get(url).send().await.unwrap().json().await.unwrap()
}

#[apply(both_databases)]
async fn an_app_can_lead_to_registration_where_it_is_open(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("registration", "open")]).await else { return };
    assert!(discovery(&t).await["prompt_values_supported"].to_string().contains("create"));
    let app = t.confidential().await;
    let signed_in = t.signed_in("ann@example.com").await;
    for browser in [Browser::new(&t.url), signed_in] {
        let more = [("prompt", "create"), ("login_hint", "new@example.com")];
        let page = location(&browser.authorize(&app, &more).await);
        assert!(page.starts_with("/register?return_to="), "{page}");
        let form = browser.get(&page).await;
        assert_eq!(form.status(), StatusCode::OK);
        let body = form.text().await.unwrap();
        assert!(body.contains("value=\"new@example.com\""), "{body}");
        // Who has an account signs in there, and the request goes on.
        let path = return_to(&page);
        assert!(location(&browser.get(&path).await).starts_with("/register?"));
        t.advance(1);
        browser.sign_in("ann@example.com", PASSWORD).await;
        assert!(answer_of(&browser.get(&path).await).contains_key("code"));
    }
    let anonymous = Browser::new(&t.url);
    let both = answer_of(&anonymous.authorize(&app, &[("prompt", "none create")]).await);
    assert_eq!(both["error"], "invalid_request");
}

#[apply(both_databases)]
async fn who_creates_an_account_comes_back_to_the_app(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("registration", "open")]).await else { return };
    let app = t.confidential().await;
    let browser = Browser::new(&t.url);
    let page = location(&browser.authorize(&app, &[("prompt", "create")]).await);
    let path = return_to(&page);
    let fields = [("email", "new@example.com"), ("name", "New"), ("return_to", &path)];
    assert_eq!(browser.submit(&page, "/register", &fields).await.status(), StatusCode::OK);
    let mail = t.mail("new@example.com", "Confirm your email address").await;
    let link = mail.text.lines().find(|line| line.starts_with(&t.url)).unwrap();
    let link = &link[t.url.len()..];
    let token = link.split_once("token=").unwrap().1;
    t.advance(1);
    let fields = [("token", token), ("password", PASSWORD)];
    let done = browser.submit(link, "/register/confirm", &fields).await;
    assert_eq!(location(&done), path);
    let answer = app.redeem(&answer_of(&browser.get(&path).await)["code"]).await.ok();
    let user = t.authority.store.user_by_email("new@example.com").await.unwrap().unwrap();
    assert_eq!(answer.claims()["sub"], user.id.to_string());
}

#[tokio::test]
async fn where_registration_is_not_open_create_is_not_known() {
    for mode in ["closed", "invite"] {
        let t = TestApp::with(None, &[("registration", mode)]).await;
        let prompts = &discovery(&t).await["prompt_values_supported"];
        assert_eq!(*prompts, json!(["none", "login", "consent", "select_account"]));
        let app = t.confidential().await;
        let refused = Browser::new(&t.url).authorize(&app, &[("prompt", "create")]).await;
        assert_eq!(answer_of(&refused)["error"], "invalid_request");
    }
}

#[tokio::test]
async fn every_display_gets_a_page_that_fits_it() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let displays = discovery(&t).await["display_values_supported"].clone();
    let displays: Vec<String> = serde_json::from_value(displays).unwrap();
    assert_eq!(displays, ["page", "popup", "touch", "wap"]);
    for display in displays.iter().map(String::as_str).chain(["hologram"]) {
        browser.open_with(&app, &[("display", display)]).await;
    }
}

#[tokio::test]
async fn every_advertised_value_is_accepted() {
    let t = TestApp::with(None, &[("registration", "open")]).await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let document = discovery(&t).await;
    for (advertised, parameter) in
        [("response_modes_supported", "response_mode"), ("prompt_values_supported", "prompt")]
    {
        for value in document[advertised].as_array().unwrap() {
            let answer = browser.authorize(&app, &[(parameter, value.as_str().unwrap())]).await;
            let to = answer.headers().get("location").map(|to| to.to_str().unwrap());
            let refused = to.and_then(|to| Url::parse(to).ok()).is_some_and(|to| {
                to.query().is_some_and(|query| query.contains("error="))
                    || to.fragment().is_some_and(|fragment| fragment.contains("error="))
            });
            assert!(!refused, "{parameter}={value}: {to:?}");
        }
    }
    assert_eq!(document["response_modes_supported"], json!(["query", "fragment", "form_post"]));
}
