//! A provider that is right, wrong, slow, away, and refusing; and what becomes of the session.

use std::sync::Arc;
use std::time::Duration;

use relying_party::signin::{Callback, Finished};
use relying_party::{
    FinishError, Provider, ProviderConfig, ProviderError, RelyingParty, SessionStore, TokenError,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::random::SystemRandom;
use service::seal::MasterSecret;
use service::time::{Clock as _, MovableClock};
use tokens::{Algorithm, SigningKey};
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct World {
    server: MockServer,
    key: SigningKey,
    party: Arc<RelyingParty>,
    clock: MovableClock,
}

async fn world() -> World {
    service::run::install_crypto();
    let server = MockServer::start().await;
    let private = SigningKey::generate(Algorithm::RS256).unwrap();
    let key = SigningKey::from_private(Algorithm::RS256, &private).unwrap();
    let provider = Provider::new(ProviderConfig {
        issuer: server.uri(),
        backchannel_url: None,
        client_id: "app".to_owned(),
        client_secret: Some("secret".into()),
        redirect_uri: "https://app.example/cb".to_owned(),
        scopes: "openid".to_owned(),
    });
    let clock = MovableClock::default();
    let party = Arc::new(RelyingParty::new(
        provider.unwrap(),
        SessionStore::open("memory:").await.unwrap(),
        &MasterSecret::new(vec![7; 32]).unwrap(),
        Arc::new(clock.clone()),
        Arc::new(SystemRandom),
    ));
    let world = World { server, key, party, clock };
    world.publish(&world.server.uri()).await;
    world
}

impl World {
    async fn answer(&self, verb: &str, at: &str, template: ResponseTemplate) {
        Mock::given(method(verb)).and(path(at)).respond_with(template).mount(&self.server).await;
    }

    async fn publish(&self, issuer: &str) {
        let url = self.server.uri();
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/jwks"),
            "revocation_endpoint": format!("{url}/revoke"),
        });
        let found = ResponseTemplate::new(200).set_body_json(metadata);
        self.answer("GET", "/.well-known/openid-configuration", found).await;
        let jwks = json!({ "keys": [self.key.public_jwk().unwrap()] });
        self.answer("GET", "/jwks", ResponseTemplate::new(200).set_body_json(jwks)).await;
    }

    fn id_token(&self, nonce: &str) -> Value {
        let now = self.clock.now().secs();
        json!({ "iss": self.server.uri(), "aud": "app", "sub": "ann", "exp": now + 300, "iat": now, "nonce": nonce })
    }

    /// Signs in; the provider answers with these ID token claims.
    async fn sign_in(&self, change: impl FnOnce(&mut Value)) -> Result<Finished, FinishError> {
        let begun = self.party.begin("/there", None).await.unwrap();
        let query: std::collections::HashMap<String, String> =
            begun.url.split_once('?').map(|(_, query)| url_pairs(query)).unwrap();
        let mut claims = self.id_token(&query["nonce"]);
        change(&mut claims);
        let id_token = self.key.sign("JWT", &claims).unwrap();
        let tokens = json!({ "access_token": "at-1", "token_type": "Bearer", "expires_in": 300,
            "refresh_token": "rt-1", "id_token": id_token });
        let _guard = Mock::given(method("POST"))
            .and(path("/token"))
            .and(body_string_contains("grant_type=authorization_code"))
            .respond_with(ResponseTemplate::new(200).set_body_json(tokens))
            .mount_as_scoped(&self.server)
            .await;
        let callback =
            Callback { code: "code", state: &query["state"], iss: None, cookie: &begun.cookie };
        self.party.finish(&callback, None).await
    }

    async fn refreshes(&self) -> usize {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .filter(|request| {
                String::from_utf8_lossy(&request.body).contains("grant_type=refresh_token")
            })
            .count()
    }

    async fn on_refresh(&self, template: ResponseTemplate) {
        Mock::given(method("POST"))
            .and(path("/token"))
            .and(body_string_contains("grant_type=refresh_token"))
            .respond_with(template)
            .mount(&self.server)
            .await;
    }
}

fn url_pairs(query: &str) -> std::collections::HashMap<String, String> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn an_id_token_has_to_be_right_in_everything() {
    let world = world().await;
    let finished = world.sign_in(|_| ()).await.unwrap();
    assert_eq!(finished.return_to, "/there");
    let person = world.party.person(finished.session_id.expose_secret()).await.unwrap().unwrap();
    assert_eq!(person.claims["sub"], "ann");
    world.sign_in(|claims| claims["aud"] = json!(["app"])).await.unwrap();
    world
        .sign_in(|claims| {
            claims["aud"] = json!(["app", "other"]);
            claims["azp"] = json!("app");
        })
        .await
        .unwrap();
    let past = world.clock.now().secs() - 61;
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
        let refused = world.sign_in(|claims| claims[name] = value.clone()).await;
        assert!(
            matches!(refused, Err(FinishError::Provider(ProviderError::Wrong(_)))),
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn a_provider_with_another_name_is_not_believed() {
    let world = world().await;
    world.server.reset().await;
    world.publish("https://evil.example").await;
    let error = world.party.begin("/", None).await.unwrap_err();
    assert!(matches!(error, ProviderError::Wrong(_)), "{error}");
    world.server.reset().await;
    let error = world.party.begin("/", None).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error}");
    world.publish(&world.server.uri()).await;
    world.party.begin("/", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_refresh_happens_once_for_all_who_ask() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let token = world.party.access_token(id.expose_secret()).await.unwrap();
    assert_eq!(
        (token.token.expose_secret(), world.refreshes().await),
        ("at-1", 0),
        "good for a while yet"
    );
    let next = json!({ "access_token": "at-2", "token_type": "Bearer", "expires_in": 300 });
    world
        .on_refresh(
            ResponseTemplate::new(200).set_body_json(next).set_delay(Duration::from_millis(300)),
        )
        .await;
    world.clock.advance(Duration::from_secs(241));
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let (party, id) = (Arc::clone(&world.party), id.clone());
            tokio::spawn(async move { party.access_token(id.expose_secret()).await })
        })
        .collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap().unwrap().token.expose_secret(), "at-2");
    }
    assert_eq!(world.refreshes().await, 1);
    // A provider that does not rotate means the same refresh token.
    world.clock.advance(Duration::from_secs(241));
    world.party.access_token(id.expose_secret()).await.unwrap();
    assert_eq!(world.refreshes().await, 2);
}

#[tokio::test]
async fn a_fault_keeps_the_session_and_a_refusal_ends_it() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let id = id.expose_secret();
    for (status, body) in [
        (500, json!({})),
        (503, json!({ "error": "temporarily_unavailable" })),
        (502, json!("<html>")),
        (429, json!({ "error": "slow_down" })),
        (200, json!({ "nonsense": true })),
        (400, json!("no json of ours")),
        (401, json!({ "error": "invalid_client" })),
    ] {
        world.server.reset().await;
        world.publish(&world.server.uri()).await;
        world.on_refresh(ResponseTemplate::new(status).set_body_json(body)).await;
        world.clock.advance(Duration::from_secs(301));
        let answer = world.party.access_token(id).await;
        assert!(matches!(answer, Err(TokenError::Unavailable(_))), "{status}: {answer:?}");
        assert!(world.party.person(id).await.unwrap().is_some(), "{status}: still signed in");
    }
    world.server.reset().await;
    world.publish(&world.server.uri()).await;
    world
        .on_refresh(ResponseTemplate::new(400).set_body_json(json!({ "error": "invalid_grant" })))
        .await;
    assert!(matches!(world.party.access_token(id).await, Err(TokenError::Ended)));
    assert!(world.party.person(id).await.unwrap().is_none());
    assert!(matches!(world.party.access_token(id).await, Err(TokenError::NoSession)));
}

#[tokio::test]
async fn a_token_that_is_still_good_bridges_a_fault() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.on_refresh(ResponseTemplate::new(500)).await;
    world.clock.advance(Duration::from_secs(250));
    let token = world.party.access_token(id.expose_secret()).await.unwrap();
    assert_eq!(token.token.expose_secret(), "at-1");
}

#[tokio::test]
async fn signing_out_works_even_when_the_provider_is_away() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.answer("POST", "/revoke", ResponseTemplate::new(200)).await;
    world.party.sign_out(id.expose_secret()).await.unwrap();
    let revoked = world.server.received_requests().await.unwrap();
    let revoked = revoked.iter().find(|request| request.url.path() == "/revoke").unwrap();
    assert!(String::from_utf8_lossy(&revoked.body).contains("token=rt-1"));
    assert!(revoked.headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.server.reset().await;
    world.party.sign_out(id.expose_secret()).await.unwrap();
    assert!(world.party.person(id.expose_secret()).await.unwrap().is_none());
}
