//! FAPI 2.0 Security Profile (final): proofs of possession (RFC 9449).

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::altered;
use super::fapi2::{Fapi, Key, Proof, is_error, redemption};
use crate::par::{redeem, request_uri};
use crate::support::Answer;

/// The scheme `DPoP` in inverted case (RFC 9110 §11.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_access_token_type_header_case_sensitivity() {
    let f = Fapi::start().await;
    let (tokens, id_token) = f.flow(&f.first, &[]).await;
    let proof = f.userinfo_proof(&f.first.dpop, tokens.access_token());
    let proof = f.first.dpop.sign(&proof.header, &proof.claims);
    let answer = f.ask_userinfo("dpOp", &tokens, &[&proof]).await.ok();
    assert_eq!(answer.json["sub"], id_token["sub"]);
}

/// A flow whose proofs are as `change` makes them.
async fn flow_succeeds_with(change: impl Fn(&mut Proof, i64)) {
    let f = Fapi::start().await;
    let now = f.t.authority.now().secs();
    let code = f.code(&f.first, &[]).await;
    // The browser's part has taken a second.
    let now = now.max(f.t.authority.now().secs());
    let fields = redemption(&f.first, &code);
    let key = Some(&f.first.dpop);
    let answer = f.post(&f.first, "/oauth/token", &fields, key, |proof| change(proof, now)).await;
    f.check_tokens(&f.first, &answer).await;
    f.userinfo(&f.first.dpop, &answer, |proof| change(proof, now)).await.ok();
}

/// `nbf` and `exp`, which no specification asks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_check_dpop_proof_nbf_exp() {
    flow_succeeds_with(|proof, now| {
        proof.claims["nbf"] = json!(now);
        proof.claims["exp"] = json!(now + 300);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_before_succeeds() {
    flow_succeeds_with(|proof, now| proof.claims["iat"] = json!(now - 10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_dpopproof_with_iat_10seconds_after_succeeds() {
    flow_succeeds_with(|proof, now| proof.claims["iat"] = json!(now + 10)).await;
}

/// A proof at the endpoint of pushed requests, and `dpop_jkt` of another key (RFC 9449 §10.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_mismatched_dpop_jkt_fails() {
    let f = Fapi::start().await;
    let other = Key::new("PS256").thumbprint();
    let key = Some(&f.first.dpop);
    let answer = f.push_with(&f.first, &[("dpop_jkt", &other)], key).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    let own = f.first.dpop.thumbprint();
    let answer = f.push_with(&f.first, &[("dpop_jkt", &own)], key).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

/// The code of a request that was pushed with a proof of this key, or none.
async fn code_of(f: &Fapi, more: &[(&str, &str)], key: Option<&Key>) -> String {
    let uri = request_uri(&f.push_with(&f.first, more, key).await);
    let answer = redeem(&f.browser, f.first.id, &uri).await;
    f.code_of(&f.finish(&f.first, answer).await)
}

/// The suite accepts `invalid_request`, `invalid_grant` and `invalid_dpop_proof`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_jkt() {
    let f = Fapi::start().await;
    let other = Key::new("PS256");
    let code = code_of(&f, &[("dpop_jkt", &other.thumbprint())], None).await;
    let answer = f.redeem(&f.first, &code).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    let fields = redemption(&f.first, &code);
    f.post(&f.first, "/oauth/token", &fields, Some(&other), |_| ()).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt() {
    let f = Fapi::start().await;
    let other = Key::new("PS256");
    let code = code_of(&f, &[], Some(&other)).await;
    let answer = f.redeem(&f.first, &code).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    let fields = redemption(&f.first, &code);
    f.post(&f.first, "/oauth/token", &fields, Some(&other), |_| ()).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_dpopproof_at_par_endpoint_binding_success() {
    let f = Fapi::start().await;
    let code = code_of(&f, &[], Some(&f.first.dpop)).await;
    let answer = f.redeem(&f.first, &code).await;
    f.check_tokens(&f.first, &answer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_dpop_auth_code_binding_success() {
    let f = Fapi::start().await;
    let code = code_of(&f, &[("dpop_jkt", &f.first.dpop.thumbprint())], None).await;
    let answer = f.redeem(&f.first, &code).await;
    f.check_tokens(&f.first, &answer).await;
}

#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.json);
    assert!(answer.headers.contains_key("www-authenticate"), "{what}");
}

/// Every part of a proof at a resource, which is the `UserInfo` endpoint here (RFC 9449 §4.3, §7). RS256 is refused because the
/// profile forbids it (§5.4.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_dpop_negative_tests() {
    let f = Fapi::start().await;
    let (tokens, _) = f.flow(&f.first, &[]).await;
    let key = &f.first.dpop;
    let with = async |change: &dyn Fn(&mut Proof)| f.userinfo(key, &tokens, change).await;
    let good = || {
        let proof = f.userinfo_proof(key, tokens.access_token());
        key.sign(&proof.header, &proof.claims)
    };
    let several = f.ask_userinfo("DPoP", &tokens, &[&good(), &good()]).await;
    is_refused(&several, "two proofs");
    let malformed = good().replacen('.', "", 1);
    is_refused(&f.ask_userinfo("DPoP", &tokens, &[&malformed]).await, "no JWT");

    let remove = |part: &mut Value, name: &str| drop(part.as_object_mut().unwrap().remove(name));
    for name in ["typ", "alg", "jwk"] {
        is_refused(&with(&|proof| remove(&mut proof.header, name)).await, name);
    }
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        is_refused(&with(&|proof| remove(&mut proof.claims, name)).await, name);
    }
    let now = f.t.authority.now().secs();
    let other_url = "https://other1.example.com/oauth/userinfo";
    for (name, value) in [
        ("htm", json!("PUT")),
        ("htu", json!(other_url)),
        ("iat", json!(now + 3600)),
        ("iat", json!(now - 3600)),
        ("ath", json!("cS4AtcU5AcSfF3AwW2F5xmUzEDtVMyFyrV4iKMTqMDc")),
    ] {
        is_refused(&with(&|proof| proof.claims[name] = value.clone()).await, name);
    }
    is_refused(&with(&|proof| proof.header["typ"] = json!("jwt")).await, "another typ");
    is_refused(&with(&|proof| proof.header["alg"] = json!("RS256")).await, "RS256");
    is_refused(&with(&|proof| proof.header["alg"] = json!("none")).await, "none");
    is_refused(&with(&|proof| proof.header["jwk"]["d"] = json!("AQAB")).await, "a private key");
    let altered = altered(&good());
    is_refused(&f.ask_userinfo("DPoP", &tokens, &[&altered]).await, "another signature");
    let other = f.userinfo(&f.second.dpop, &tokens, |_| ()).await;
    is_refused(&other, "the key of the other client");

    // Each of these is good: query and fragment do not count, and neither do unknown members (§4.3), nor the case of scheme
    // and host (RFC 3986 §6.2.2, which the suite would warn about).
    let url = f.t.authority.config.public_url.join("/oauth/userinfo");
    let (scheme_and_host, path) = url.split_at(url.find("/oauth").unwrap());
    for htu in [
        format!("{url}?query=1#fragment"),
        url.clone(),
        format!("{}{path}", scheme_and_host.to_uppercase()),
    ] {
        with(&|proof| proof.claims["htu"] = json!(htu)).await.ok();
    }
    with(&|proof| {
        proof.header["extra"] = json!("header");
        proof.claims["extra"] = json!("claim");
    })
    .await
    .ok();

    // A proof is good once (RFC 9449 §11.1; the suite would warn).
    let once = good();
    f.ask_userinfo("DPoP", &tokens, &[&once]).await.ok();
    is_refused(&f.ask_userinfo("DPoP", &tokens, &[&once]).await, "the second time");

    is_refused(&f.ask_userinfo("DPoP", &tokens, &[]).await, "no proof");
    is_refused(&f.ask_userinfo("Bearer", &tokens, &[]).await, "as a bearer token");
    f.ask_userinfo("DPoP", &tokens, &[&good()]).await.ok();
}

/// At the token endpoint and that of pushed requests, RS256 is refused in the same way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_by_rs256_are_refused_at_every_endpoint() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let rs256 = |proof: &mut Proof| proof.header["alg"] = json!("RS256");
    let fields = redemption(&f.first, &code);
    let key = Some(&f.first.dpop);
    let answer = f.post(&f.first, "/oauth/token", &fields, key, rs256).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    let params = Fapi::parameters(&f.first, &[]);
    let params: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
    let answer = f.post(&f.first, "/oauth/par", &params, key, rs256).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    f.redeem(&f.first, &code).await.ok();
}
