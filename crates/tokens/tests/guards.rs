//! The guard, the extractor and the layer, with an authority that starts late, rotates its keys and goes away.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, test, web};
use http::{Request, Response};
use serde_json::{Value, json};
use tokens::feed::{FeedSource, Follower};
use tokens::{
    AccessToken, AccessTokenLayer, Algorithm, Denied, FetchError, Guard, KeySet, ProtectedResource,
    Reject, RequestParts, RequiredScope, Scoped, SigningKey, Verifier,
};
use tower_layer::Layer as _;
use tower_service::Service as _;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const NOW: i64 = 1_800_000_000;

fn key() -> SigningKey {
    let private = SigningKey::generate(Algorithm::EdDSA).unwrap();
    SigningKey::from_private(Algorithm::EdDSA, &private).unwrap()
}

fn token(key: &SigningKey, issuer: &str, scope: &str) -> String {
    let claims = json!({ "iss": issuer, "sub": "app:worker", "aud": "notes", "client_id": "worker",
        "iat": NOW, "exp": NOW + 300, "jti": "one", "scope": scope });
    key.sign("at+jwt", &claims).unwrap()
}

async fn publish_keys(server: &MockServer, keys: &[&SigningKey]) {
    server.reset().await;
    let keys: Vec<Value> = keys.iter().filter_map(|key| key.public_jwk()).collect();
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }));
    Mock::given(method("GET"))
        .and(path("/.well-known/jwks.json"))
        .respond_with(answer)
        .mount(server)
        .await;
}

async fn jwks_fetches(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

fn guard(server: &MockServer) -> Guard {
    Guard::connect(&server.uri(), "notes").unwrap().with_clock(|| NOW)
}

async fn wait_until_ready(guard: &Guard) {
    for _ in 0..400 {
        if guard.is_ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no keys were fetched");
}

async fn authenticate(guard: &Guard, token: &str) -> Result<AccessToken, Denied> {
    let bearer = format!("Bearer {token}");
    let request = Request::builder().uri("/notes").header("authorization", bearer).body(());
    guard.authenticate(&RequestParts::from(&request.unwrap())).await
}

#[actix_web::test]
async fn keys_are_fetched_rotated_and_kept_while_the_authority_is_away() {
    let server = MockServer::start().await;
    let (old, new) = (key(), key());
    let guard = guard(&server);
    assert_eq!(
        authenticate(&guard, "x.y.z").await,
        Err(Denied::NotReady),
        "without keys no token can be checked"
    );
    publish_keys(&server, &[&old]).await;
    wait_until_ready(&guard).await;
    authenticate(&guard, &token(&old, &server.uri(), "")).await.unwrap();
    // A new key is fetched at its first use, once for all concurrent requests.
    publish_keys(&server, &[&old, &new]).await;
    let rotated = token(&new, &server.uri(), "");
    let answers = authenticate_concurrently(&guard, &rotated).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(jwks_fetches(&server).await, 1);
    // Further unknown keys cause no fetch for 30 seconds.
    let unknown = token(&key(), &server.uri(), "");
    for _ in 0..20 {
        assert_eq!(
            authenticate(&guard, &unknown).await,
            Err(Denied::InvalidToken(Reject::UnknownKey))
        );
    }
    assert_eq!(jwks_fetches(&server).await, 1);
    // While the authority answers 404, the last keys stay in use.
    server.reset().await;
    authenticate(&guard, &token(&old, &server.uri(), "")).await.unwrap();
}

async fn authenticate_concurrently(guard: &Guard, token: &str) -> Vec<Result<AccessToken, Denied>> {
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (guard, token) = (guard.clone(), token.to_owned());
            tokio::spawn(async move { authenticate(&guard, &token).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

struct NotesRead;

impl RequiredScope for NotesRead {
    const SCOPE: &'static str = "notes:read";
}

async fn any(token: AccessToken) -> String {
    token.client_id.clone()
}

async fn scoped(token: Scoped<NotesRead>) -> String {
    token.client_id.clone()
}

#[actix_web::test]
async fn the_extractor_answers_as_rfc_6750_requires() {
    let server = MockServer::start().await;
    let key = key();
    publish_keys(&server, &[&key]).await;
    let guard = guard(&server);
    wait_until_ready(&guard).await;
    let app = App::new()
        .app_data(guard)
        .route("/any", web::get().to(any))
        .route("/scoped", web::get().to(scoped));
    let app = test::init_service(app).await;
    let without_scope = format!("Bearer {}", token(&key, &server.uri(), "openid"));
    let with_scope = format!("bearer {}", token(&key, &server.uri(), "notes:read"));
    let foreign = format!("Bearer {}", token(&key, "https://evil.example", ""));
    for (path, headers, status, challenge) in [
        ("/any", vec![], 401, "Bearer realm=\"notes\""),
        ("/any", vec!["Basic eDp5"], 401, "Bearer realm=\"notes\""),
        ("/any", vec!["Bearer"], 401, "Bearer realm=\"notes\""),
        (
            "/any",
            vec![without_scope.as_str(), without_scope.as_str()],
            400,
            "error=\"invalid_request\"",
        ),
        (
            "/any",
            vec!["Bearer x"],
            401,
            "error=\"invalid_token\", error_description=\"the token is not a well-formed",
        ),
        (
            "/any",
            vec![foreign.as_str()],
            401,
            "error_description=\"the token is from another issuer\"",
        ),
        ("/any", vec![without_scope.as_str()], 200, ""),
        (
            "/scoped",
            vec![without_scope.as_str()],
            403,
            "error=\"insufficient_scope\", scope=\"notes:read\"",
        ),
        ("/scoped", vec![with_scope.as_str()], 200, ""),
    ] {
        let mut request = test::TestRequest::get().uri(path);
        for header in &headers {
            request = request.append_header(("Authorization", *header));
        }
        let answer = test::call_service(&app, request.to_request()).await;
        assert_eq!(answer.status(), StatusCode::from_u16(status).unwrap(), "{path} {headers:?}");
        let found =
            answer.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap());
        assert!(found.contains(challenge) && found.is_empty() == challenge.is_empty(), "{found}");
        if status != 200 {
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
            assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
        }
    }
}

#[actix_web::test]
async fn without_a_guard_in_the_app_data_requests_are_denied() {
    let app = test::init_service(App::new().route("/any", web::get().to(any))).await;
    let request = test::TestRequest::get().uri("/any").to_request();
    assert_eq!(test::call_service(&app, request).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[derive(Clone)]
struct ClientIdService;

impl tower_service::Service<Request<()>> for ClientIdService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let token = request.extensions().get::<AccessToken>().unwrap();
        std::future::ready(Ok(Response::new(token.client_id.clone())))
    }
}

#[tokio::test]
async fn the_layer_answers_as_rfc_6750_requires() {
    let server = MockServer::start().await;
    let key = key();
    publish_keys(&server, &[&key]).await;
    let guard = guard(&server);
    wait_until_ready(&guard).await;
    let mut service = AccessTokenLayer::new(guard).require("notes:read").layer(ClientIdService);
    let mut call = async |header: Option<String>| {
        let mut request = Request::builder().uri("/");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        service.call(request.body(()).unwrap()).await.unwrap()
    };
    assert_eq!(call(None).await.status(), 401);
    let without_scope = format!("Bearer {}", token(&key, &server.uri(), "openid"));
    let refused = call(Some(without_scope)).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("notes:read"));
    let with_scope = format!("Bearer {}", token(&key, &server.uri(), "notes:read"));
    assert_eq!(call(Some(with_scope)).await.body(), "worker");
}

#[actix_web::test]
async fn refusals_name_the_metadata_of_the_api() {
    let server = MockServer::start().await;
    let key = key();
    let resource = ProtectedResource::new("https://api.example/notes", &server.uri()).unwrap();
    let guard = guard(&server).with_metadata(&resource);
    assert_eq!(guard.challenge(&Denied::NotReady), None);
    publish_keys(&server, &[&key]).await;
    wait_until_ready(&guard).await;
    let named =
        "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/notes\"";
    let without_scope = format!("Bearer {}", token(&key, &server.uri(), "openid"));
    let refusals = [
        (None, 401, "Bearer realm=\"notes\", "),
        (Some("Bearer x"), 401, "error=\"invalid_token\""),
        (Some(without_scope.as_str()), 403, "scope=\"notes:read\""),
    ];
    let app = App::new().app_data(guard.clone()).route("/scoped", web::get().to(scoped));
    let app = test::init_service(app).await;
    let mut service = AccessTokenLayer::new(guard).require("notes:read").layer(ClientIdService);
    for (header, status, part) in refusals {
        let mut request = test::TestRequest::get().uri("/scoped");
        let mut by_tower = Request::builder().uri("/");
        if let Some(header) = header {
            request = request.append_header(("Authorization", header));
            by_tower = by_tower.header("authorization", header);
        }
        let answer = test::call_service(&app, request.to_request()).await;
        let by_tower = service.call(by_tower.body(()).unwrap()).await.unwrap();
        assert_eq!((answer.status().as_u16(), by_tower.status().as_u16()), (status, status));
        let challenge = answer.headers().get("www-authenticate").unwrap().to_str().unwrap();
        assert_eq!(by_tower.headers()["www-authenticate"], challenge);
        assert!(challenge.contains(part) && challenge.ends_with(named), "{challenge}");
    }
}

#[tokio::test]
async fn an_hs256_secret_needs_no_published_keys() {
    let server = MockServer::start().await;
    let private = SigningKey::generate(Algorithm::HS256).unwrap();
    let key = SigningKey::from_private(Algorithm::HS256, &private).unwrap();
    let keys = KeySet::default().with_secret(key.id(), &private).unwrap();
    let verifier = Verifier::new(server.uri(), "notes").algorithms(&[Algorithm::HS256]);
    let guard = Guard::new(verifier, &server.uri(), keys).unwrap().with_clock(|| NOW);
    assert!(guard.is_ready());
    authenticate(&guard, &token(&key, &server.uri(), "")).await.unwrap();
}

#[tokio::test]
async fn keys_that_come_in_the_clear_are_refused() {
    for issuer in [
        "http://aa.example",
        "http://192.0.2.1:8080",
        "http://localhost.example",
        "http://localhost@aa.example",
        "http://[2001:db8::1]",
        "ftp://localhost",
        "aa.example",
        "",
    ] {
        let refused = Guard::connect(issuer, "notes").err();
        assert!(matches!(refused, Some(FetchError::InsecureIssuer(_))), "{issuer}: {refused:?}");
    }
    for issuer in [
        "https://aa.example",
        "http://localhost:8080",
        "http://aa.localhost",
        "http://127.0.0.1:1",
        "http://[::1]:1",
    ] {
        assert!(Guard::connect(issuer, "notes").is_ok(), "{issuer}");
    }
    // Said on purpose: within one network of containers.
    let verifier = Verifier::new("http://aa.example", "notes");
    assert!(Guard::new(verifier, "http://proxy:8080", KeySet::default()).is_ok());
}

/// Publishes keys, and a feed of ends with these revocations: each connection is told everything, and ended.
async fn publish_ends(server: &MockServer, key: &SigningKey, revocations: Value) {
    publish_keys(server, &[key]).await;
    let data = json!({ "revocations": revocations });
    let events =
        format!("id: 7.7\nevent: revocations\ndata: {data}\n\nevent: current\ndata: {{}}\n\n");
    let answer = ResponseTemplate::new(200).set_body_raw(events, "text/event-stream");
    Mock::given(method("GET"))
        .and(path("/revocations"))
        .and(header("authorization", "Basic bm90ZXM6YSUzQWI="))
        .respond_with(answer)
        .mount(server)
        .await;
}

fn follow(server: &MockServer) -> Follower {
    let source = FeedSource {
        authority: server.uri(),
        client_id: "notes".to_owned(),
        client_secret: "a:b".to_owned(),
        name: String::new(),
    };
    Follower::follow(source, false).unwrap()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

#[actix_web::test]
async fn ended_sessions_are_refused_and_silence_is_judged_by_each_route() {
    let (server, key) = (MockServer::start().await, key());
    publish_ends(&server, &key, json!([])).await;
    let follower = follow(&server);
    let plain = guard(&server);
    let best_effort = plain.clone().best_effort(follower.clone());
    let require = plain.clone().require(follower.clone(), Duration::from_secs(2));
    until("the guards are ready", async || require.is_ready() && best_effort.is_ready()).await;
    let token = token(&key, &server.uri(), "");
    for guard in [&plain, &best_effort, &require] {
        authenticate(guard, &token).await.unwrap();
    }
    // A route may want a fresher word than the others, and without a follower there is none.
    let never = Duration::ZERO;
    assert_eq!(authenticate(&best_effort.clone().at_most(never), &token).await, Err(Denied::Stale));
    assert_eq!(authenticate(&plain.clone().at_most(never), &token).await, Err(Denied::Stale));

    let route = web::scope("/money")
        .app_data(best_effort.clone().at_most(never))
        .route("/", web::get().to(any));
    let app =
        App::new().app_data(best_effort.clone()).route("/", web::get().to(any)).service(route);
    let app = test::init_service(app).await;
    for (uri, status) in [("/", StatusCode::OK), ("/money/", StatusCode::SERVICE_UNAVAILABLE)] {
        let request = test::TestRequest::get().uri(uri);
        let request = request.insert_header(("authorization", format!("Bearer {token}")));
        assert_eq!(test::call_service(&app, request.to_request()).await.status(), status, "{uri}");
    }

    let end = json!({ "type": "client", "client_id": "worker", "issued_before": NOW + 1, "reason": "client_disabled",
        "ended_at": NOW, "until": NOW + 400 });
    publish_ends(&server, &key, json!([end])).await;
    let is_ended = async || authenticate(&best_effort, &token).await == Err(Denied::Ended);
    until("the end is known", is_ended).await;
    assert_eq!(authenticate(&require, &token).await, Err(Denied::Ended));
    authenticate(&plain, &token).await.unwrap();
    let other = key.sign(
        "at+jwt",
        &json!({ "iss": server.uri(), "sub": "app:other", "aud": "notes",
        "client_id": "other", "iat": NOW, "exp": NOW + 300, "jti": "two", "scope": "" }),
    );
    let other = other.unwrap();
    authenticate(&require, &other).await.unwrap();

    // The authority goes away: what is known stays known, and who requires its word answers nothing more.
    publish_keys(&server, &[&key]).await;
    until("the word is old", async || require.is_stale()).await;
    assert_eq!(authenticate(&require, &other).await, Err(Denied::Stale));
    assert!(!require.is_ready() && best_effort.is_ready());
    authenticate(&best_effort, &other).await.unwrap();
    assert_eq!(authenticate(&best_effort, &token).await, Err(Denied::Ended));
}

/// An end of a kind that this version does not know cannot be applied, so the follower does not say that it knows everything.
#[actix_web::test]
async fn a_follower_that_cannot_apply_an_end_is_not_current() {
    let (server, key) = (MockServer::start().await, key());
    publish_ends(
        &server,
        &key,
        json!([{ "type": "galaxy", "reason": "", "ended_at": 1, "until": 2 }]),
    )
    .await;
    let follower = follow(&server);
    until("it has tried twice", async || {
        let requests = server.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path() == "/revocations").count() >= 2
    })
    .await;
    assert_eq!(follower.age(), None);
}
