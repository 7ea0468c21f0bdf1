//! Modules about the parameters of an authorization request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Response, StatusCode};
use serde_json::json;

use super::{Mode, Rp, USER, list, metadata, sign_in, sign_in_page};
use crate::support::CALLBACK;

/// Without `response_type` (RFC 6749 §3.1.1). Of an error page and an error for the app, which the suite accepts both, ours is
/// the second.
pub async fn oidcc_response_type_missing(mode: Mode) {
    let rp = Rp::start(mode).await;
    let callback = rp.authorize(&[("response_type", "")]).await;
    rp.check_error(&callback, "invalid_request");
}

async fn succeeds_with(mode: Mode, more: &[(&str, &str)]) {
    let rp = Rp::start(mode).await;
    rp.flow(more).await;
}

/// `display=page` (OpenID Connect Core §3.1.2.1).
pub async fn oidcc_display_page(mode: Mode) {
    succeeds_with(mode, &[("display", "page")]).await;
}

/// `display=popup`.
pub async fn oidcc_display_popup(mode: Mode) {
    succeeds_with(mode, &[("display", "popup")]).await;
}

/// A parameter that means nothing (RFC 6749 §3.1).
pub async fn oidcc_ensure_request_with_unknown_parameter_succeeds(mode: Mode) {
    succeeds_with(mode, &[("extra", "foobar")]).await;
}

/// A language that the pages do not have.
pub async fn oidcc_ui_locales(mode: Mode) {
    succeeds_with(mode, &[("ui_locales", "se")]).await;
}

/// A language of claims.
pub async fn oidcc_claims_locales(mode: Mode) {
    succeeds_with(mode, &[("claims_locales", "se")]).await;
}

/// The address of the user who will sign in; the page's field is filled with it.
pub async fn oidcc_login_hint(mode: Mode) {
    let rp = Rp::start(mode).await;
    let answer = rp.ask(&[("login_hint", USER)]).await;
    let page = rp.browser.get(&sign_in_page(&answer).unwrap()).await.text().await.unwrap();
    assert!(page.contains(&format!("value=\"{USER}\"")), "{page}");
    let callback = rp.finish(answer).await;
    rp.flow_of(&callback).await;
}

/// All levels that discovery names. That the ID token has one of them is more than the specification asks for.
pub async fn oidcc_ensure_request_with_acr_values_succeeds(mode: Mode) {
    let rp = Rp::start(mode).await;
    let levels = list(&metadata(&rp.t).await, "acr_values_supported");
    let flow = rp.flow(&[("acr_values", &levels.join(" "))]).await;
    assert!(levels.iter().any(|level| flow.id_token["acr"] == level.as_str()));
}

/// The page on which the user signs in again, and the time of both sign-ins.
async fn signs_in_twice(rp: &Rp, wait: u64, more: &[(&str, &str)]) -> (i64, i64) {
    let first = rp.flow(&[]).await;
    rp.t.advance(wait);
    let asked = rp.ask(more).await;
    let page = sign_in_page(&asked).expect("the user is asked again");
    let shown = rp.browser.get(&page).await;
    assert_eq!(shown.status(), StatusCode::OK);
    assert!(shown.text().await.unwrap().contains("type=\"password\""));
    let second = rp.finish(asked).await;
    let second = rp.flow_of(&second).await;
    assert_eq!(first.id_token["sub"], second.id_token["sub"]);
    let time = |claims: &serde_json::Value| claims["auth_time"].as_i64().unwrap();
    (time(&first.id_token), time(&second.id_token))
}

/// `prompt=login` shows the sign-in page to a user who is signed in.
pub async fn oidcc_prompt_login(mode: Mode) {
    let rp = Rp::start(mode).await;
    let (first, second) = signs_in_twice(&rp, 1, &[("prompt", "login")]).await;
    assert!(second > first);
}

/// `max_age=1`, two seconds after the sign-in. `auth_time` is there, later than that of the first, and recent.
pub async fn oidcc_max_age_1(mode: Mode) {
    let rp = Rp::start(mode).await;
    let (first, second) = signs_in_twice(&rp, 2, &[("max_age", "1")]).await;
    assert!(second > first && rp.t.authority.now().secs() - second < 60);
}

/// `max_age=10000`: no second sign-in, and the `auth_time` of the first.
pub async fn oidcc_max_age_10000(mode: Mode) {
    let rp = Rp::start(mode).await;
    let first = rp.flow(&[]).await;
    rp.t.advance(1);
    let answer = rp.ask(&[("max_age", "10000")]).await;
    assert_eq!(sign_in_page(&answer), None);
    let callback = rp.callback(answer).await;
    let second = rp.flow_of(&callback).await;
    assert!(second.id_token["auth_time"].is_i64());
    for claim in ["sub", "auth_time"] {
        assert_eq!(first.id_token[claim], second.id_token[claim]);
    }
}

/// `prompt=none` while no user is signed in (§3.1.2.6).
pub async fn oidcc_prompt_none_not_logged_in(mode: Mode) {
    let rp = Rp::start(mode).await;
    let answer = rp.ask(&[("prompt", "none")]).await;
    assert_eq!(sign_in_page(&answer), None);
    let callback = rp.callback(answer).await;
    rp.check_error(&callback, "login_required");
}

/// `prompt=none` in the session of the first flow.
pub async fn oidcc_prompt_none_logged_in(mode: Mode) {
    let rp = Rp::start(mode).await;
    let first = rp.flow(&[]).await;
    rp.t.advance(1);
    let answer = rp.ask(&[("prompt", "none")]).await;
    let callback = rp.callback(answer).await;
    let second = rp.flow_of(&callback).await;
    for claim in ["sub", "auth_time"] {
        assert_eq!(first.id_token[claim], second.id_token[claim]);
    }
}

/// `prompt=none` with the ID token of the first flow.
pub async fn oidcc_id_token_hint(mode: Mode) {
    let rp = Rp::start(mode).await;
    let first = rp.flow(&[]).await;
    let hint = first.id_token_text();
    let answer = rp.ask(&[("prompt", "none"), ("id_token_hint", hint)]).await;
    let callback = rp.callback(answer).await;
    let second = rp.flow_of(&callback).await;
    assert_eq!(first.id_token["sub"], second.id_token["sub"]);
}

/// A page for the user, and no redirect.
fn is_error_page(answer: &Response) {
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.headers().get("location").is_none());
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
}

/// A redirect URI that is not registered (§3.1.2.1).
pub async fn oidcc_ensure_registered_redirect_uri(mode: Mode) {
    let rp = Rp::start(mode).await;
    is_error_page(&rp.ask(&[("redirect_uri", &format!("{CALLBACK}/bO6QvaaCiZ"))]).await);
}

/// A request object without a signature (§6.1), with the state in it alone.
fn unsigned_object(rp: &Rp) -> String {
    let claims = json!({
        "client_id": rp.app.id,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "scope": "openid",
        "state": "some state",
        "nonce": "some nonce",
    });
    let parts = [json!({ "alg": "none" }), claims];
    let [header, claims] = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.")
}

/// Of a request object that is processed and `request_not_supported`, which the suite accepts both, ours is the second.
pub async fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(
    mode: Mode,
) {
    let rp = Rp::start(mode).await;
    assert_eq!(metadata(&rp.t).await["request_parameter_supported"], false);
    let object = unsigned_object(&rp);
    let answer = rp.ask(&[("request", &*object), ("state", ""), ("nonce", "")]).await;
    let callback = rp.callback(answer).await;
    assert_eq!(callback["error"], "request_not_supported");
    assert!(!callback.contains_key("code"));
}

/// As the one before, by reference: `request_uri_not_supported`.
pub async fn oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(mode: Mode) {
    let rp = Rp::start(mode).await;
    assert_eq!(metadata(&rp.t).await["request_uri_parameter_supported"], false);
    let reference = "https://rp.example/request-object";
    let answer = rp.ask(&[("request_uri", reference), ("state", ""), ("nonce", "")]).await;
    let callback = rp.callback(answer).await;
    assert_eq!(callback["error"], "request_uri_not_supported");
    assert!(!callback.contains_key("code"));
}

/// A good redirect URI in the request object and another one outside. The suite skips the module where request objects are not
/// supported; what matters then is that the outer one is not believed.
pub async fn oidcc_ensure_request_object_with_redirect_uri(mode: Mode) {
    let rp = Rp::start(mode).await;
    assert_eq!(metadata(&rp.t).await["request_parameter_supported"], false);
    let object = unsigned_object(&rp);
    let other = format!("{CALLBACK}/invalid");
    is_error_page(&rp.ask(&[("request", &*object), ("redirect_uri", &*other)]).await);
    // Signed in already, it is the same.
    let asked = rp.ask(&[]).await;
    sign_in(&rp.t, &rp.browser, &sign_in_page(&asked).unwrap()).await;
    is_error_page(&rp.ask(&[("request", &*object), ("redirect_uri", &*other)]).await);
}
