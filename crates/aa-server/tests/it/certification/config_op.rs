//! Config OP: `oidcc-config-certification-test-plan`; and the rotation of keys, a module of the plan Dynamic OP.

use std::collections::BTreeSet;

use aa_server::domain::caller::Caller;
use aa_server::ops::{key_phases, keys};
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::{Mode, Rp, list, metadata};
use crate::support::{TestApp, client};

/// The issuer: the suite demands https, which a proxy ends.
const ISSUER: &str = "https://login.example.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_discovery_endpoint_verification() {
    let t = TestApp::with(None, &[("public_url", ISSUER)]).await;
    let document = metadata(&t).await;
    let has = |name: &str, value: &str| list(&document, name).contains(&value.to_owned());
    assert!(has("response_types_supported", "code"));
    assert_eq!(document["issuer"], ISSUER);
    for subject_type in list(&document, "subject_types_supported") {
        assert!(["public", "pairwise"].contains(&&*subject_type), "{subject_type}");
    }
    assert!(has("id_token_signing_alg_values_supported", "RS256"));
    assert!(has("userinfo_signing_alg_values_supported", "RS256"));
    // Optional, and not there: RFC 7591.
    assert_eq!(document.get("registration_endpoint"), None);
    for name in ["request_parameter_supported", "request_uri_parameter_supported"] {
        assert!(document[name].is_boolean(), "{name}: the default of one of the two is true");
    }
    assert_eq!(document["claims_parameter_supported"], true);
    assert!(!list(&document, "claims_supported").is_empty());
    assert!(has("grant_types_supported", "authorization_code"));
    assert!(has("scopes_supported", "openid"));
    for scope in list(&document, "scopes_supported") {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(scope.bytes().all(allowed), "RFC 6749 §3.3: {scope}");
    }
    for locale in list(&document, "ui_locales_supported") {
        // RFC 5646 §2.1.1: the language in small letters, a region in capitals.
        let (language, region) = locale.split_once('-').unwrap_or((&locale, "XX"));
        assert!((2..=3).contains(&language.len()), "{locale}");
        assert!(language.bytes().all(|byte| byte.is_ascii_lowercase()), "{locale}");
        assert!(region.bytes().all(|byte| byte.is_ascii_uppercase()), "{locale}");
    }
    assert!(!list(&document, "code_challenge_methods_supported").is_empty());
    let mut addresses = 0;
    for (name, value) in document.as_object().unwrap() {
        if name.ends_with("_endpoint") || name.ends_with("_uri") {
            let url = Url::parse(value.as_str().unwrap()).unwrap();
            assert_eq!(url.scheme(), "https", "{name}");
            assert_eq!(url.host_str(), Some("login.example.com"), "{name}");
            addresses += 1;
        }
    }
    assert!(addresses >= 5, "authorization, token, userinfo, jwks_uri and more");
    let keys = jwks(&t).await;
    assert!(!keys.is_empty());
    for key in keys {
        assert!(["RSA", "EC", "OKP"].contains(&key["kty"].as_str().unwrap()), "{key}");
        assert!(key["kid"].is_string(), "{key}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(key.get(private), None, "{private}");
        }
    }
}

async fn jwks(t: &TestApp) -> Vec<Value> {
    let answer = client().get(format!("{}/.well-known/jwks.json", t.url)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let document: Value = answer.json().await.unwrap();
    document["keys"].as_array().unwrap().clone()
}

/// The operator rotates the keys; ID tokens are then signed by a key that was not there before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidcc_server_rotate_keys() {
    let rp = Rp::start(Mode::Query).await;
    let ids = |keys: Vec<Value>| -> BTreeSet<String> {
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    rp.flow(&[]).await;
    let before = ids(jwks(&rp.t).await);
    keys::rotate(&rp.t.authority, &Caller::operator()).await.unwrap();
    let announced = ids(jwks(&rp.t).await);
    assert!(announced.len() > before.len() && announced.is_superset(&before));
    rp.t.advance(601);
    key_phases::advance(&rp.t.authority).await.unwrap();
    let (store, now) = (&rp.t.authority.store, rp.t.authority.now());
    rp.t.authority.keyring.reload(store, now).await.unwrap();
    let flow = rp.flow(&[]).await;
    let kid = crate::support::header_of(flow.id_token_text())["kid"].clone();
    let kid = kid.as_str().unwrap();
    assert!(announced.contains(kid) && !before.contains(kid));
}
