//! Signing keys are announced, sign, and retire by age: no verifier meets a token whose key it does not have.

use std::collections::BTreeSet;
use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::ops::{clients, key_phases, keys};
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use tokens::jws::Compact;
use tokens::{Algorithm, KeySet, RemoteKeys, Verifier};

use crate::support::{
    Browser, Engine, OAuthApp, TestApp, both_databases, client, header_of, until,
};

/// An authority whose keys rotate every minute, and on PostgreSQL a second replica of it.
async fn replicas(engine: Engine, interval: &str) -> Option<Vec<TestApp>> {
    let given = [("key_rotation", interval)];
    let first = TestApp::first_start(engine, &given).await?;
    if matches!(engine, Engine::Sqlite) {
        return Some(vec![first]);
    }
    let public_url = first.authority.config.public_url.to_string();
    let given = [given[0], ("public_url", public_url.as_str())];
    let second = TestApp::with(Some(first.database_url.clone()), &given).await;
    Some(vec![first, second])
}

/// What the background fetch of an API knows after it: `tokens` fetches every five minutes.
async fn fetched(t: &TestApp) -> RemoteKeys {
    let url = format!("{}/.well-known/jwks.json", t.url);
    let keys = RemoteKeys::follow(url, KeySet::default()).unwrap();
    until("the keys are there", || keys.is_ready()).await;
    keys
}

/// A run of the job on every replica at once, then the reload that each does.
async fn run_jobs(replicas: &[TestApp]) {
    let runs = replicas.iter().map(|t| async {
        let twice =
            tokio::join!(key_phases::advance(&t.authority), key_phases::advance(&t.authority));
        twice.0.unwrap();
        twice.1.unwrap();
    });
    futures_util::future::join_all(runs).await;
    for t in replicas {
        t.authority.keyring.reload(&t.authority.store, t.authority.now()).await.unwrap();
    }
}

struct Held {
    token: String,
    audience: &'static str,
    expires_at: i64,
}

async fn issue(app: &OAuthApp, audience: &'static str) -> Held {
    // By a connection of its own: minutes of the test's clock can take the server's keep-alive time.
    let app = OAuthApp { http: client(), ..app.clone() };
    let answer = app.token(&[("grant_type", "client_credentials")]).await.ok();
    let expires_at = answer.claims()["exp"].as_i64().unwrap();
    Held { token: answer.access_token().to_owned(), audience, expires_at }
}

#[apply(both_databases)]
async fn keys_that_rotate_every_minute_refuse_no_token(#[case] engine: Engine) {
    const ALGORITHMS: [(&str, Algorithm); 3] =
        [("eddsa", Algorithm::EdDSA), ("es256", Algorithm::ES256), ("rs256", Algorithm::RS256)];
    let Some(replicas) = replicas(engine, "1m").await else { return };
    let t = &replicas[0];
    let mut apps = Vec::new();
    for (id, algorithm) in ALGORITHMS {
        let client = t.add_client(id, ClientType::Service, |metadata| {
            metadata.at_alg = Some(algorithm);
        });
        apps.push((id, client.await));
    }
    let issuer = t.authority.config.public_url.as_str();
    let mut known = fetched(t).await;
    let mut held: Vec<Held> = Vec::new();
    let mut kids = BTreeSet::new();
    for minute in 1..=20 {
        for t in &replicas {
            t.advance(60);
        }
        run_jobs(&replicas).await;
        for (id, app) in &apps {
            for replica in &replicas {
                held.push(issue(&app.at(&replica.url), id).await);
                kids.insert(header_of(&held.last().unwrap().token)["kid"].to_string());
            }
        }
        let now = t.authority.now().secs();
        held.retain(|held| held.expires_at > now);
        // With the keys of the last fetch, without one more for an unknown `kid`; and by an API that starts now.
        let started = fetched(replicas.last().unwrap()).await;
        for Held { token, audience, .. } in &held {
            for keys in [&known, &started] {
                let verified = Verifier::new(issuer, *audience).verify(token, &keys.current(), now);
                verified.unwrap_or_else(|refused| panic!("minute {minute}, {audience}: {refused}"));
            }
        }
        if minute % 5 == 0 {
            known = fetched(t).await;
        }
    }
    assert!(kids.len() >= 3 * 19, "{} keys have signed", kids.len());
    let published = fetched(t).await.current().key_ids().len();
    assert!(published <= 4 * 28, "{published} keys are published");
    // Each phase of each key is one event, however many replicas see it.
    for kind in ["key.made", "key.signing", "key.retired"] {
        let events = t.events(kind).await;
        let named: BTreeSet<_> =
            events.iter().map(|event| event.detail["kid"].to_string()).collect();
        assert_eq!(
            (named.len(), events.iter().all(|event| event.count == 1)),
            (events.len(), true),
            "{kind}"
        );
        assert!(!events.is_empty(), "{kind}");
    }
}

#[apply(both_databases)]
async fn a_key_retires_when_the_longest_token_has_expired(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let long = t.add_client("long", ClientType::Service, |metadata| {
        metadata.lifetimes.at_ttl = Some(Duration::from_hours(2));
    });
    let app = long.await;
    let step = async |seconds| {
        t.advance(seconds);
        run_jobs(std::slice::from_ref(&t)).await;
    };
    // The feed's job writes the longest life down.
    for _ in 0..500 {
        let life = t.authority.store.longest_token_life(t.authority.now()).await.unwrap();
        if life.is_some_and(|seconds| seconds >= 7200) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rotated = keys::rotate(&t.authority, &Caller::operator()).await.unwrap();
    step(590).await;
    let last = issue(&app, "long").await;
    step(11).await;
    let next = issue(&app, "long").await;
    assert!(rotated.iter().any(|kid| header_of(&next.token)["kid"] == kid.as_str()));
    // A shorter life from now on changes nothing for the tokens that there are.
    let mut shorter = t.authority.store.client("long").await.unwrap().unwrap().metadata;
    shorter.lifetimes.at_ttl = None;
    aa_server::ops::clients::apply(&t.authority, &shorter, &Caller::operator()).await.unwrap();
    let issuer = t.authority.config.public_url.as_str();
    let verify = async |token: &str| {
        let keys = fetched(&t).await.current();
        Verifier::new(issuer, "long").verify(token, &keys, t.authority.now().secs())
    };
    step(7100).await;
    verify(&last.token).await.unwrap();
    step(1000).await;
    assert_eq!(
        verify(&last.token).await.unwrap_err().to_string(),
        tokens::Reject::UnknownKey.to_string()
    );
    assert_eq!(t.events("key.retired").await.len(), 4);
}

#[apply(both_databases)]
async fn keys_rotate_by_age_or_by_command_only(#[case] engine: Engine) {
    for (interval, days, made) in
        [("90d", 89, 4), ("90d", 90, 8), ("never", 400, 4), ("0s", 400, 4)]
    {
        let Some(replicas) = replicas(engine, interval).await else { return };
        for t in &replicas {
            t.advance(days * 24 * 3600);
        }
        run_jobs(&replicas).await;
        assert_eq!(
            replicas[0].authority.store.keys(replicas[0].authority.now()).await.unwrap().len(),
            made,
            "{interval}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn caches_keep_the_keys_for_less_than_a_new_one_is_announced() {
    let t = TestApp::sqlite().await;
    let answer = reqwest::get(format!("{}/.well-known/jwks.json", t.url)).await.unwrap();
    let cache = answer.headers()["cache-control"].to_str().unwrap();
    let max_age: u64 = cache.strip_prefix("public, max-age=").unwrap().parse().unwrap();
    let now = t.authority.now();
    keys::rotate(&t.authority, &Caller::operator()).await.unwrap();
    let rows = t.authority.store.keys(now).await.unwrap();
    let ahead = rows.iter().map(|row| row.signs_from).max().unwrap().since(now);
    assert!(Duration::from_secs(max_age + 15 + 330) < ahead, "{max_age} s, {ahead:?}");
}

#[apply(both_databases)]
async fn a_key_that_was_announced_and_withdrawn_never_signs(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let operator = Caller::operator();
    for _ in 0..2 {
        let announced = keys::rotate(&t.authority, &operator).await.unwrap();
        for kid in &announced {
            let successor = keys::revoke(&t.authority, kid, &operator).await.unwrap().unwrap();
            assert_eq!(successor, None, "the present one goes on");
        }
    }
    let announced = keys::rotate(&t.authority, &operator).await.unwrap();
    t.advance(601);
    run_jobs(std::slice::from_ref(&t)).await;
    let app = t.add_client("svc", ClientType::Service, |_| ()).await;
    let kid = header_of(&issue(&app, "svc").await.token)["kid"].clone();
    assert!(announced.iter().any(|announced| kid == announced.as_str()));
    // A key that retires does not take over from one that has leaked.
    let successor = keys::revoke(&t.authority, kid.as_str().unwrap(), &operator).await.unwrap();
    let successor = successor.unwrap().unwrap();
    assert_eq!(header_of(&issue(&app, "svc").await.token)["kid"], successor.as_str());
}

/// The ID token of a new session of this app, and its key.
async fn id_token(browser: &Browser, app: &OAuthApp) -> (String, String) {
    let app = OAuthApp { http: client(), ..app.clone() };
    let answer = app.redeem(&browser.open(&app).await).await.ok();
    let text = answer.json["id_token"].as_str().unwrap().to_owned();
    let kid = header_of(&text)["kid"].as_str().unwrap().to_owned();
    (text, kid)
}

#[apply(both_databases)]
async fn ps256_has_keys_of_its_own_and_signs_id_tokens(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let mut browser = t.signed_in("ann@example.com").await;
    let ps256 = |app: &mut ClientMetadata| app.id_token_alg = Some(Algorithm::PS256);
    let app = t.add_client("pss", ClientType::Confidential, ps256).await;
    let plain = t.confidential().await;
    let (old, of_ps256) = id_token(&browser, &app).await;
    let (_, of_rs256) = id_token(&browser, &plain).await;
    assert_ne!(of_ps256, of_rs256, "a key has one algorithm");
    let jwks = client().get(format!("{}/.well-known/jwks.json", t.url)).send().await.unwrap();
    let jwks: Value = jwks.json().await.unwrap();
    let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == *of_ps256).unwrap();
    assert_eq!((&jwk["kty"], &jwk["alg"]), (&json!("RSA"), &json!("PS256")));

    let check = async |text: &str, algorithm| {
        let keys = fetched(&t).await.current();
        keys.check(&Compact::parse(text).unwrap(), &[algorithm])
    };
    check(&old, Algorithm::PS256).await.unwrap();
    check(&old, Algorithm::RS256).await.unwrap_err();

    // It is announced, signs and retires as the others do.
    keys::rotate(&t.authority, &Caller::operator()).await.unwrap();
    t.advance(601);
    run_jobs(std::slice::from_ref(&t)).await;
    browser.http = client();
    let (new, kid) = id_token(&browser, &app).await;
    assert!(kid != of_ps256 && header_of(&new)["alg"] == "PS256");
    for text in [&old, &new] {
        check(text, Algorithm::PS256).await.unwrap();
    }
    // A hint of either key says who signed in (OpenID Connect Core §3.1.2.1).
    for hint in [&old, &new] {
        browser.open_with(&app, &[("id_token_hint", hint), ("prompt", "none")]).await;
    }
    // Withdrawn, another one takes its place at once.
    let successor = keys::revoke(&t.authority, &kid, &Caller::operator()).await.unwrap().unwrap();
    let (_, next) = id_token(&browser, &app).await;
    assert_eq!(Some(next), successor);

    let mut metadata = t.authority.store.client("pss").await.unwrap().unwrap().metadata;
    metadata.at_alg = Some(Algorithm::PS256);
    let refused = clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap_err();
    assert!(refused.to_string().starts_with("at_alg: "), "{refused}");
}
