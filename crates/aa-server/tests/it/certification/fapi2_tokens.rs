//! FAPI 2.0 Security Profile (final): the token endpoint.

use reqwest::StatusCode;
use serde_json::json;

use super::fapi2::{ASSERTION_TYPE, Fapi, Key, is_error, redemption};
use super::{check_token_response, metadata};
use crate::support::VERIFIER;

/// The other client's id, with an assertion in its name that this client's key has signed. The suite accepts `invalid_client`
/// and `invalid_grant`; here the client is authenticated first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_client_id_in_token_endpoint() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let header = json!({ "alg": f.first.key.algorithm, "kid": f.first.id });
    let assertion = f.first.key.sign(&header, &f.assertion_claims(&f.second));
    let mut fields = redemption(&f.first, &code).to_vec();
    fields.push(("client_id", f.second.id));
    fields.push(("client_assertion_type", ASSERTION_TYPE));
    fields.push(("client_assertion", &assertion));
    let answer = f.send("/oauth/token", &fields, &[]).await;
    is_error(&answer, StatusCode::UNAUTHORIZED, "invalid_client");
    f.redeem(&f.first, &code).await.ok();
}

/// A good request without a proof. The suite accepts `invalid_request`, `invalid_grant` and `invalid_dpop_proof`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_holder_of_key_required() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let fields = redemption(&f.first, &code);
    let answer = f.post(&f.first, "/oauth/token", &fields, None, |_| ()).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    f.redeem(&f.first, &code).await.ok();
}

/// The other client, with all that is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_authorization_code_is_bound_to_client() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let answer = f.token(&f.second, &redemption(&f.first, &code)).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_grant");
    f.redeem(&f.first, &code).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_attempt_reuse_authorization_code_after_one_second() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let first = f.redeem(&f.first, &code).await;
    f.check_tokens(&f.first, &first).await;
    f.t.advance(1);
    let answer = f.redeem(&f.first, &code).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_grant");
    // RFC 6749 §4.1.2: what the code has given is revoked (SHOULD; the suite would warn).
    let userinfo = f.userinfo(&f.first.dpop, &first, |_| ()).await;
    assert_eq!(userinfo.status, StatusCode::UNAUTHORIZED);
}

/// 62 seconds later: a code lives for 60 at most (§5.3.2.1), and ours for 30 by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_token_endpoint_fails_with_expired_auth_code() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    f.t.advance(62);
    let answer = f.redeem(&f.first, &code).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_pkce_code_verifier_required() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let answer = f.token(&f.first, &redemption(&f.first, &code)[..3]).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_grant");
    f.redeem(&f.first, &code).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_incorrect_pkce_code_verifier_rejected() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let other: String = VERIFIER.chars().rev().collect();
    let mut fields = redemption(&f.first, &code);
    fields[3] = ("code_verifier", &other);
    let answer = f.token(&f.first, &fields).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_grant");
    f.redeem(&f.first, &code).await.ok();
}

/// A refresh with another key than before, which a client that authenticates may use; the token before it once more, half a
/// minute later (§5.3.2.1: an answer may have been lost); and every way in which a refresh must fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_refresh_token() {
    let f = Fapi::start().await;
    let grants = metadata(&f.t).await["grant_types_supported"].clone();
    assert!(grants.as_array().unwrap().contains(&json!("refresh_token")));
    let more = [("scope", "openid offline_access"), ("prompt", "consent")];
    let mut last = Vec::new();
    for client in [&f.first, &f.second] {
        let (first, id_token) = f.flow(client, &more).await;
        let mut newest = None;
        for wait in [1, 30] {
            f.t.advance(wait);
            let key = Key::new("PS256");
            let fields = [
                ("grant_type", "refresh_token"),
                ("refresh_token", first.refresh_token()),
                ("scope", "openid offline_access"),
            ];
            let answer = f.post(client, "/oauth/token", &fields, Some(&key), |_| ()).await;
            check_token_response(&answer, "DPoP");
            assert_eq!(answer.claims()["cnf"], json!({ "jkt": key.thumbprint() }));
            assert_ne!(answer.access_token(), first.access_token());
            let userinfo = f.userinfo(&key, &answer, |_| ()).await.ok();
            assert_eq!(userinfo.json["sub"], id_token["sub"]);
            newest = Some(answer);
        }
        last.push(newest.unwrap());
    }
    let fields = [("grant_type", "refresh_token"), ("refresh_token", last[0].refresh_token())];
    // Without an assertion.
    let alone = [fields[0], fields[1], ("client_id", f.first.id)];
    let answer = f.send("/oauth/token", &alone, &[]).await;
    is_error(&answer, StatusCode::UNAUTHORIZED, "invalid_client");
    // Without a proof (RFC 9449 §5).
    let answer = f.post(&f.first, "/oauth/token", &fields, None, |_| ()).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    // With the access token of the other client, and the key of this one.
    let stolen = f.userinfo(&f.first.dpop, &last[1], |_| ()).await;
    assert_eq!(stolen.status, StatusCode::UNAUTHORIZED);
    // With the refresh token of the other client.
    let fields = [("grant_type", "refresh_token"), ("refresh_token", last[1].refresh_token())];
    let answer = f.token(&f.first, &fields).await;
    is_error(&answer, StatusCode::BAD_REQUEST, "invalid_grant");
    f.token(&f.second, &fields).await.ok();
}
