//! Pushed authorization requests (RFC 9126): who may push, what is stored, and who can redeem it, once.

use aa_server::domain::client::ClientType;
use aa_server::services::throttle::Counter;
use aa_server::store::PUSHED_REQUEST_TTL;
use futures_util::future::join_all;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    Answer, Browser, Engine, OAuthApp, PASSWORD, TestApp, answer_of, authorize_query,
    both_databases, client, location,
};

const AT_ONCE: usize = 20;

/// Pushes a good request, but for `more`, with the app's own authentication.
async fn push(app: &OAuthApp, more: &[(&str, &str)]) -> Answer {
    let query = authorize_query(&app.id, more);
    let fields: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if app.secret.is_none() {
        // `post` adds it.
        fields.retain(|(name, _)| *name != "client_id");
    }
    app.post("/oauth/par", &fields).await
}

pub fn request_uri(pushed: &Answer) -> String {
    assert_eq!(pushed.status, StatusCode::CREATED, "{}", pushed.json);
    pushed.json["request_uri"].as_str().unwrap().to_owned()
}

fn path(client_id: &str, request_uri: &str, more: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", client_id).append_pair("request_uri", request_uri);
    format!("/oauth/authorize?{}{more}", query.finish())
}

pub async fn redeem(browser: &Browser, client_id: &str, request_uri: &str) -> Response {
    browser.get(&path(client_id, request_uri, "")).await
}

fn has_code(answer: &Response) -> bool {
    answer.status() == StatusCode::SEE_OTHER && location(answer).contains("code=")
}

#[apply(both_databases)]
async fn a_pushed_request_is_redeemed_by_its_reference(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    for app in [
        t.confidential().await,
        t.add_client("page", ClientType::Public, |app| {
            app.redirect_uris.push("https://page.example/cb".to_owned());
        })
        .await,
    ] {
        let uri =
            if app.secret.is_some() { crate::support::CALLBACK } else { "https://page.example/cb" };
        let pushed = push(&app, &[("redirect_uri", uri), ("state", "pushed")]).await;
        let request_uri = request_uri(&pushed);
        assert_eq!(pushed.headers["cache-control"], "no-store");
        assert_eq!(pushed.json["expires_in"], PUSHED_REQUEST_TTL.as_secs());
        let reference = request_uri.strip_prefix("urn:ietf:params:oauth:request_uri:").unwrap();
        assert!(reference.len() >= 43, "256 bits");
        // Whatever else the browser's address says does not count.
        let more = "&state=other&scope=openid&redirect_uri=https://evil.example";
        let answer = browser.get(&path(&app.id, &request_uri, more)).await;
        assert!(location(&answer).starts_with(uri), "{}", location(&answer));
        let fields = answer_of(&answer);
        assert_eq!(fields["state"], "pushed");
        let tokens =
            app.redeem_with(&fields["code"], uri, Some(crate::support::VERIFIER)).await.ok();
        assert_eq!(tokens.json["scope"], "openid profile email offline_access");
    }
}

#[apply(both_databases)]
async fn one_browser_redeems_it_and_may_reload(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let ann = t.signed_in("ann@example.com").await;
    let ben = t.signed_in("ben@example.com").await;
    let app = t.confidential().await;
    let pushed = request_uri(&push(&app, &[]).await);
    assert!(has_code(&redeem(&ann, &app.id, &pushed).await));
    assert!(has_code(&redeem(&ann, &app.id, &pushed).await), "the document was loaded again");
    for browser in [ben, Browser::new(&t.url)] {
        let gone = redeem(&browser, &app.id, &pushed).await;
        assert_eq!(gone.status(), StatusCode::GONE);
        assert!(gone.text().await.unwrap().contains("This sign-in has expired"));
    }
}

#[apply(both_databases)]
async fn a_sign_in_comes_between_if_it_has_to(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    // A browser without any cookie keeps the request that it redeems.
    let browser = Browser::new(&t.url);
    let pushed = request_uri(&push(&app, &[("login_hint", "ann@example.com")]).await);
    let page = location(&redeem(&browser, &app.id, &pushed).await);
    assert!(page.starts_with("/login?return_to="), "{page}");
    let body = browser.get(&page).await.text().await.unwrap();
    assert!(body.contains("continue to backend") && body.contains("value=\"ann@example.com\""));
    let query = page.split_once('?').unwrap().1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let return_to = pairs.find(|(name, _)| name == "return_to").unwrap().1.into_owned();
    let fields = [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", &return_to)];
    assert_eq!(location(&browser.submit(&page, "/login", &fields).await), return_to);
    app.redeem(&answer_of(&browser.get(&return_to).await)["code"]).await.ok();
}

#[apply(both_databases)]
async fn a_demanded_sign_in_comes_after_the_browser_has_come(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let browser = Browser::new(&t.url);
    let pushed = request_uri(&push(&app, &[("prompt", "login")]).await);
    t.advance(1);
    browser.sign_in("ann@example.com", PASSWORD).await;
    t.advance(1);
    let page = location(&redeem(&browser, &app.id, &pushed).await);
    assert!(page.starts_with("/login?"), "a sign-in between the two is none that was asked for");
    t.advance(1);
    browser.sign_in("ann@example.com", PASSWORD).await;
    assert!(has_code(&redeem(&browser, &app.id, &pushed).await));
    t.advance(1);
    assert!(!has_code(&redeem(&browser, &app.id, &pushed).await), "one sign-in counts once");
}

#[apply(both_databases)]
async fn it_is_of_one_client_and_for_a_short_time(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (app, other) = (t.confidential().await, t.public().await);
    let pushed = request_uri(&push(&app, &[]).await);
    assert_eq!(redeem(&browser, &other.id, &pushed).await.status(), StatusCode::GONE);
    assert_eq!(redeem(&browser, "unknown", &pushed).await.status(), StatusCode::BAD_REQUEST);
    let altered = format!("{}x", &pushed[..pushed.len() - 1]);
    assert_eq!(redeem(&browser, &app.id, &altered).await.status(), StatusCode::GONE);
    assert!(has_code(&redeem(&browser, &app.id, &pushed).await), "none of this used it up");
    // Once redeemed, it is still no other client's.
    assert_eq!(redeem(&browser, &other.id, &pushed).await.status(), StatusCode::GONE);
    let late = request_uri(&push(&app, &[]).await);
    t.advance(PUSHED_REQUEST_TTL.as_secs());
    assert_eq!(redeem(&browser, &app.id, &late).await.status(), StatusCode::GONE);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    let count = "SELECT COUNT(*) FROM authentication_attempts";
    let left = database::optional!(t.authority.store.db().read(), (i64,), count);
    assert_eq!(left.unwrap().unwrap().0, 1, "what was not redeemed is removed");
}

#[apply(both_databases)]
async fn of_many_browsers_at_once_one_redeems_it(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let browsers: Vec<Browser> = (0..AT_ONCE).map(|_| Browser::new(&t.url)).collect();
    for browser in &browsers {
        browser.sign_in("ann@example.com", PASSWORD).await;
    }
    for _ in 0..5 {
        let pushed = request_uri(&push(&app, &[]).await);
        let redemptions = browsers.iter().map(|browser| redeem(browser, &app.id, &pushed));
        let answers = join_all(redemptions).await;
        assert_eq!(answers.iter().filter(|answer| has_code(answer)).count(), 1);
        let gone = |answer: &&Response| answer.status() == StatusCode::GONE;
        assert_eq!(answers.iter().filter(gone).count(), AT_ONCE - 1);
    }
}

#[apply(both_databases)]
async fn a_push_is_judged_as_a_request_and_its_client_is_told(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    for (more, code) in [
        (("redirect_uri", "https://evil.example/cb"), "invalid_request"),
        (("redirect_uri", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("scope", "admin"), "invalid_scope"),
        (("resource", "other"), "invalid_target"),
        (("request", "e30.e30."), "request_not_supported"),
        (("request_uri", "https://app.example/r"), "invalid_request"),
        (("request_uri", "urn:ietf:params:oauth:request_uri:x"), "invalid_request"),
        (("prompt", "dance"), "invalid_request"),
        (("claims", "["), "invalid_request"),
        (
            ("claims", r#"{"id_token":{"acr":{"essential":true,"value":"gold"}}}"#),
            "unmet_authentication_requirements",
        ),
    ] {
        push(&app, &[more]).await.refused(code);
    }
    let wrong = OAuthApp { secret: Some("wrong".to_owned()), ..app.clone() };
    let refused = push(&wrong, &[]).await;
    let code = refused.json["error"].as_str();
    assert_eq!((refused.status, code), (StatusCode::UNAUTHORIZED, Some("invalid_client")));
    let none = OAuthApp { secret: None, ..app.clone() };
    assert_eq!(push(&none, &[]).await.status, StatusCode::UNAUTHORIZED);
    let worker = t.add_client("worker", ClientType::Service, |_| ()).await;
    push(&worker, &[]).await.refused("unauthorized_client");
    let twice = app.post("/oauth/par", &[("state", "a"), ("state", "b")]).await;
    twice.refused("invalid_request");
}

#[apply(both_databases)]
async fn an_app_or_all_can_be_made_to_push(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let strict = t.add_client("strict", ClientType::Confidential, |app| app.par = true).await;
    let refused = answer_of(&browser.ask(&strict, &[]).await);
    assert_eq!(refused["error"], "invalid_request");
    assert!(refused["error_description"].contains("pushed"), "{refused:?}");
    let pushed = request_uri(&push(&strict, &[]).await);
    assert!(has_code(&redeem(&browser, &strict.id, &pushed).await));
    let free = t.confidential().await;
    browser.open(&free).await;

    let all = TestApp::with(None, &[("require_par", "true")]).await;
    let browser = all.signed_in("ann@example.com").await;
    let app = all.confidential().await;
    assert_eq!(answer_of(&browser.ask(&app, &[]).await)["error"], "invalid_request");
    let pushed = request_uri(&push(&app, &[]).await);
    assert!(has_code(&redeem(&browser, &app.id, &pushed).await));
    for (t, required) in [(&t, false), (&all, true)] {
        for path in ["openid-configuration", "oauth-authorization-server"] {
            let url = format!("{}/.well-known/{path}", t.url);
            let document: Value = client().get(url).send().await.unwrap().json().await.unwrap();
            assert_eq!(document["require_pushed_authorization_requests"], required);
            let endpoint = format!("{}/oauth/par", t.url);
            assert_eq!(document["pushed_authorization_request_endpoint"], endpoint);
        }
    }
}

#[tokio::test]
async fn other_request_uris_stay_refused() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    for request_uri in ["https://app.example/r", "urn:example:request"] {
        let refused = answer_of(&browser.ask(&app, &[("request_uri", request_uri)]).await);
        assert_eq!(refused["error"], "request_uri_not_supported");
    }
}

#[tokio::test]
async fn a_public_app_at_one_address_stores_no_more_than_a_browser_could() {
    let t = TestApp::sqlite().await;
    let app = t.add_client("page", ClientType::Public, |_| ()).await;
    let counter = [Counter::stored_requests("127.0.0.1".parse().unwrap())];
    for _ in 0..999 {
        t.authority.throttle.take(&counter, t.authority.now()).await.unwrap();
    }
    assert_eq!(push(&app, &[]).await.status, StatusCode::CREATED);
    let refused = push(&app, &[]).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers.contains_key("retry-after"));
}
