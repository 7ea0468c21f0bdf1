//! Modules about ID tokens, the `UserInfo` endpoint, and the claims that scopes bring.

use aa_server::domain::caller::Caller;
use aa_server::ops::account::picture;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tokens::jws::Compact;
use tokens::{Algorithm, KeySet};

use super::{Flow, Mode, Rp, USER, altered, list, metadata};
use crate::support::{client, header_of, read};

/// The signature of an ID token, by the key that its `kid` names.
pub async fn oidcc_idtoken_signature(mode: Mode) {
    let rp = Rp::start(mode).await;
    let flow = rp.flow(&[]).await;
    let header = header_of(flow.id_token_text());
    let supported = list(&metadata(&rp.t).await, "id_token_signing_alg_values_supported");
    assert!(supported.iter().any(|name| header["alg"] == name.as_str()), "{header}");
    let kid = header["kid"].as_str().unwrap();
    let keys = client().get(format!("{}/.well-known/jwks.json", rp.t.url)).send().await.unwrap();
    let keys = KeySet::from_jwks(&keys.bytes().await.unwrap()).unwrap();
    assert!(keys.key_ids().contains(&kid));
    let check = |text: &str| keys.check(&Compact::parse(text).unwrap(), &[Algorithm::RS256]);
    check(flow.id_token_text()).unwrap();
    check(&altered(flow.id_token_text())).unwrap_err();
}

/// ID tokens without a signature. The suite skips the module where `none` is not supported, which is our answer.
pub async fn oidcc_idtoken_unsigned(mode: Mode) {
    let rp = Rp::start(mode).await;
    let supported = list(&metadata(&rp.t).await, "id_token_signing_alg_values_supported");
    assert!(!supported.contains(&"none".to_owned()), "{supported:?}");
    assert!("none".parse::<Algorithm>().is_err(), "it cannot be registered");
    let flow = rp.flow(&[]).await;
    assert_ne!(header_of(flow.id_token_text())["alg"], "none");
}

async fn userinfo_by(mode: Mode, present: impl FnOnce(&str, &Flow) -> RequestBuilder) {
    let rp = Rp::start(mode).await;
    let flow = rp.flow(&[]).await;
    let request = present(&format!("{}/oauth/userinfo", rp.t.url), &flow);
    let answer = read(request.send().await.unwrap()).await.ok();
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json["sub"], flow.id_token["sub"]);
}

/// OpenID Connect Core §5.3.1: `GET`, the token in the header.
pub async fn oidcc_userinfo_get(mode: Mode) {
    let get = |url: &str, flow: &Flow| client().get(url).bearer_auth(flow.tokens.access_token());
    userinfo_by(mode, get).await;
}

/// `POST`, the token in the header.
pub async fn oidcc_userinfo_post_header(mode: Mode) {
    let post = |url: &str, flow: &Flow| client().post(url).bearer_auth(flow.tokens.access_token());
    userinfo_by(mode, post).await;
}

/// `POST`, the token in the body (RFC 6750 §2.2).
pub async fn oidcc_userinfo_post_body(mode: Mode) {
    let post = |url: &str, flow: &Flow| {
        client().post(url).form(&[("access_token", flow.tokens.access_token())])
    };
    userinfo_by(mode, post).await;
}

/// Standard claims have the types of OpenID Connect Core §5.1.
fn check_types(userinfo: &Value) {
    for (name, value) in userinfo.as_object().unwrap() {
        let fits = match name.as_str() {
            "email_verified" | "phone_number_verified" => value.is_boolean(),
            "updated_at" => value.is_i64(),
            "address" => value.is_object(),
            _ => value.as_str().is_some_and(|text| !text.is_empty()),
        };
        assert!(fits, "{name}: {value}");
    }
}

/// A picture of one pixel.
fn png() -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(1, 1).write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

/// The claims of `profile` (§5.4). Ours has eight of fourteen, which the suite answers with a warning: users here have no
/// middle names, nicknames, profiles, web pages, sexes and birthdays.
pub async fn oidcc_scope_profile(mode: Mode) {
    let rp = Rp::start(mode).await;
    let user = rp.t.authority.store.user_by_email(USER).await.unwrap().unwrap();
    picture::set(&rp.t.authority, &user, Some(png()), &Caller::operator()).await.unwrap();
    let flow = rp.flow(&[("scope", "openid profile")]).await;
    check_types(&flow.userinfo);
    let mut names: Vec<&str> =
        flow.userinfo.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "family_name",
        "given_name",
        "locale",
        "name",
        "picture",
        "preferred_username",
        "sub",
        "updated_at",
        "zoneinfo",
    ];
    assert_eq!(names, expected);
}

/// The claims of `email`.
pub async fn oidcc_scope_email(mode: Mode) {
    let rp = Rp::start(mode).await;
    let flow = rp.flow(&[("scope", "openid email")]).await;
    check_types(&flow.userinfo);
    assert_eq!(flow.userinfo["email"], USER);
    assert_eq!(flow.userinfo["email_verified"], false);
}

/// The suite skips a module whose scope `scopes_supported` does not have. Then a request for it must succeed all the same, without the
/// claims (§5.4, RFC 6749 §3.3).
async fn a_scope_that_there_is_not(mode: Mode, scope: &str, claim: &str) {
    let rp = Rp::start(mode).await;
    let supported = list(&metadata(&rp.t).await, "scopes_supported");
    assert!(!supported.contains(&scope.to_owned()), "{supported:?}");
    let flow = rp.flow(&[("scope", &format!("openid {scope}"))]).await;
    assert_eq!(flow.tokens.json["scope"], "openid");
    assert_eq!(flow.userinfo.get(claim), None);
}

/// Users here have no postal addresses: the suite skips the module.
pub async fn oidcc_scope_address(mode: Mode) {
    a_scope_that_there_is_not(mode, "address", "address").await;
}

/// Users here have no telephones: the suite skips the module.
pub async fn oidcc_scope_phone(mode: Mode) {
    a_scope_that_there_is_not(mode, "phone", "phone_number").await;
}

/// All of the standard scopes at once: the suite skips the module as those of `address` and `phone`.
pub async fn oidcc_scope_all(mode: Mode) {
    let rp = Rp::start(mode).await;
    let supported = list(&metadata(&rp.t).await, "scopes_supported");
    assert!(!supported.contains(&"address".to_owned()));
    let flow = rp.flow(&[("scope", "openid profile email address phone")]).await;
    check_types(&flow.userinfo);
    assert_eq!(flow.userinfo["name"], "Ann Lee");
    assert_eq!(flow.userinfo["email"], USER);
}

/// The order of scopes means nothing (RFC 6749 §3.3).
pub async fn oidcc_ensure_other_scope_order_succeeds(mode: Mode) {
    let rp = Rp::start(mode).await;
    let flow = rp.flow(&[("scope", "email openid")]).await;
    assert_eq!(flow.userinfo["email"], USER);
}

/// Neither does the order of parameters.
pub async fn oidcc_alternate_happy_flow(mode: Mode) {
    let rp = Rp::start(mode).await;
    let query = rp.query(&[("scope", "email openid")]);
    let reversed: Vec<&str> = query.split('&').rev().collect();
    let answer = rp.browser.get(&format!("/oauth/authorize?{}", reversed.join("&"))).await;
    let callback = rp.finish(answer).await;
    let flow = rp.flow_of(&callback).await;
    assert_eq!(flow.userinfo["email"], USER);
}

/// A claim by its name, essential, at the `UserInfo` endpoint (§5.5.1).
pub async fn oidcc_claims_essential(mode: Mode) {
    let rp = Rp::start(mode).await;
    let claims = r#"{"userinfo":{"name":{"essential":true}}}"#;
    let flow = rp.flow(&[("claims", claims)]).await;
    check_types(&flow.userinfo);
    assert_eq!(flow.userinfo["name"], "Ann Lee");
    assert_eq!(flow.id_token.get("name"), None);
    assert_eq!(rp.userinfo(&flow.tokens).await.status, StatusCode::OK);
}
