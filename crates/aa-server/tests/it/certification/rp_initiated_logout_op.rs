//! RP-Initiated Logout OP: `oidcc-rp-initiated-logout-certification-test-plan`.
//!
//! After each sign-out, an authorization request with `prompt=none` must fail. Where the suite lets the server show an error or ask
//! the user, the tests say which of the two ours does.

use reqwest::{Response, StatusCode};
use url::form_urlencoded::Serializer;

use super::{Flow, Mode, Rp, SIGNED_OUT, metadata, query_of};
use crate::support::{TestApp, location};

/// A state of 128 characters, as the suite sends it.
fn state() -> String {
    "Zn3kQ7.-".repeat(16)
}

async fn signed_in() -> (Rp, Flow) {
    let rp = Rp::start(Mode::Query).await;
    let flow = rp.flow(&[]).await;
    (rp, flow)
}

fn path(params: &[(&str, &str)]) -> String {
    format!("/oauth/logout?{}", Serializer::new(String::new()).extend_pairs(params).finish())
}

async fn sign_out(rp: &Rp, params: &[(&str, &str)]) -> Response {
    rp.browser.get(&path(params)).await
}

async fn is_signed_out(rp: &Rp) {
    let answer = rp.ask(&[("prompt", "none")]).await;
    let callback = rp.callback(answer).await;
    rp.check_error(&callback, "login_required");
}

async fn is_signed_in(rp: &Rp) {
    let answer = rp.ask(&[("prompt", "none")]).await;
    let callback = rp.callback(answer).await;
    rp.check_success(&callback);
}

/// A page that asks the user, and no redirect. What it asks is done when they say so; then a page says that it is.
async fn asks_and_signs_out(rp: &Rp, params: &[(&str, &str)]) {
    let asked = sign_out(rp, params).await;
    assert_eq!(asked.status(), StatusCode::OK);
    assert!(asked.text().await.unwrap().contains("Sign out?"));
    is_signed_in(rp).await;
    let done = rp.browser.submit(&path(params), "/oauth/logout", params).await;
    assert_eq!(done.status(), StatusCode::OK);
    assert!(done.text().await.unwrap().contains("You are signed out"));
    is_signed_out(rp).await;
}

/// An error for the user, and no redirect; nothing has ended.
async fn is_refused(rp: &Rp, answer: &Response) {
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.headers().get("location").is_none());
    is_signed_in(rp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_discovery_endpoint_verification() {
    let t = TestApp::with(None, &[("public_url", "https://login.example.com")]).await;
    let document = metadata(&t).await;
    assert_eq!(document["end_session_endpoint"], "https://login.example.com/oauth/logout");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout() {
    let (rp, flow) = signed_in().await;
    let state = state();
    let params = [
        ("id_token_hint", flow.id_token_text()),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", &*state),
    ];
    let to = location(&sign_out(&rp, &params).await);
    let back = query_of(&to, SIGNED_OUT);
    assert_eq!((back.len(), &back["state"]), (1, &state));
    is_signed_out(&rp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_no_state() {
    let (rp, flow) = signed_in().await;
    let params =
        [("id_token_hint", flow.id_token_text()), ("post_logout_redirect_uri", SIGNED_OUT)];
    assert_eq!(location(&sign_out(&rp, &params).await), SIGNED_OUT);
    is_signed_out(&rp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_bad_post_logout_redirect_uri() {
    let (rp, flow) = signed_in().await;
    let bad = format!("{SIGNED_OUT}/GuN5hTzd");
    let params = [
        ("id_token_hint", flow.id_token_text()),
        ("post_logout_redirect_uri", &*bad),
        ("state", "x"),
    ];
    is_refused(&rp, &sign_out(&rp, &params).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri() {
    let (rp, flow) = signed_in().await;
    let bad = format!("{SIGNED_OUT}?foo=bar");
    let params = [
        ("id_token_hint", flow.id_token_text()),
        ("post_logout_redirect_uri", &*bad),
        ("state", "x"),
    ];
    is_refused(&rp, &sign_out(&rp, &params).await).await;
}

/// The hint with `alg` `none` and without a signature: it counts as no hint, so the user is asked and sent nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_modified_id_token_hint() {
    let (rp, flow) = signed_in().await;
    let payload = flow.id_token_text().split('.').nth(1).unwrap();
    // {"alg":"none"}
    let modified = format!("eyJhbGciOiJub25lIn0.{payload}.");
    let params = [
        ("id_token_hint", &*modified),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", "some state"),
    ];
    asks_and_signs_out(&rp, &params).await;
}

/// As the one before, with a hint that is nonsense.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_bad_id_token_hint() {
    let (rp, _) = signed_in().await;
    let params = [
        ("id_token_hint", "9QKdW8VbZm"),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", "some state"),
    ];
    asks_and_signs_out(&rp, &params).await;
}

/// An address and no hint: no client is known that has registered the address, so it is not followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_no_id_token_hint() {
    let (rp, _) = signed_in().await;
    asks_and_signs_out(&rp, &[("post_logout_redirect_uri", SIGNED_OUT), ("state", "x")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_no_params() {
    let (rp, _) = signed_in().await;
    asks_and_signs_out(&rp, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_only_state() {
    let (rp, _) = signed_in().await;
    asks_and_signs_out(&rp, &[("state", "some state")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_rp_initiated_logout_no_post_logout_redirect_uri() {
    let (rp, flow) = signed_in().await;
    let params = [("id_token_hint", flow.id_token_text()), ("state", "some state")];
    let done = sign_out(&rp, &params).await;
    assert_eq!(done.status(), StatusCode::OK);
    assert!(done.text().await.unwrap().contains("You are signed out"));
    is_signed_out(&rp).await;
}
