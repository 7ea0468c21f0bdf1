//! Third Party-Initiated Login OP: `oidcc-3rdparty-init-login-certification-test-plan`.
//!
//! The plan is about registration alone (OpenID Connect Dynamic Client Registration 1.0 §2). The suite brings the initial access
//! token of its configuration. That the launcher starts apps at this address is tested in `authorize`.

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::ops::registration_tokens::{self, TokenRequest};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, client, read};

/// The initial access token of the suite's configuration.
async fn token(t: &TestApp) -> String {
    let request = TokenRequest {
        name: "suite".to_owned(),
        scopes: Vec::new(),
        validity: Duration::from_hours(1),
        uses: None,
        max_clients: 100,
    };
    let made = registration_tokens::add(&t.authority, &request, &Caller::operator()).await;
    made.unwrap().0.expose_secret().to_owned()
}

/// Registers an app that is started at this address.
async fn register(t: &TestApp, token: &str, initiate_login_uri: &str) -> Answer {
    let metadata = json!({
        "client_name": "suite",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": ["https://suite.example/test/a/aa/callback"],
        "contacts": ["certification@oidf.org"],
        "initiate_login_uri": initiate_login_uri,
    });
    let request = client().post(format!("{}/oauth/register", t.url)).bearer_auth(token);
    read(request.json(&metadata).send().await.unwrap()).await
}

async fn start() -> TestApp {
    TestApp::with(None, &[("client_registration", "initial_access_token")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_3rd_party_init_login() {
    let t = start().await;
    let uri = "https://suite.example/test/a/aa/initiate_login_uri";
    let registered = register(&t, &token(&t).await, uri).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.json);
    assert_eq!(registered.json["initiate_login_uri"], uri);
    // From the client configuration endpoint (RFC 7592 §2.1).
    let text = |name: &str| registered.json[name].as_str().unwrap().to_owned();
    let request = client().get(text("registration_client_uri"));
    let answer = request.bearer_auth(text("registration_access_token")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["initiate_login_uri"], uri);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_3rd_party_init_login_nohttps() {
    let t = start().await;
    let token = token(&t).await;
    let plain = "http://suite.example/test/a/aa/initiate_login_uri";
    let refused = register(&t, &token, plain).await;
    refused.refused("invalid_client_metadata");
    assert_eq!(refused.headers["content-type"], "application/json");
    // A developer's own machine is excepted.
    let local = register(&t, &token, "http://localhost:8082/auth/login").await;
    assert_eq!(local.status, StatusCode::CREATED, "{}", local.json);
}
