//! Whole answers and pages as they leave the authority, with ids, times and secrets redacted. A change of any of them
//! shows in the diff of `snapshots/`; `INSTA_UPDATE=always cargo test -p aa-server snapshots` accepts it.

use std::collections::BTreeMap;

use aa_server::domain::client::ClientType;
use insta::{Settings, assert_snapshot};
use reqwest::Response;
use serde_json::Value;

use crate::support::{Answer, Browser, OAuthApp, TestApp};

/// Status, headers in the order of their names, and body. What changes from run to run is redacted.
async fn whole(response: Response) -> String {
    let mut headers: Vec<String> = response
        .headers()
        .iter()
        .filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let status = response.status();
    let body = response.text().await.unwrap();
    format!("{status}\n{}\n\n{body}", headers.join("\n"))
}

fn answer(answer: &Answer) -> String {
    let body = pretty(&answer.json);
    let header = |name: &str| {
        let value = answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        value.map(|value| format!("{name}: {value}\n")).unwrap_or_default()
    };
    let named = ["cache-control", "content-type", "www-authenticate"].map(header).concat();
    format!("{}\n{named}\n{body}", answer.status)
}

/// JSON with its members in the order of their names, whatever features `serde_json` is built with.
fn pretty(json: &Value) -> String {
    fn sorted(json: &Value) -> Value {
        match json {
            Value::Object(members) => {
                let members: BTreeMap<_, _> =
                    members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
                members.into_iter().collect()
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    serde_json::to_string_pretty(&sorted(json)).unwrap()
}

/// Redactions for everything random or of this moment.
fn redacted(test: impl FnOnce()) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, name) in [
        (r"(dt|rt)_[A-Za-z0-9_-]{90,}", "${1}_[token]"),
        (r"ey[A-Za-z0-9_-]+\.ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "[jwt]"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[uuid]"),
        (r"localhost:\d{4,5}", "localhost:[port]"),
        (r"(?s)<optgroup.*</optgroup>", "[time zones]"),
        (r"\d{1,2} [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC", "[moment] UTC"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        (r"nonce-[A-Za-z0-9_+/=-]+", "nonce-[nonce]"),
        (r#"nonce="[A-Za-z0-9_+/=-]+""#, r#"nonce="[nonce]""#),
        (r#"value="[A-Za-z0-9_-]{43}""#, r#"value="[csrf]""#),
        (r#"data-passkey="[^"]+""#, r#"data-passkey="[challenge]""#),
        (r#"name="state" value="[A-Za-z0-9_-]+""#, r#"name="state" value="[state]""#),
        (r"(aa_[a-z]+)=[A-Za-z0-9_-]{40,}", "${1}=[cookie]"),
        (r"/assets/([a-z]+)-[A-Za-z0-9_-]{12}\.", "/assets/${1}-[hash]."),
        (r"(attempt(?:=|%3D))[A-Za-z0-9_-]+", "${1}[attempt]"),
        (r"x-request-id: \S+", "x-request-id: [id]"),
        (r#""(iat|exp|auth_time|nbf|updated_at)": \d+"#, r#""${1}": [seconds]"#),
        (r#""(kid|n|x|y)": "[A-Za-z0-9_-]+""#, r#""${1}": "[key]""#),
    ] {
        settings.add_filter(pattern, name);
    }
    settings.bind(test);
}

async fn signed_in() -> (TestApp, Browser, OAuthApp) {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    (t, browser, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_for_anonymous_visitors() {
    let t = TestApp::with(None, &[("registration", "open")]).await;
    let browser = Browser::new(&t.url);
    for (name, path) in [
        ("login", "/login"),
        ("register", "/register"),
        ("invitation_unknown", "/register?invitation=unknown"),
        ("page_not_found", "/nothing"),
        ("authorize_without_client", "/oauth/authorize"),
        ("logout_without_session", "/oauth/logout"),
    ] {
        let page = whole(browser.get(path).await).await;
        redacted(|| assert_snapshot!(name, page));
    }
    let refused = browser.sign_in("ann@example.com", "not the password").await;
    let refused = whole(refused).await;
    redacted(|| assert_snapshot!("login_refused", refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_for_users() {
    // One thing at a time, so that lists have one order.
    let t = TestApp::sqlite().await;
    t.add_user("ann@example.com").await;
    t.advance(1);
    let browser = Browser::new(&t.url);
    browser.sign_in("ann@example.com", crate::support::PASSWORD).await;
    let app = t.confidential().await;
    t.advance(1);
    app.redeem(&browser.open(&app).await).await.ok();
    t.advance(1);
    let used_twice = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(used_twice.refresh_token()).await.ok();
    app.refresh(second.refresh_token()).await.ok();
    t.advance(1);
    app.refresh(used_twice.refresh_token()).await.refused("invalid_grant");
    t.advance(1);
    app.redeem(&browser.open(&app).await).await.ok();
    t.advance(7200);
    for (name, path) in [
        ("apps", "/apps"),
        ("sessions", "/sessions"),
        ("account", "/account"),
        ("activity", "/account/activity"),
        ("logout_question", "/oauth/logout"),
    ] {
        let page = whole(browser.get(path).await).await;
        redacted(|| assert_snapshot!(name, page));
    }
    let form_post = browser.authorize(&app, &[("response_mode", "form_post")]).await;
    let form_post = whole(form_post).await;
    redacted(|| assert_snapshot!("form_post", form_post));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_for_programs() {
    let t = TestApp::sqlite().await;
    let browser = Browser::new(&t.url);
    for (name, path) in [
        ("openid_configuration", "/.well-known/openid-configuration"),
        ("authorization_server", "/.well-known/oauth-authorization-server"),
        ("jwks", "/.well-known/jwks.json"),
    ] {
        let mut read = crate::support::read(browser.get(path).await).await;
        if let Some(keys) = read.json["keys"].as_array_mut() {
            // They are listed by their random ids.
            keys.sort_by_key(|key| key["alg"].as_str().map(str::to_owned));
        }
        redacted(|| assert_snapshot!(name, answer(&read)));
    }
    let livez = whole(browser.get("/livez").await).await;
    redacted(|| assert_snapshot!("livez", livez));
    let readyz = whole(browser.get("/readyz").await).await;
    redacted(|| assert_snapshot!("readyz", readyz));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_for_clients() {
    let (t, browser, app) = signed_in().await;
    let redeemed = app.redeem(&browser.open(&app).await).await.ok();
    let refreshed = app.refresh(redeemed.refresh_token()).await.ok();
    let access_token = refreshed.access_token().to_owned();
    let introspected = app.post("/oauth/introspect", &[("token", &access_token)]).await;
    let claims = pretty(&refreshed.claims());
    let header = crate::support::header_of(&access_token);
    let header = pretty(&header);
    let id_token = crate::support::claims_of(redeemed.json["id_token"].as_str().unwrap());
    let id_token = pretty(&id_token);
    let id_token = id_token.replace(id_token_hash(&id_token), "[hash]");
    let userinfo = app.http.get(format!("{}/oauth/userinfo", t.url)).bearer_auth(&access_token);
    let userinfo = crate::support::read(userinfo.send().await.unwrap()).await;
    let revoked = app.post("/oauth/revoke", &[("token", refreshed.refresh_token())]).await;
    let after = app.post("/oauth/introspect", &[("token", &access_token)]).await;
    let worker = t.add_client("worker", ClientType::Service, |_| ()).await;
    let service = worker.token(&[("grant_type", "client_credentials")]).await;
    redacted(|| {
        assert_snapshot!("token_redeemed", answer(&redeemed));
        assert_snapshot!("token_refreshed", answer(&refreshed));
        assert_snapshot!("token_service", answer(&service));
        assert_snapshot!("application_token", format!("{header}\n{claims}"));
        assert_snapshot!("id_token", id_token);
        assert_snapshot!("introspected", answer(&introspected));
        assert_snapshot!("userinfo", answer(&userinfo));
        assert_snapshot!("revoked", answer(&revoked));
        assert_snapshot!("introspected_after_the_end", answer(&after));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_for_clients() {
    let (_t, browser, app) = signed_in().await;
    let code = browser.open(&app).await;
    let wrong_secret = OAuthApp { secret: Some("wrong".to_owned()), ..app.clone() };
    for (name, refused) in [
        ("refused_no_grant_type", app.token(&[]).await),
        ("refused_unknown_grant_type", app.token(&[("grant_type", "password")]).await),
        ("refused_wrong_secret", wrong_secret.redeem(&code).await),
        ("refused_no_verifier", app.redeem_with(&code, crate::support::CALLBACK, None).await),
        ("refused_forged_token", app.refresh("rt_forged").await),
        ("refused_revoke_nothing", app.post("/oauth/revoke", &[]).await),
    ] {
        redacted(|| assert_snapshot!(name, answer(&refused)));
    }
    let no_token = browser.get("/oauth/userinfo").await;
    let no_token = whole(no_token).await;
    redacted(|| assert_snapshot!("userinfo_without_token", no_token));
}

/// The value of `at_hash`, which changes with every token.
fn id_token_hash(claims: &str) -> &str {
    let rest = claims.split("\"at_hash\": \"").nth(1).unwrap();
    rest.split('"').next().unwrap()
}
