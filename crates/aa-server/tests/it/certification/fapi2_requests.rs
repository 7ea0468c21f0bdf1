//! FAPI 2.0 Security Profile (final): metadata, pushed requests, and what the authorization endpoint answers.

use aa_server::store::PUSHED_REQUEST_TTL;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::fapi2::{Fapi, ID_TOKEN_ALGORITHM, is_error};
use super::{USER, checked_id_token, list, metadata, query_of, sign_in_page};
use crate::par::{redeem, request_uri};
use crate::support::{Answer, CALLBACK, TestApp, VERIFIER, location};

/// Discovery: an algorithm of §5.4.1 at least in each list, PKCE, and the methods of the profile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_discovery_end_point_verification() {
    let t = TestApp::with(None, &[("public_url", "https://login.example.com")]).await;
    let document = metadata(&t).await;
    assert_eq!(document["issuer"], "https://login.example.com");
    for name in [
        "dpop_signing_alg_values_supported",
        "id_token_signing_alg_values_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "userinfo_signing_alg_values_supported",
    ] {
        let supported = list(&document, name);
        assert!(
            supported.iter().any(|name| ["PS256", "ES256", "EdDSA"].contains(&&**name)),
            "{name}"
        );
    }
    let has = |name: &str, value: &str| list(&document, name).contains(&value.to_owned());
    assert!(has("token_endpoint_auth_methods_supported", "private_key_jwt"));
    assert!(has("code_challenge_methods_supported", "S256"));
    for name in ["token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint"] {
        assert!(document[name].as_str().unwrap().starts_with("https://"), "{name}");
    }
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
}

/// Both clients; the second with a query in its redirect URI and a state of 128 characters. The token of one is nothing with
/// the key of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_happy_flow() {
    let f = Fapi::start().await;
    f.flow(&f.first, &[]).await;
    let state = "aB3-".repeat(32);
    let callback = f.authorize(&f.second, &[("state", &state)]).await;
    assert_eq!(callback["state"], state);
    let code = f.code_of(&callback);
    let answer = f.redeem(&f.second, &code).await;
    let id_token = f.check_tokens(&f.second, &answer).await;
    assert_eq!(id_token["nonce"], "some nonce");
    f.userinfo(&f.second.dpop, &answer, |_| ()).await.ok();
    let stolen = f.userinfo(&f.first.dpop, &answer, |_| ()).await;
    assert_eq!(stolen.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_authorization_request_without_state_success() {
    let f = Fapi::start().await;
    let callback = f.authorize(&f.first, &[("state", "")]).await;
    assert_eq!(callback.get("state"), None);
    let code = f.code_of(&callback);
    f.redeem(&f.first, &code).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_authorization_request_without_nonce_success() {
    let f = Fapi::start().await;
    let (_, id_token) = f.flow(&f.first, &[("nonce", "")]).await;
    assert_eq!(id_token.get("nonce"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_authorization_request_with_64_char_nonce_success() {
    let f = Fapi::start().await;
    let nonce = "n0_S".repeat(16);
    let (_, id_token) = f.flow(&f.first, &[("nonce", &nonce)]).await;
    assert_eq!(id_token["nonce"], nonce);
}

/// 384 characters. The suite accepts `invalid_request`; ours comes back whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_authorization_request_with_long_nonce() {
    let f = Fapi::start().await;
    let nonce = "n0_S".repeat(96);
    let (_, id_token) = f.flow(&f.first, &[("nonce", &nonce)]).await;
    assert_eq!(id_token["nonce"], nonce);
}

/// 384 characters. The suite accepts `invalid_request`; ours comes back whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_authorization_request_with_long_state() {
    let f = Fapi::start().await;
    let state = "aB3-".repeat(96);
    let callback = f.authorize(&f.first, &[("state", &state)]).await;
    assert_eq!(callback["state"], state);
    let code = f.code_of(&callback);
    f.redeem(&f.first, &code).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_other_scope_order_succeeds() {
    let f = Fapi::start().await;
    f.flow(&f.first, &[("scope", "email openid")]).await;
}

/// All claims that discovery names, in both places. What the user has comes; what is unknown is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_test_claims_parameter_identity_claims() {
    let f = Fapi::start().await;
    let document = metadata(&f.t).await;
    assert_eq!(document["claims_parameter_supported"], true);
    let mut wanted = serde_json::Map::new();
    for (number, name) in list(&document, "claims_supported").into_iter().enumerate() {
        // The forms of OpenID Connect Core §5.5.1.
        let form = if number % 2 == 0 { Value::Null } else { json!({ "essential": false }) };
        if !["sub", "acr", "auth_time"].contains(&&*name) {
            wanted.insert(name, form);
        }
    }
    wanted.insert("rjd7dvplh3".to_owned(), Value::Null);
    let claims = json!({ "id_token": wanted, "userinfo": wanted, "elsewhere": wanted });
    let (answer, id_token) =
        f.flow(&f.first, &[("scope", "openid"), ("claims", &claims.to_string())]).await;
    let userinfo = f.userinfo(&f.first.dpop, &answer, |_| ()).await.ok().json;
    for claims in [&id_token, &userinfo] {
        assert_eq!(claims["email"], USER);
        assert_eq!(claims["preferred_username"], USER);
        assert_eq!(claims["name"], USER, "the address, where there is no name");
        assert_eq!(claims["email_verified"], false);
        assert_eq!(claims.get("rjd7dvplh3"), None);
    }
    assert!(userinfo["updated_at"].is_i64());
}

/// What the browser's address says beside the reference (RFC 9126 §4) does not count.
async fn with_more_outside(f: &Fapi, pushed: &Answer, more: &[(&str, &str)]) -> Response {
    let mut query = Serializer::new(String::new());
    query.append_pair("client_id", f.first.id);
    query.append_pair("request_uri", &request_uri(pushed));
    query.extend_pairs(more);
    f.browser.get(&format!("/oauth/authorize?{}", query.finish())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_different_nonce_inside_and_outside_request_object() {
    let f = Fapi::start().await;
    let pushed = f.push(&f.first, &[]).await;
    let answer = with_more_outside(&f, &pushed, &[("nonce", "another nonce")]).await;
    let code = f.code_of(&f.finish(&f.first, answer).await);
    let tokens = f.redeem(&f.first, &code).await;
    let id_token = checked_id_token(&f.t, &tokens, f.first.id, ID_TOKEN_ALGORITHM).await;
    assert_eq!(id_token["nonce"], "some nonce");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_different_state_inside_and_outside_request_object() {
    let f = Fapi::start().await;
    let pushed = f.push(&f.first, &[]).await;
    let answer = with_more_outside(&f, &pushed, &[("state", "another state")]).await;
    let callback = f.finish(&f.first, answer).await;
    f.code_of(&callback);
    assert_eq!(callback["state"], "some state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_state_only_outside_request_object_not_used() {
    let f = Fapi::start().await;
    let pushed = f.push(&f.first, &[("state", "")]).await;
    let answer = with_more_outside(&f, &pushed, &[("state", "another state")]).await;
    let callback = f.finish(&f.first, answer).await;
    f.code_of(&callback);
    assert_eq!(callback.get("state"), None);
}

async fn push_is_refused(more: &[(&str, &str)], code: &str) {
    let f = Fapi::start().await;
    is_error(&f.push(&f.first, more).await, StatusCode::BAD_REQUEST, code);
    assert_eq!(f.push(&f.first, &[]).await.status, StatusCode::CREATED, "else it is good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_request_object_without_redirect_uri_fails() {
    push_is_refused(&[("redirect_uri", "")], "invalid_request").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_redirect_uri_in_authorization_request() {
    push_is_refused(&[("redirect_uri", "")], "invalid_request").await;
}

/// RFC 9126 §2.4 would let a server accept it; ours does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_plain_fapi_tolerate_unregistered_redirect_uri() {
    let other = format!("{CALLBACK}/kD9zQ2");
    push_is_refused(&[("redirect_uri", &other)], "invalid_request").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_response_type_code_idtoken_fails() {
    push_is_refused(&[("response_type", "code id_token")], "unsupported_response_type").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_response_type_token_fails() {
    push_is_refused(&[("response_type", "token")], "unsupported_response_type").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_ensure_pkce_required() {
    let none = [("code_challenge", ""), ("code_challenge_method", "")];
    push_is_refused(&none, "invalid_request").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_plain_pkce_rejected() {
    let plain = [("code_challenge", VERIFIER), ("code_challenge_method", "plain")];
    push_is_refused(&plain, "invalid_request").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_authorization_request_containing_request_uri_form_param()
{
    let reference = "urn:ietf:params:oauth:request_uri:2Wj5mvKT5T";
    push_is_refused(&[("request_uri", reference)], "invalid_request").await;
}

/// The same parameters at the authorization endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_unsigned_authorization_request_without_using_par_fails()
 {
    let f = Fapi::start().await;
    let params = Fapi::parameters(&f.first, &[]);
    let query = Serializer::new(String::new()).extend_pairs(params).finish();
    let answer = f.browser.get(&format!("/oauth/authorize?{query}")).await;
    let callback = query_of(&location(&answer), CALLBACK);
    assert_eq!((&*callback["error"], &*callback["state"]), ("invalid_request", "some state"));
    assert!(!callback.contains_key("code"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_without_duplicate_parameters() {
    let f = Fapi::start().await;
    let pushed = f.push(&f.first, &[]).await;
    let answer = with_more_outside(&f, &pushed, &[]).await;
    let callback = f.finish(&f.first, answer).await;
    assert_eq!(callback["state"], "some state");
    let code = f.code_of(&callback);
    f.redeem(&f.first, &code).await.ok();
}

/// A reference is used up when the user has signed in, not when the page is loaded (§5.3.2.2, note 3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds()
 {
    let f = Fapi::start().await;
    let uri = request_uri(&f.push(&f.first, &[]).await);
    let first = redeem(&f.browser, f.first.id, &uri).await;
    assert!(sign_in_page(&first).is_some(), "the user takes no action");
    let second = redeem(&f.browser, f.first.id, &uri).await;
    let code = f.code_of(&f.finish(&f.first, second).await);
    f.redeem(&f.first, &code).await.ok();
}

/// After the sign-in. RFC 9126 §7.3 says that a server SHOULD let it be used once; the suite warns where it does not. Ours lets the
/// same browser load it again, which gives another code, and refuses every other browser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_attempt_reuse_request_uri() {
    let f = Fapi::start().await;
    let uri = request_uri(&f.push(&f.first, &[]).await);
    let answer = redeem(&f.browser, f.first.id, &uri).await;
    let first = f.code_of(&f.finish(&f.first, answer).await);
    f.redeem(&f.first, &first).await.ok();
    let again = redeem(&f.browser, f.first.id, &uri).await;
    let second = f.code_of(&f.finish(&f.first, again).await);
    assert_ne!(first, second);
    f.redeem(&f.first, &second).await.ok();
    let other = crate::support::Browser::new(&f.t.url);
    is_page(&redeem(&other, f.first.id, &uri).await);
}

/// An error for the user, and no redirect.
fn is_page(answer: &Response) {
    assert!(answer.status().is_client_error(), "{}", answer.status());
    assert!(answer.headers().get("location").is_none());
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_attempt_to_use_expired_request_uri() {
    let f = Fapi::start().await;
    let uri = request_uri(&f.push(&f.first, &[]).await);
    f.t.advance(PUSHED_REQUEST_TTL.as_secs() + 1);
    is_page(&redeem(&f.browser, f.first.id, &uri).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_attempt_to_use_request_uri_for_different_client() {
    let f = Fapi::start().await;
    let uri = request_uri(&f.push(&f.first, &[]).await);
    is_page(&redeem(&f.browser, f.second.id, &uri).await);
    let answer = redeem(&f.browser, f.first.id, &uri).await;
    f.code_of(&f.finish(&f.first, answer).await);
}

/// `PUT` (RFC 9126 §2.3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_attempt_invalid_http_method() {
    let f = Fapi::start().await;
    let assertion = f.assertion(&f.first);
    let mut params = Fapi::parameters(&f.first, &[]);
    let type_ = super::fapi2::ASSERTION_TYPE.to_owned();
    params.push(("client_assertion_type".to_owned(), type_));
    params.push(("client_assertion".to_owned(), assertion));
    let url = format!("{}/oauth/par", f.t.url);
    let put = crate::support::client().put(&url).form(&params).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    // The same by POST is good: nothing was used up.
    let post = crate::support::client().post(&url).form(&params).send().await.unwrap();
    assert_eq!(post.status(), StatusCode::CREATED);
}
