//! `private_key_jwt`: clients that authenticate by assertions that they sign (RFC 7523 §3).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use tokens::{Algorithm, SigningKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Answer, CALLBACK, Engine, OAuthApp, TestApp, VERIFIER, both_databases};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const LOCAL: (&str, &str) = ("delivery_networks", "127.0.0.0/8");

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::from_private(algorithm, &SigningKey::generate(algorithm).unwrap()).unwrap()
}

fn jwks(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.public_jwk().unwrap()).collect::<Vec<_>>() })
}

/// Good claims of a client, with a `jti` of their own.
fn claims(t: &TestApp, client_id: &str) -> Value {
    let now = t.authority.now().secs();
    json!({
        "iss": client_id,
        "sub": client_id,
        "aud": t.authority.config.public_url.as_str(),
        "iat": now,
        "exp": now + 60,
        "jti": t.authority.random.uuid().to_string(),
    })
}

/// Posts with an assertion and nothing else to authenticate by.
async fn post(t: &TestApp, path: &str, assertion: &str, fields: &[(&str, &str)]) -> Answer {
    let mut form = vec![("client_assertion_type", TYPE), ("client_assertion", assertion)];
    form.extend_from_slice(fields);
    let url = format!("{}{path}", t.url);
    crate::support::read(crate::support::client().post(url).form(&form).send().await.unwrap()).await
}

async fn token(t: &TestApp, assertion: &str) -> Answer {
    post(t, "/oauth/token", assertion, &[("grant_type", "client_credentials")]).await
}

#[track_caller]
fn not_authenticated(answer: &Answer) {
    let error = answer.json["error"].as_str();
    assert_eq!((answer.status, error), (StatusCode::UNAUTHORIZED, Some("invalid_client")));
}

async fn service(t: &TestApp, jwks: Value) -> OAuthApp {
    t.add_client("svc", ClientType::Service, |metadata| metadata.jwks = Some(jwks)).await
}

#[apply(both_databases)]
async fn clients_authenticate_by_their_keys_at_every_endpoint(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let keys = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256].map(key);
    let app = t
        .add_client("backend", ClientType::Confidential, |metadata| {
            metadata.jwks = Some(jwks(&keys.each_ref()));
        })
        .await;
    assert_eq!(app.secret, None, "no secret is made");
    let browser = t.signed_in("ann@example.com").await;
    let code = browser.open(&app).await;
    let issuer = t.authority.config.public_url.clone();
    let sign = |number: usize, aud: Value| {
        let mut claims = claims(&t, "backend");
        claims["aud"] = aud;
        keys[number].sign("JWT", &claims).unwrap()
    };
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let first = post(&t, "/oauth/token", &sign(0, json!(issuer.as_str())), &redeem).await.ok();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", first.refresh_token())];
    let token_endpoint = json!([issuer.join("/oauth/token")]);
    let second = post(&t, "/oauth/token", &sign(1, token_endpoint), &refresh).await.ok();
    let asked = [("token", second.access_token())];
    let introspect = json!(issuer.join("/oauth/introspect"));
    let read = post(&t, "/oauth/introspect", &sign(2, introspect), &asked).await.ok();
    assert_eq!(read.json["active"], true);
    let ended = [("token", second.refresh_token())];
    let revoke = json!([issuer.as_str(), issuer.join("/oauth/revoke")]);
    post(&t, "/oauth/revoke", &sign(0, revoke), &ended).await.ok();
    assert!(!t.is_live(first.family()).await);
}

#[apply(both_databases)]
async fn an_agent_with_keys_is_asked_about_as_others_and_is_told_of_no_token(
    #[case] engine: Engine,
) {
    let Some(t) = engine.start().await else { return };
    let key = key(Algorithm::ES256);
    let add = t.add_client("bot", ClientType::Agent, |agent| {
        agent.scopes = vec!["notes:read".to_owned()];
        agent.redirect_uris = vec![CALLBACK.to_owned()];
        agent.jwks = Some(jwks(&[&key]));
    });
    let bot = add.await;
    let browser = t.signed_in("ann@example.com").await;
    let asked = browser.ask(&bot, &[("scope", "notes:read")]).await;
    let page = crate::support::location(&asked);
    assert!(page.starts_with("/continue?"), "{page}");
    let code = browser.continue_to(&page, "continue").await;
    let code = crate::support::answer_of(&code)["code"].clone();
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    not_authenticated(&bot.token(&redeem).await);
    let sign = || key.sign("JWT", &claims(&t, "bot")).unwrap();
    let tokens = post(&t, "/oauth/token", &sign(), &redeem).await.ok();
    let token = [("token", tokens.access_token())];
    not_authenticated(&post(&t, "/oauth/introspect", &sign(), &token).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rsa_pss_is_accepted_and_a_key_says_what_it_is_for() {
    let t = TestApp::sqlite().await;
    let private = SigningKey::generate(Algorithm::RS256).unwrap();
    let mut jwk =
        SigningKey::from_private(Algorithm::RS256, &private).unwrap().public_jwk().unwrap();
    let pair = RsaKeyPair::from_pkcs8(&private).unwrap();
    let pss = |claims: &Value| {
        let input = [json!({ "alg": "PS256" }), claims.clone()]
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
            .join(".");
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let rs256 = t
        .add_client("rs256", ClientType::Service, |metadata| {
            metadata.jwks = Some(json!({ "keys": [jwk.clone()] }));
        })
        .await;
    not_authenticated(&token(&t, &pss(&claims(&t, &rs256.id))).await);
    jwk.as_object_mut().unwrap().remove("alg");
    service(&t, json!({ "keys": [jwk] })).await;
    token(&t, &pss(&claims(&t, "svc"))).await.ok();
}

#[apply(both_databases)]
async fn an_assertion_counts_once_over_all_replicas(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let key = key(Algorithm::ES256);
    service(&t, jwks(&[&key])).await;
    let mut replicas = vec![t];
    if matches!(engine, Engine::Postgres) {
        let public_url = replicas[0].authority.config.public_url.to_string();
        let database = Some(replicas[0].database_url.clone());
        replicas.push(TestApp::with(database, &[("public_url", &public_url)]).await);
    }
    for _ in 0..5 {
        let assertion = key.sign("JWT", &claims(&replicas[0], "svc")).unwrap();
        let posts = (0..32).map(|n| token(&replicas[n % replicas.len()], &assertion));
        let answers = join_all(posts).await;
        let (good, bad): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == StatusCode::OK);
        assert_eq!(good.len(), 1);
        bad.iter().for_each(not_authenticated);
    }
    // Two clients may choose the same `jti`.
    let other = self::key(Algorithm::EdDSA);
    let t = &replicas[0];
    t.add_client("other", ClientType::Service, |metadata| {
        metadata.jwks = Some(jwks(&[&other]));
    })
    .await;
    let mut same = claims(t, "svc");
    token(t, &key.sign("JWT", &same).unwrap()).await.ok();
    (same["iss"], same["sub"]) = (json!("other"), json!("other"));
    token(t, &other.sign("JWT", &same).unwrap()).await.ok();
}

#[apply(both_databases)]
async fn used_assertions_are_forgotten_when_they_have_expired(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let key = key(Algorithm::EdDSA);
    service(&t, jwks(&[&key])).await;
    let assertion = key.sign("JWT", &claims(&t, "svc")).unwrap();
    token(&t, &assertion).await.ok();
    // Within the leeway after `exp` it is remembered; afterwards it is refused as expired.
    for seconds in [0, 89, 4] {
        t.advance(seconds);
        t.authority.store.remove_old(t.authority.now(), Duration::from_hours(24)).await.unwrap();
        not_authenticated(&token(&t, &assertion).await);
    }
    let rows = database::all!(
        t.authority.store.db().read(),
        (String,),
        "SELECT client_id FROM client_assertions"
    );
    assert!(rows.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn assertions_with_a_wrong_claim_are_refused() {
    let t = TestApp::sqlite().await;
    let key = key(Algorithm::EdDSA);
    service(&t, jwks(&[&key])).await;
    let now = t.authority.now().secs();
    let issuer = t.authority.config.public_url.as_str().to_owned();
    for (name, value) in [
        ("iss", json!("other")),
        ("iss", Value::Null),
        ("sub", json!("other")),
        ("sub", json!(7)),
        ("aud", Value::Null),
        ("aud", json!("https://other.example")),
        ("aud", json!([])),
        ("aud", json!([issuer, "https://other.example"])),
        ("aud", json!(format!("{issuer}/"))),
        ("aud", json!(format!("{issuer}/oauth/introspect"))),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("exp", json!(now - 31)),
        ("exp", json!(now + 640)),
        ("iat", json!(now + 40)),
        ("iat", json!("now")),
        ("nbf", json!(now + 40)),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("x".repeat(257))),
    ] {
        let mut claims = claims(&t, "svc");
        match &value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
        let answer = token(&t, &key.sign("JWT", &claims).unwrap()).await;
        not_authenticated(&answer);
        assert_eq!(answer.headers["cache-control"], "no-store", "{name} {value}");
    }
    let mut good = claims(&t, "svc");
    good["exp"] = format!("{}.5", now + 590).parse().unwrap();
    token(&t, &key.sign("JWT", &good).unwrap()).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_has_keys_or_a_secret_and_never_both() {
    let t = TestApp::sqlite().await;
    let key = key(Algorithm::EdDSA);
    let with_secret = t.add_client("secret", ClientType::Service, |_| ()).await;
    let secret = with_secret.secret.clone().unwrap();
    let grant = [("grant_type", "client_credentials")];
    with_secret.token(&grant).await.ok();

    // `client_secret_jwt`, an unsigned assertion, and keys that no client has.
    let claims_of_it = claims(&t, "secret");
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let hmac = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256),
        &claims_of_it,
        &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
    );
    let unsigned = format!("{}.{}.", encode(&json!({ "alg": "none" })), encode(&claims_of_it));
    for assertion in [hmac.unwrap(), unsigned, key.sign("JWT", &claims_of_it).unwrap()] {
        not_authenticated(&token(&t, &assertion).await);
    }

    // From a secret to keys: the secret is gone, and does not come back with the change back.
    let mut metadata = t.authority.store.client("secret").await.unwrap().unwrap().metadata;
    metadata.jwks = Some(jwks(&[&key]));
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    not_authenticated(&with_secret.token(&grant).await);
    token(&t, &key.sign("JWT", &claims(&t, "secret")).unwrap()).await.ok();
    let refused =
        clients::rotate_secret(&t.authority, "secret", Duration::ZERO, &Caller::operator()).await;
    assert!(refused.unwrap_err().to_string().contains("authenticates by its keys"));
    metadata.jwks = None;
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    not_authenticated(&with_secret.token(&grant).await);
    not_authenticated(&token(&t, &key.sign("JWT", &claims(&t, "secret")).unwrap()).await);

    // Two ways at once, another `client_id` or type.
    service(&t, jwks(&[&key])).await;
    let assertion = || key.sign("JWT", &claims(&t, "svc")).unwrap();
    for more in [[("client_secret", secret.as_str())], [("client_id", "other")]] {
        let fields = [grant[0], more[0]];
        post(&t, "/oauth/token", &assertion(), &fields).await.refused("invalid_request");
    }
    let basic = OAuthApp { id: "svc".to_owned(), ..with_secret };
    let both = [grant[0], ("client_assertion_type", TYPE), ("client_assertion", &assertion())];
    basic.token(&both).await.refused("invalid_request");
    let public = OAuthApp { secret: None, ..basic };
    let saml = [grant[0], ("client_assertion_type", "saml"), ("client_assertion", &assertion())];
    public.token(&saml).await.refused("invalid_request");
    // Its identifier alone does not authenticate it.
    not_authenticated(&public.token(&grant).await);
}

/// A client's server that publishes keys, and counts how often they were asked for.
struct Publisher {
    url: String,
    document: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    async fn start(keys: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let document = Arc::new(Mutex::new(keys.to_string()));
        let asked = Arc::<AtomicUsize>::default();
        let (shown, count) = (Arc::clone(&document), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                count.fetch_add(1, Ordering::SeqCst);
                let body = shown.lock().unwrap().clone();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, document, asked }
    }

    fn publish(&self, text: String) {
        *self.document.lock().unwrap() = text;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_at_an_address_are_fetched_when_they_are_needed_and_not_more_often() {
    let t = TestApp::with(None, &[LOCAL]).await;
    let (old, new) = (key(Algorithm::ES256), key(Algorithm::EdDSA));
    let publisher = Publisher::start(&jwks(&[&old])).await;
    t.add_client("svc", ClientType::Service, |metadata| {
        metadata.jwks_uri = Some(publisher.url.clone());
    })
    .await;
    let by =
        async |key: &SigningKey| token(&t, &key.sign("JWT", &claims(&t, "svc")).unwrap()).await;
    for _ in 0..3 {
        by(&old).await.ok();
    }
    assert_eq!(publisher.asked(), 1);
    // A key that is not known is looked for once in 30 seconds, however many assertions name one.
    publisher.publish(jwks(&[&old, &new]).to_string());
    for _ in 0..5 {
        not_authenticated(&by(&new).await);
    }
    assert_eq!(publisher.asked(), 1);
    t.advance(31);
    let together = join_all((0..10).map(|_| by(&new))).await;
    for answer in together {
        answer.ok();
    }
    assert_eq!(publisher.asked(), 2);
    // While the address answers with something else, the last keys count for an hour.
    publisher.publish("x".repeat(70_000));
    for (seconds, good) in [(601, true), (2900, true), (200, false)] {
        t.advance(seconds);
        let answer = by(&new).await;
        assert_eq!(answer.status == StatusCode::OK, good, "{seconds}");
    }
    // A key that is withdrawn is gone with the next fetch.
    publisher.publish(jwks(&[&new]).to_string());
    t.advance(31);
    by(&new).await.ok();
    not_authenticated(&by(&old).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_are_not_fetched_from_addresses_that_are_not_public() {
    let t = TestApp::sqlite().await;
    let key = key(Algorithm::EdDSA);
    let publisher = Publisher::start(&jwks(&[&key])).await;
    t.add_client("svc", ClientType::Service, |metadata| {
        metadata.jwks_uri = Some(publisher.url.clone());
    })
    .await;
    not_authenticated(&token(&t, &key.sign("JWT", &claims(&t, "svc")).unwrap()).await);
    assert_eq!(publisher.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn discovery_names_the_method_and_its_algorithms() {
    let t = TestApp::sqlite().await;
    let url = format!("{}/.well-known/oauth-authorization-server", t.url);
    let document: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    for endpoint in ["token", "revocation", "introspection"] {
        let methods = &document[format!("{endpoint}_endpoint_auth_methods_supported")];
        let methods = methods.as_array().unwrap();
        assert!(methods.contains(&json!("private_key_jwt")), "{endpoint}");
        assert!(!methods.contains(&json!("client_secret_jwt")), "{endpoint}");
        let algorithms =
            &document[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
        assert_eq!(*algorithms, json!(["RS256", "PS256", "ES256", "EdDSA"]));
    }
}
