//! Back-Channel Logout OP: `oidcc-backchannel-rp-initiated-logout-certification-test-plan`.

use serde_json::json;
use url::form_urlencoded::Serializer;

use super::{Mode, Rp, SIGNED_OUT, metadata, query_of};
use crate::backchannel::Receiver;
use crate::support::{TestApp, location};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_backchannel_logout_discovery_endpoint_verification() {
    let t = TestApp::with(None, &[("public_url", "https://login.example.com")]).await;
    let document = metadata(&t).await;
    assert_eq!(document["end_session_endpoint"], "https://login.example.com/oauth/logout");
    assert_eq!(document["backchannel_logout_supported"], true);
    assert_eq!(document["backchannel_logout_session_supported"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_backchannel_rp_initiated_logout() {
    let receiver = Receiver::start("200 OK").await;
    let uri = receiver.url.clone();
    let local = [("delivery_networks", "127.0.0.1")];
    let rp = Rp::with(Mode::Query, &local, |app| app.backchannel_logout_uri = Some(uri)).await;
    let flow = rp.flow(&[]).await;
    let params = [
        ("id_token_hint", flow.id_token_text()),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", "some state"),
    ];
    let query = Serializer::new(String::new()).extend_pairs(params).finish();
    let to = location(&rp.browser.get(&format!("/oauth/logout?{query}")).await);
    let back = query_of(&to, SIGNED_OUT);
    assert_eq!((back.len(), back["state"].as_str()), (1, "some state"));

    // Signed as the ID tokens are; `logout_token` is the one parameter (Back-Channel Logout 1.0 §2.4, §2.5).
    let token = receiver.next(&rp.t, 0).await;
    let now = rp.t.authority.now().secs();
    assert_eq!(token["iss"], rp.t.url);
    assert_eq!(token["aud"], rp.app.id.as_str());
    assert!((token["iat"].as_i64().unwrap() - now).abs() <= 300);
    assert!(token["exp"].as_i64().unwrap() > now);
    assert!(token["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
    let event = "http://schemas.openid.net/event/backchannel-logout";
    assert_eq!(token["events"], json!({ event: {} }));
    assert_eq!(token["sub"], flow.id_token["sub"]);
    assert!(token["sid"].is_string());
    assert_eq!(token["sid"], flow.id_token["sid"]);
    assert_eq!(token.get("nonce"), None);

    let answer = rp.ask(&[("prompt", "none")]).await;
    let callback = rp.callback(answer).await;
    rp.check_error(&callback, "login_required");
}
