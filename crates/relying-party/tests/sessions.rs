//! Sessions with a provider that answers, is slow, is unavailable, or sends error responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foundation::random::SystemRandom;
use foundation::seal::MasterSecret;
use foundation::time::{Clock as _, MovableClock};
use relying_party::signin::{AccessToken, Callback, NewSession};
use relying_party::{
    Browser, CallbackError, Provider, ProviderConfig, ProviderError, RelyingParty, TokenError,
    TokenRequest, session,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokens::{Algorithm, SigningKey};
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct World {
    server: MockServer,
    key: SigningKey,
    party: Arc<RelyingParty>,
    clock: MovableClock,
    grant_refresh_tokens: AtomicBool,
}

async fn world() -> World {
    world_with("memory:").await
}

async fn world_with(store: &str) -> World {
    service::run::install_crypto();
    let server = MockServer::start().await;
    let private = SigningKey::generate(Algorithm::RS256).unwrap();
    let key = SigningKey::from_private(Algorithm::RS256, &private).unwrap();
    let clock = MovableClock::default();
    let party = replica(&server, &clock, store).await;
    let grant_refresh_tokens = AtomicBool::new(true);
    let world = World { server, key, party, clock, grant_refresh_tokens };
    world.publish(&world.server.uri()).await;
    world
}

async fn replica(server: &MockServer, clock: &MovableClock, store: &str) -> Arc<RelyingParty> {
    let provider = Provider::new(ProviderConfig {
        issuer: server.uri(),
        backchannel_url: None,
        client_id: "app".to_owned(),
        client_secret: Some("secret".into()),
        redirect_uri: "https://app.example/cb".to_owned(),
        post_logout_redirect_uri: "https://app.example/".to_owned(),
        scopes: "openid".to_owned(),
        push_requests: false,
    });
    Arc::new(RelyingParty::new(
        provider.unwrap(),
        session::open(store, "app").await.unwrap(),
        &MasterSecret::new(vec![7; 32]).unwrap(),
        Arc::new(clock.clone()),
        Arc::new(SystemRandom),
    ))
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
            "end_session_endpoint": format!("{url}/logout?tenant=1"),
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
    async fn sign_in(&self, change: impl FnOnce(&mut Value)) -> Result<NewSession, CallbackError> {
        let begun = self.party.begin("/there", None).await.unwrap();
        let query: std::collections::HashMap<String, String> =
            begun.url.split_once('?').map(|(_, query)| url_pairs(query)).unwrap();
        let mut claims = self.id_token(&query["nonce"]);
        change(&mut claims);
        let id_token = self.key.sign("JWT", &claims).unwrap();
        let mut tokens = json!({ "access_token": "at-1", "token_type": "Bearer", "expires_in": 300,
            "id_token": id_token });
        if self.grant_refresh_tokens.load(Ordering::SeqCst) {
            tokens["refresh_token"] = json!("rt-1");
        }
        let _guard = Mock::given(method("POST"))
            .and(path("/token"))
            .and(body_string_contains("grant_type=authorization_code"))
            .respond_with(ResponseTemplate::new(200).set_body_json(tokens))
            .mount_as_scoped(&self.server)
            .await;
        let (state, browser) = (&query["state"], &Browser::default());
        let callback = Callback { code: "code", state, iss: None, cookie: &begun.cookie, browser };
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
async fn a_sign_in_makes_a_session_unless_the_id_token_is_invalid() {
    let world = world().await;
    let session = world.sign_in(|_| ()).await.unwrap();
    assert_eq!(session.return_to, "/there");
    let user = world.party.user(session.session_id.expose_secret()).await.unwrap().unwrap();
    assert_eq!(user.claims["sub"], "ann");
    let rejected = world.sign_in(|claims| claims["nonce"] = json!("another")).await;
    assert!(matches!(rejected, Err(CallbackError::Provider(ProviderError::InvalidResponse(_)))));
}

/// Asks for a token in a task of its own.
fn ask(
    party: &Arc<RelyingParty>,
    id: &SecretString,
) -> tokio::task::JoinHandle<Result<AccessToken, TokenError>> {
    let (party, id) = (Arc::clone(party), id.clone());
    tokio::spawn(async move {
        party.access_token(id.expose_secret(), &TokenRequest::default(), &Browser::default()).await
    })
}

fn next_tokens(number: u32) -> ResponseTemplate {
    let next = json!({ "access_token": format!("at-{number}"), "token_type": "Bearer", "expires_in": 300,
        "refresh_token": format!("rt-{number}") });
    ResponseTemplate::new(200).set_body_json(next)
}

/// Slower than the time after which a lease is taken over.
const VERY_SLOW: Duration = Duration::from_secs(7);

/// Two replicas, 25 requests at each, and a provider that takes its time: one refresh.
async fn refreshes_once(store: &str) {
    let world = world_with(store).await;
    let other = if store == "memory:" {
        Arc::clone(&world.party)
    } else {
        replica(&world.server, &world.clock, store).await
    };
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let token = ask(&world.party, &id).await.unwrap().unwrap();
    assert_eq!(token.token.expose_secret(), "at-1", "good for a while yet");
    assert_eq!(world.refreshes().await, 0);
    world.on_refresh(next_tokens(2).set_delay(VERY_SLOW)).await;
    world.clock.advance(Duration::from_secs(301));
    let asking: Vec<_> =
        (0..50).map(|n| ask(if n % 2 == 0 { &world.party } else { &other }, &id)).collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap().unwrap().token.expose_secret(), "at-2");
    }
    assert_eq!(world.refreshes().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_refresh_happens_once_in_one_process() {
    refreshes_once("memory:").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_refresh_happens_once_across_replicas_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    refreshes_once(&format!("sqlite://{}/s.db", folder.path().display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_refresh_happens_once_across_replicas_on_postgresql() {
    if let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() {
        refreshes_once(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_refresh_happens_once_across_replicas_on_redis() {
    if let Some(url) = tokio::task::spawn_blocking(testing::redis).await.unwrap() {
        refreshes_once(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_while_the_token_at_hand_is_good() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.on_refresh(next_tokens(2).set_delay(Duration::from_secs(2))).await;
    // Past four fifths of its life.
    world.clock.advance(Duration::from_secs(241));
    let first = ask(&world.party, &id);
    while world.refreshes().await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let meanwhile = tokio::time::timeout(Duration::from_secs(1), ask(&world.party, &id)).await;
    assert_eq!(meanwhile.unwrap().unwrap().unwrap().token.expose_secret(), "at-1");
    assert_eq!(first.await.unwrap().unwrap().token.expose_secret(), "at-2");
    // The next refresh shows the newest refresh token, once.
    world.clock.advance(Duration::from_secs(241));
    ask(&world.party, &id).await.unwrap().unwrap();
    let requests = world.server.received_requests().await.unwrap();
    let bodies: Vec<_> =
        requests.iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
    let shown = |token: &str| {
        bodies.iter().filter(|body| body.contains(&format!("refresh_token={token}"))).count()
    };
    assert_eq!((shown("rt-1"), shown("rt-2")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_provider_that_does_not_rotate_means_the_same_refresh_token() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let next = json!({ "access_token": "at-2", "token_type": "Bearer", "expires_in": 300 });
    world.on_refresh(ResponseTemplate::new(200).set_body_json(next)).await;
    for refreshes in 1..=2 {
        world.clock.advance(Duration::from_secs(301));
        ask(&world.party, &id).await.unwrap().unwrap();
        assert_eq!(world.refreshes().await, refreshes);
    }
    let requests = world.server.received_requests().await.unwrap();
    let last = String::from_utf8_lossy(&requests.last().unwrap().body);
    assert!(last.contains("refresh_token=rt-1"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_whose_holder_died_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/s.db", folder.path().display());
    let world = world_with(&store).await;
    let other = replica(&world.server, &world.clock, &store).await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let hangs = Mock::given(method("POST"))
        .and(body_string_contains("grant_type=refresh_token"))
        .respond_with(next_tokens(9).set_delay(Duration::from_mins(1)))
        .mount_as_scoped(&world.server)
        .await;
    world.clock.advance(Duration::from_secs(301));
    let dying = ask(&world.party, &id);
    while world.refreshes().await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    dying.abort();
    drop(hangs);
    world.on_refresh(next_tokens(2)).await;
    let waited = tokio::time::timeout(Duration::from_secs(9), ask(&other, &id)).await;
    assert_eq!(waited.unwrap().unwrap().unwrap().token.expose_secret(), "at-2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_refresh_gives_after_a_sign_out_is_given_back() {
    let world = world().await;
    world.answer("POST", "/revoke", ResponseTemplate::new(200)).await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.on_refresh(next_tokens(2).set_delay(Duration::from_millis(500))).await;
    world.clock.advance(Duration::from_secs(301));
    let asking = ask(&world.party, &id);
    while world.refreshes().await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let done = world.party.sign_out(id.expose_secret()).await.unwrap();
    let url = done.logout_url.unwrap();
    assert!(matches!(asking.await.unwrap(), Err(TokenError::NoSession)));
    let requests = world.server.received_requests().await.unwrap();
    for token in ["rt-1", "rt-2"] {
        let given_back = requests.iter().any(|request| {
            request.url.path() == "/revoke"
                && String::from_utf8_lossy(&request.body).contains(&format!("token={token}"))
        });
        assert!(given_back, "{token}");
    }
    // And the browser can end its sign-in at the provider.
    let query = url.strip_prefix(&format!("{}/logout?", world.server.uri())).unwrap();
    let query = url_pairs(query);
    assert_eq!(
        (query["tenant"].as_str(), query["client_id"].as_str()),
        ("1", "app"),
        "what the provider's address has already stays"
    );
    assert_eq!(query["post_logout_redirect_uri"], "https://app.example/");
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_of_a_token_that_is_old_by_now_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/s.db", folder.path().display());
    let world = world_with(&store).await;
    let other = replica(&world.server, &world.clock, &store).await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.clock.advance(Duration::from_secs(301));
    // The first one's request is refused, late: it stood still so long that its lease was taken over.
    let refused = ResponseTemplate::new(400).set_body_json(json!({ "error": "invalid_grant" }));
    let slow = Mock::given(method("POST"))
        .and(body_string_contains("refresh_token=rt-1"))
        .respond_with(refused.set_delay(Duration::from_secs(2)))
        .mount_as_scoped(&world.server)
        .await;
    let late = ask(&world.party, &id);
    while world.refreshes().await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(slow);
    world.on_refresh(next_tokens(2)).await;
    let hash = session::IdHash::of(id.expose_secret());
    let leased = other.store().read(&hash, world.clock.now()).await.unwrap().unwrap();
    let free = session::SessionRecord { version: leased.version + 1, leased: false, ..leased };
    assert!(other.store().update(&hash, &free).await.unwrap());
    assert_eq!(ask(&other, &id).await.unwrap().unwrap().token.expose_secret(), "at-2");
    assert_eq!(late.await.unwrap().unwrap().token.expose_secret(), "at-2");
    assert!(world.party.user(id.expose_secret()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_fault_is_enough_for_all_who_wait() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.on_refresh(ResponseTemplate::new(500).set_delay(Duration::from_millis(300))).await;
    world.clock.advance(Duration::from_secs(301));
    let asking: Vec<_> = (0..20).map(|_| ask(&world.party, &id)).collect();
    for answer in asking {
        assert!(matches!(answer.await.unwrap(), Err(TokenError::Unavailable(_))));
    }
    assert!(world.refreshes().await < 3, "not one after the other");
}

#[tokio::test]
async fn each_api_gets_a_token_of_its_own() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let request = TokenRequest {
        resource: Some("orders".to_owned()),
        scope: Some("orders:read".to_owned()),
        dpop_jkt: None,
    };
    world.on_refresh(next_tokens(2)).await;
    for _ in 0..2 {
        let token = world
            .party
            .access_token(id.expose_secret(), &request, &Browser::default())
            .await
            .unwrap();
        assert_eq!(token.token.expose_secret(), "at-2");
    }
    assert_eq!(ask(&world.party, &id).await.unwrap().unwrap().token.expose_secret(), "at-1");
    let requests = world.server.received_requests().await.unwrap();
    let refresh = String::from_utf8_lossy(&requests.last().unwrap().body);
    assert!(refresh.contains("resource=orders") && refresh.contains("scope=orders%3Aread"));
    assert_eq!(world.refreshes().await, 1);
}

#[tokio::test]
async fn a_session_ends_with_its_refresh_token() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let lives = |seconds: u64| {
        let next = json!({ "access_token": "at", "expires_in": 60, "refresh_token": "rt-2",
            "refresh_token_expires_in": seconds });
        ResponseTemplate::new(200).set_body_json(next)
    };
    world.on_refresh(lives(600)).await;
    for _ in 0..3 {
        // Each refresh gives the next ten minutes.
        world.clock.advance(Duration::from_secs(500));
        ask(&world.party, &id).await.unwrap().unwrap();
    }
    world.clock.advance(Duration::from_secs(601));
    assert!(world.party.user(id.expose_secret()).await.unwrap().is_none());
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
        let answer =
            world.party.access_token(id, &TokenRequest::default(), &Browser::default()).await;
        assert!(matches!(answer, Err(TokenError::Unavailable(_))), "{status}: {answer:?}");
        assert!(world.party.user(id).await.unwrap().is_some(), "{status}: still signed in");
    }
    world.server.reset().await;
    world.publish(&world.server.uri()).await;
    world
        .on_refresh(ResponseTemplate::new(400).set_body_json(json!({ "error": "invalid_grant" })))
        .await;
    assert!(matches!(
        world.party.access_token(id, &TokenRequest::default(), &Browser::default()).await,
        Err(TokenError::Ended)
    ));
    assert!(world.party.user(id).await.unwrap().is_none());
    assert!(matches!(
        world.party.access_token(id, &TokenRequest::default(), &Browser::default()).await,
        Err(TokenError::NoSession)
    ));
}

#[tokio::test]
async fn a_token_that_is_still_good_bridges_a_fault() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.on_refresh(ResponseTemplate::new(500)).await;
    world.clock.advance(Duration::from_secs(250));
    // And a provider that is away is not asked by every call.
    for (advance, asked) in [(0, 1), (1, 1), (2, 2)] {
        world.clock.advance(Duration::from_secs(advance));
        let token = ask(&world.party, &id).await.unwrap().unwrap();
        assert_eq!((token.token.expose_secret(), world.refreshes().await), ("at-1", asked));
    }
}

#[tokio::test]
async fn however_often_it_is_refreshed_a_session_ends_after_90_days() {
    const DAY: Duration = Duration::from_hours(24);
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let next = json!({ "access_token": "at", "expires_in": 60, "refresh_token": "rt-2",
        "refresh_token_expires_in": 60 * DAY.as_secs() });
    world.on_refresh(ResponseTemplate::new(200).set_body_json(next)).await;
    for _ in 0..3 {
        world.clock.advance(29 * DAY);
        ask(&world.party, &id).await.unwrap().unwrap();
    }
    world.clock.advance(3 * DAY);
    assert!(world.party.user(id.expose_secret()).await.unwrap().is_none());
}

#[tokio::test]
async fn without_a_refresh_token_a_session_lasts_as_long_as_its_token() {
    let world = world().await;
    world.grant_refresh_tokens.store(false, Ordering::SeqCst);
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.clock.advance(Duration::from_secs(298));
    assert_eq!(ask(&world.party, &id).await.unwrap().unwrap().token.expose_secret(), "at-1");
    assert!(world.party.user(id.expose_secret()).await.unwrap().is_some());
    world.clock.advance(Duration::from_secs(2));
    assert!(matches!(ask(&world.party, &id).await.unwrap(), Err(TokenError::NoSession)));
    assert_eq!(world.refreshes().await, 0);
}

/// Tokens that the provider was told of.
async fn revoked(world: &World) -> Vec<String> {
    let requests = world.server.received_requests().await.unwrap();
    let told = requests.iter().filter(|request| request.url.path() == "/revoke");
    told.map(|request| {
        assert!(request.headers["authorization"].to_str().unwrap().starts_with("Basic "));
        url_pairs(&String::from_utf8_lossy(&request.body))["token"].clone()
    })
    .collect()
}

/// A sign-out while the provider is away is told to it later, though the process has ended meanwhile.
async fn is_told_later(store: &str) {
    let world = world_with(store).await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.answer("POST", "/revoke", ResponseTemplate::new(200)).await;
    assert!(world.party.sign_out(id.expose_secret()).await.unwrap().is_revoked);
    assert_eq!(revoked(&world).await, ["rt-1"]);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.party.retry_revocations().await.unwrap(), 0, "it was told");

    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.server.reset().await;
    world.publish(&world.server.uri()).await;
    let away = Mock::given(method("POST"))
        .and(path("/revoke"))
        .respond_with(ResponseTemplate::new(503))
        .mount_as_scoped(&world.server)
        .await;
    let done = world.party.sign_out(id.expose_secret()).await.unwrap();
    assert!(!done.is_revoked && done.logout_url.is_some());
    assert!(world.party.user(id.expose_secret()).await.unwrap().is_none(), "gone here at once");
    // Another process, later.
    let next = replica(&world.server, &world.clock, store).await;
    assert_eq!(next.retry_revocations().await.unwrap(), 0, "not due yet");
    assert_eq!(revoked(&world).await.len(), 1);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(next.retry_revocations().await.unwrap(), 0, "still away");
    assert_eq!(next.retry_revocations().await.unwrap(), 0, "and not asked again at once");
    assert_eq!(revoked(&world).await.len(), 2);
    drop(away);
    world.answer("POST", "/revoke", ResponseTemplate::new(200)).await;
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(next.retry_revocations().await.unwrap(), 1);
    assert_eq!(revoked(&world).await, ["rt-1", "rt-1", "rt-1"]);
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(next.retry_revocations().await.unwrap(), 0, "once is enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sign_out_that_the_provider_missed_is_told_later_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/s.db", folder.path().display());
    is_told_later(&store).await;
    // The token is not in the store in the clear.
    for file in ["s.db", "s.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(4).any(|four| four == b"rt-1"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sign_out_that_the_provider_missed_is_told_later_on_postgresql() {
    if let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() {
        is_told_later(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sign_out_that_the_provider_missed_is_told_later_on_redis() {
    if let Some(url) = tokio::task::spawn_blocking(testing::redis).await.unwrap() {
        is_told_later(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sign_out_does_not_wait_for_a_provider_that_hangs() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(9));
    world.answer("POST", "/revoke", slow).await;
    let out =
        tokio::time::timeout(Duration::from_secs(6), world.party.sign_out(id.expose_secret()));
    assert!(!out.await.unwrap().unwrap().is_revoked);
}

#[tokio::test]
async fn signing_out_works_even_when_the_provider_is_away() {
    let world = world().await;
    let id = world.sign_in(|_| ()).await.unwrap().session_id;
    world.server.reset().await;
    assert!(!world.party.sign_out(id.expose_secret()).await.unwrap().is_revoked);
    assert!(world.party.user(id.expose_secret()).await.unwrap().is_none());
}
