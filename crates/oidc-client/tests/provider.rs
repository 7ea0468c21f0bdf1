//! Discovery, the authorization request, ID-token validation, token and revocation requests, against a mock provider.

use std::collections::HashMap;

use foundation::random::SystemRandom;
use foundation::time::{Clock as _, MovableClock};
use oidc_client::{
    Attempt, Browser, Provider, ProviderConfig, ProviderError, TokenRequest, Tokens,
};
use serde_json::{Map, Value, json};
use tokens::{Algorithm, SigningKey};
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct TestProvider {
    server: MockServer,
    key: SigningKey,
    clock: MovableClock,
    provider: Provider,
}

impl TestProvider {
    /// A provider whose metadata has these further fields.
    async fn start(metadata: Value) -> Self {
        Self::signing_with(Algorithm::RS256, metadata).await
    }

    async fn signing_with(algorithm: Algorithm, metadata: Value) -> Self {
        service::run::install_crypto();
        let server = MockServer::start().await;
        let private = SigningKey::generate(algorithm).unwrap();
        let key = SigningKey::from_private(algorithm, &private).unwrap();
        let provider = Provider::new(ProviderConfig {
            issuer: server.uri(),
            backchannel_url: None,
            client_id: "app".to_owned(),
            client_secret: Some("secret".into()),
            redirect_uri: "https://app.example/cb".to_owned(),
            post_logout_redirect_uri: "https://app.example/".to_owned(),
            scopes: "openid".to_owned(),
            push_requests: false,
        })
        .unwrap();
        let this = Self { server, key, clock: MovableClock::default(), provider };
        this.publish(&this.server.uri(), metadata).await;
        this
    }

    async fn publish(&self, issuer: &str, further: Value) {
        let url = self.server.uri();
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/jwks"),
        });
        for (name, value) in further.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        let jwks = json!({ "keys": [self.key.public_jwk().unwrap()] });
        for (at, body) in [("/.well-known/openid-configuration", metadata), ("/jwks", jwks)] {
            Mock::given(method("GET"))
                .and(path(at))
                .respond_with(ResponseTemplate::new(200).set_body_json(body))
                .mount(&self.server)
                .await;
        }
    }

    fn attempt(&self) -> Attempt {
        Attempt::new(&SystemRandom, "/there", self.clock.now())
    }

    /// Redeems a code for an ID token with these changes.
    async fn redeem(
        &self,
        change: impl FnOnce(&mut Value),
    ) -> Result<(Tokens, Map<String, Value>), ProviderError> {
        let attempt = self.attempt();
        let now = self.clock.now().secs();
        let mut claims = json!({ "iss": self.server.uri(), "aud": "app", "sub": "ann",
            "exp": now + 300, "iat": now, "nonce": attempt.nonce });
        change(&mut claims);
        let id_token = self.key.sign("JWT", &claims).unwrap();
        let tokens = json!({ "access_token": "at", "expires_in": 300, "id_token": id_token });
        let _guard = Mock::given(method("POST"))
            .and(path("/token"))
            .and(body_string_contains("grant_type=authorization_code"))
            .and(body_string_contains(format!("code_verifier={}", attempt.verifier)))
            .respond_with(ResponseTemplate::new(200).set_body_json(tokens))
            .mount_as_scoped(&self.server)
            .await;
        self.provider.redeem("code", &attempt, &browser(), self.clock.now()).await
    }
}

fn browser() -> Browser {
    Browser::new("203.0.113.7".parse().ok(), Some(b"Firefox"))
}

fn query(url: &str) -> HashMap<String, String> {
    let (_, query) = url.split_once('?').unwrap();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn an_id_token_is_validated_in_every_claim() {
    let test = TestProvider::start(json!({})).await;
    let (tokens, claims) = test.redeem(|_| ()).await.unwrap();
    assert_eq!((claims["sub"].as_str(), tokens.expires_in), (Some("ann"), Some(300)));
    test.redeem(|claims| claims["aud"] = json!(["app"])).await.unwrap();
    test.redeem(|claims| {
        claims["aud"] = json!(["app", "other"]);
        claims["azp"] = json!("app");
    })
    .await
    .unwrap();
    let past = test.clock.now().secs() - 61;
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", json!(["app", "other"])),
        ("aud", json!([])),
        ("azp", json!("other")),
        ("exp", json!(past)),
        ("exp", json!("tomorrow")),
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
    ] {
        let rejected = test.redeem(|claims| claims[name] = value.clone()).await;
        assert!(matches!(rejected, Err(ProviderError::InvalidResponse(_))), "{name}: {value}");
    }
}

#[tokio::test]
async fn an_id_token_may_be_signed_by_every_asymmetric_algorithm() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
        let test = TestProvider::signing_with(algorithm, json!({})).await;
        assert!(test.redeem(|_| ()).await.is_ok(), "{algorithm}");
    }
}

#[tokio::test]
async fn a_logout_token_is_validated_in_every_claim() {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let test = TestProvider::start(json!({})).await;
    let now = test.clock.now().secs();
    let validate = async |media_type: &str, changes: &[(&str, Value)]| {
        let mut claims = json!({ "iss": test.server.uri(), "aud": "app", "sub": "ann", "sid": "one", "jti": "7",
            "iat": now, "exp": now + 120, "events": { EVENT: {} } });
        for (name, value) in changes {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(*name)),
                value => claims[*name] = value.clone(),
            }
        }
        let token = test.key.sign(media_type, &claims).unwrap();
        test.provider.validate_logout_token(&token, test.clock.now()).await
    };
    let token = validate("logout+jwt", &[]).await.unwrap();
    assert_eq!((token.sub.as_deref(), token.sid.as_deref()), (Some("ann"), Some("one")));
    assert_eq!(token.issued_at.secs(), now);
    let late = json!(now + 7200);
    for (name, value) in [
        ("sid", Value::Null),
        ("sub", Value::Null),
        ("exp", Value::Null),
        ("aud", json!(["other", "app"])),
        ("exp", late),
    ] {
        validate("logout+jwt", &[(name, value.clone())]).await.expect(name);
    }
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", Value::Null),
        ("iat", Value::Null),
        ("iat", json!(now + 61)),
        ("iat", json!(now - 700)),
        ("exp", json!(now - 61)),
        ("exp", json!("tomorrow")),
        ("events", Value::Null),
        ("events", json!({ "http://example.com/other": {} })),
        ("events", json!({ EVENT: "yes" })),
        ("nonce", json!("n")),
    ] {
        let refused = validate("logout+jwt", &[(name, value.clone())]).await;
        assert!(matches!(refused, Err(ProviderError::InvalidResponse(_))), "{name}: {value}");
    }
    let neither = [("sub", Value::Null), ("sid", Value::Null)];
    assert!(validate("logout+jwt", &neither).await.is_err());
    assert!(validate("at+jwt", &[]).await.is_err(), "another kind of token");
    // One that no key of the provider has signed.
    let token = SigningKey::from_private(
        Algorithm::RS256,
        &SigningKey::generate(Algorithm::RS256).unwrap(),
    );
    let forged = token.unwrap().sign("logout+jwt", &json!({ "iss": test.server.uri() })).unwrap();
    assert!(test.provider.validate_logout_token(&forged, test.clock.now()).await.is_err());
}

#[tokio::test]
async fn the_authorization_request_carries_the_attempt() {
    let test = TestProvider::start(json!({})).await;
    let attempt = test.attempt();
    let now = test.clock.now();
    let url = test.provider.authorization_url(&attempt, Some("login"), now).await.unwrap();
    let query = query(&url);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", "https://app.example/cb"),
        ("scope", "openid"),
        ("state", &attempt.state),
        ("nonce", &attempt.nonce),
        ("code_challenge", &attempt.challenge()),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_is_rejected() {
    let test = TestProvider::start(json!({})).await;
    test.server.reset().await;
    test.publish("https://evil.example", json!({})).await;
    let now = test.clock.now();
    let error = test.provider.discover(now).await.unwrap_err();
    assert!(matches!(error, ProviderError::InvalidResponse(_)), "{error}");
    test.server.reset().await;
    let error = test.provider.discover(now).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error}");
    assert!(!test.provider.is_discovered());
    test.publish(&test.server.uri(), json!({})).await;
    test.provider.discover(now).await.unwrap();
    assert!(test.provider.is_discovered());
}

#[tokio::test]
async fn the_iss_of_a_response_is_required_if_the_metadata_promises_it() {
    for promised in [false, true] {
        let metadata = json!({ "authorization_response_iss_parameter_supported": promised });
        let test = TestProvider::start(metadata).await;
        let (now, issuer) = (test.clock.now(), test.server.uri());
        test.provider.check_iss(Some(&issuer), now).await.unwrap();
        assert!(test.provider.check_iss(Some("https://evil.example"), now).await.is_err());
        assert_eq!(test.provider.check_iss(None, now).await.is_err(), promised);
    }
}

#[tokio::test]
async fn a_client_authenticates_as_the_metadata_says() {
    for (methods, is_basic) in [
        (json!([]), true),
        (json!(["client_secret_basic"]), true),
        (json!(["client_secret_post"]), false),
    ] {
        let metadata = json!({ "token_endpoint_auth_methods_supported": methods });
        let test = TestProvider::start(metadata).await;
        let refused = json!({ "error": "invalid_grant" });
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(400).set_body_json(refused))
            .mount(&test.server)
            .await;
        let (request, now) = (TokenRequest::default(), test.clock.now());
        let error =
            test.provider.refresh(&"rt".into(), &request, &browser(), now).await.unwrap_err();
        assert!(matches!(error, ProviderError::ErrorResponse(code) if code == "invalid_grant"));
        let requests = test.server.received_requests().await.unwrap();
        let last = requests.last().unwrap();
        let body = String::from_utf8_lossy(&last.body);
        assert_eq!(last.headers["x-client-ip"], "203.0.113.7");
        assert_eq!(last.headers["x-client-user-agent"], "Firefox");
        assert_eq!(last.headers.contains_key("authorization"), is_basic, "{methods}");
        assert_eq!(body.contains("client_secret=secret"), !is_basic, "{methods}");
    }
}

#[tokio::test]
async fn logout_and_revocation_need_their_endpoints() {
    let test = TestProvider::start(json!({})).await;
    let now = test.clock.now();
    assert_eq!(test.provider.logout_url(None, now).await, None);
    test.provider.revoke(&"rt".into(), now).await.unwrap();
    let test =
        TestProvider::start(json!({ "end_session_endpoint": "https://op.example/end?t=1" })).await;
    let url = test.provider.logout_url(Some("hint"), now).await.unwrap();
    let query = query(&url);
    for (name, value) in [
        ("t", "1"),
        ("id_token_hint", "hint"),
        ("client_id", "app"),
        ("post_logout_redirect_uri", "https://app.example/"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_told_from_a_provider_that_is_away() {
    let test = TestProvider::start(json!({})).await;
    let now = test.clock.now();
    for (status, code, expected) in [
        (400, "invalid_grant", Some(true)),
        (400, "unauthorized_client", Some(true)),
        (400, "invalid_request", Some(true)),
        (401, "invalid_client", Some(false)),
        (400, "invalid_client", Some(false)),
        (503, "temporarily_unavailable", None),
        (500, "invalid_client", None),
    ] {
        let answer = ResponseTemplate::new(status).set_body_json(json!({ "error": code }));
        let _guard = Mock::given(method("POST"))
            .and(path("/token"))
            .respond_with(answer)
            .mount_as_scoped(&test.server)
            .await;
        let accepted = test.provider.accepts_credentials(now).await.ok();
        let error = ProviderError::ErrorResponse(code.to_owned()).to_string();
        assert_eq!(error.contains("CLIENT_SECRET_FILE"), code == "invalid_client", "{error}");
        assert_eq!(accepted, expected, "{status} {code}");
    }
}

#[tokio::test]
async fn a_request_is_pushed_where_the_provider_demands_it() {
    let test = TestProvider::start(json!({ "require_pushed_authorization_requests": true })).await;
    let attempt = test.attempt();
    let url = async || test.provider.authorization_url(&attempt, None, test.clock.now()).await;
    assert!(matches!(url().await, Err(ProviderError::InvalidResponse(_))), "it names no endpoint");

    let test = TestProvider::start(json!({})).await;
    let endpoint = format!("{}/par", test.server.uri());
    let demand = json!({
        "require_pushed_authorization_requests": true,
        "pushed_authorization_request_endpoint": endpoint,
    });
    test.server.reset().await;
    test.publish(&test.server.uri(), demand).await;
    let attempt = test.attempt();
    let url = async || test.provider.authorization_url(&attempt, None, test.clock.now()).await;
    assert!(matches!(url().await, Err(ProviderError::Unavailable(_))), "the endpoint fails");
    Mock::given(method("POST"))
        .and(path("/par"))
        .and(header("authorization", "Basic YXBwOnNlY3JldA=="))
        .and(body_string_contains(format!("state={}", attempt.state)))
        .and(body_string_contains(format!("code_challenge={}", attempt.challenge())))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({ "request_uri": "urn:x" })))
        .mount(&test.server)
        .await;
    let sent = query(&url().await.unwrap());
    let expected = [("client_id", "app"), ("request_uri", "urn:x")];
    assert_eq!(sent, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}
