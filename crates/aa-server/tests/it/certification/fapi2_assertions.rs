//! FAPI 2.0 Security Profile (final): the assertions that clients authenticate by (§5.3.2.1, §5.4.1, RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::altered;
use super::fapi2::{ASSERTION_TYPE, Fapi, is_error, redemption};
use crate::support::Answer;

/// An assertion before it is signed.
struct Assertion {
    header: Value,
    claims: Value,
}

impl Fapi {
    /// An assertion of the first client, as `change` makes it.
    fn changed(&self, change: impl FnOnce(&mut Assertion)) -> String {
        let header = json!({ "alg": self.first.key.algorithm, "kid": self.first.id });
        let mut assertion = Assertion { header, claims: self.assertion_claims(&self.first) };
        change(&mut assertion);
        self.first.key.sign(&assertion.header, &assertion.claims)
    }

    /// Pushes a good request of the first client with these fields to authenticate by.
    async fn push_by(&self, credentials: &[(&str, &str)]) -> Answer {
        let params = Self::parameters(&self.first, &[]);
        let fields = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut fields: Vec<_> = fields.filter(|(name, _)| *name != "client_id").collect();
        fields.extend_from_slice(credentials);
        self.send("/oauth/par", &fields, &[]).await
    }

    async fn push_by_assertion(&self, assertion: &str) -> Answer {
        let type_ = ("client_assertion_type", ASSERTION_TYPE);
        self.push_by(&[type_, ("client_assertion", assertion)]).await
    }
}

fn without(name: &'static str) -> impl FnOnce(&mut Assertion) {
    move |assertion| drop(assertion.claims.as_object_mut().unwrap().remove(name))
}

/// Redeems a code with an assertion that is wrong in one way: `invalid_client`. Then with a good one.
async fn redemption_is_refused(change: impl FnOnce(&mut Assertion, &Fapi)) {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let assertion = f.changed(|assertion| change(assertion, &f));
    let mut fields = redemption(&f.first, &code).to_vec();
    fields.push(("client_assertion_type", ASSERTION_TYPE));
    fields.push(("client_assertion", &assertion));
    let answer = f.send("/oauth/token", &fields, &[]).await;
    is_error(&answer, StatusCode::UNAUTHORIZED, "invalid_client");
    f.redeem(&f.first, &code).await.ok();
}

/// By an RSA key that says nothing of its algorithm, so it is the profile that forbids RS256.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_signed_client_assertion_with_rs256_fails() {
    redemption_is_refused(|assertion, _| assertion.header["alg"] = json!("RS256")).await;
}

/// The client identifier alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_client_assertion_in_token_endpoint() {
    let f = Fapi::start().await;
    let code = f.code(&f.first, &[]).await;
    let mut fields = redemption(&f.first, &code).to_vec();
    fields.push(("client_id", f.first.id));
    let answer = f.send("/oauth/token", &fields, &[]).await;
    is_error(&answer, StatusCode::UNAUTHORIZED, "invalid_client");
    f.redeem(&f.first, &code).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails()
{
    redemption_is_refused(|assertion, f| {
        let exp = f.t.authority.now().secs() - 300;
        assertion.claims["exp"] = json!(exp);
        assertion.claims["iat"] = json!(exp - 60);
        assertion.claims["nbf"] = json!(exp - 60);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_client_assertion_with_wrong_aud_fails() {
    redemption_is_refused(|it, _| it.claims["aud"] = json!("https://other1.example.com/")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_client_assertion_with_no_sub_fails() {
    redemption_is_refused(|assertion, _| without("sub")(assertion)).await;
}

async fn push_is_refused_for(aud: impl FnOnce(&Fapi) -> Value) {
    let f = Fapi::start().await;
    let aud = aud(&f);
    let refused = f.push_by_assertion(&f.changed(|it| it.claims["aud"] = aud)).await;
    is_error(&refused, StatusCode::UNAUTHORIZED, "invalid_client");
    assert_eq!(f.push_by_assertion(&f.changed(|_| ())).await.status, StatusCode::CREATED);
}

/// §5.3.2.1: the issuer as text is the one audience.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_test_token_endpoint_url_as_audience_fails() {
    push_is_refused_for(|f| json!(f.t.authority.config.public_url.join("/oauth/token"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_test_par_endpoint_url_as_audience_fails() {
    push_is_refused_for(|f| json!(f.t.authority.config.public_url.join("/oauth/par"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_par_test_array_as_audience_fails() {
    let other = "https://other1.example.com/";
    push_is_refused_for(|f| json!([f.t.authority.config.public_url.as_str(), other])).await;
    // The issuer alone, in an array.
    push_is_refused_for(|f| json!([f.t.authority.config.public_url.as_str()])).await;
}

/// All of these at the endpoint of pushed requests, and at the end two that are good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fapi2_security_profile_final_ensure_invalid_client_assertions_fail() {
    let f = Fapi::start().await;
    let client_id = ("client_id", f.first.id);
    let refused = f.push_by(&[client_id]).await;
    is_error(&refused, StatusCode::UNAUTHORIZED, "invalid_client");
    for type_ in ["", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"] {
        let assertion = f.changed(|_| ());
        let mut credentials = vec![("client_assertion", &*assertion)];
        if !type_.is_empty() {
            credentials.push(("client_assertion_type", type_));
        }
        is_error(&f.push_by(&credentials).await, StatusCode::BAD_REQUEST, "invalid_request");
    }
    let issuer = f.t.authority.config.public_url.clone();
    let now = f.t.authority.now().secs();
    type Change = Box<dyn FnOnce(&mut Assertion)>;
    let set = |name: &'static str, value: Value| -> Change {
        Box::new(move |assertion| assertion.claims[name] = value)
    };
    let cases: Vec<(&str, Change)> = vec![
        ("without sub", Box::new(without("sub"))),
        ("another sub", set("sub", json!("fapi-1x"))),
        ("without iss", Box::new(without("iss"))),
        ("another iss", set("iss", json!("fapi-1x"))),
        ("without aud", Box::new(without("aud"))),
        ("another aud", set("aud", json!("https://other1.example.com/"))),
        ("the PAR endpoint", set("aud", json!(issuer.join("/oauth/par")))),
        ("the token endpoint", set("aud", json!(issuer.join("/oauth/token")))),
        ("an array", set("aud", json!([issuer.as_str(), "https://other1.example.com/"]))),
        (
            "exp in the past",
            Box::new(move |it| {
                it.claims["exp"] = json!(now - 300);
                it.claims["iat"] = json!(now - 360);
                it.claims["nbf"] = json!(now - 360);
            }),
        ),
        (
            "more than a minute in the future",
            Box::new(move |it| {
                it.claims["iat"] = json!(now + 70);
                it.claims["nbf"] = json!(now + 70);
                it.claims["exp"] = json!(now + 130);
            }),
        ),
        ("RS256", Box::new(|it| it.header["alg"] = json!("RS256"))),
    ];
    for (what, change) in cases {
        let answer = f.push_by_assertion(&f.changed(change)).await;
        let error = answer.json["error"].as_str();
        assert_eq!(
            (answer.status, error),
            (StatusCode::UNAUTHORIZED, Some("invalid_client")),
            "{what}"
        );
    }
    let unsigned = [json!({ "alg": "none" }), f.assertion_claims(&f.first)];
    let [header, claims] = unsigned.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let good = f.changed(|_| ());
    for wrong in [format!("{header}.{claims}."), altered(&good)] {
        let refused = f.push_by_assertion(&wrong).await;
        is_error(&refused, StatusCode::UNAUTHORIZED, "invalid_client");
    }
    // §5.3.2.1: clocks may differ by ten seconds.
    let ahead = f.changed(|it| {
        it.claims["iat"] = json!(now + 8);
        it.claims["nbf"] = json!(now + 8);
    });
    for accepted in [ahead, good] {
        assert_eq!(f.push_by_assertion(&accepted).await.status, StatusCode::CREATED);
    }
}
