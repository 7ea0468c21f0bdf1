//! Application tokens that pages hold are bound to a key of the browser (DPoP, RFC 9449), so that a copy of one is worth
//! nothing.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use testing::dpop::{Key, hash};

use crate::support::{Browser, World, world, world_with_dpop};

const HOUR: Duration = Duration::from_hours(1);

/// A page with a key, in a browser where Ann is signed in.
struct Page<'w> {
    world: &'w World,
    browser: Browser,
    key: Key,
}

impl<'w> Page<'w> {
    async fn of(world: &'w World, app: &str) -> Self {
        Self { world, browser: world.ann_at(app).await, key: Key::generate() }
    }

    fn proof(&self, (method, url): (&str, &str), more: &Value) -> String {
        let authority = self.world.demo.authority();
        let mut claims = json!({
            "jti": authority.random.uuid().to_string(),
            "htm": method,
            "htu": url,
            "iat": authority.now().secs(),
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.key.proof(&claims)
    }

    /// A proof for the token endpoint.
    fn proof_of_refresh(&self, nonce: &str) -> String {
        let url = format!("{}/oauth/token", self.world.authority());
        self.proof(("POST", &url), &json!({ "nonce": nonce }))
    }

    /// Asks for a token with proofs, as `clients/js` does: again with the nonce that the first answer tells.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Value {
        let first = request().header("dpop", self.proof_of_refresh(""));
        let first = self.browser.send(first).await;
        let nonce = refused(first, "use_dpop_nonce").await.unwrap();
        let second = request().header("dpop", self.proof_of_refresh(&nonce));
        let second = self.browser.send(second).await;
        assert_eq!(second.status(), 200);
        assert!(second.headers().contains_key("dpop-nonce"));
        let token: Value = second.json().await.unwrap();
        assert_eq!(token["token_type"], "DPoP", "{token}");
        token
    }

    /// Whether the API accepts a token with this scheme, and a proof of this page or none.
    async fn opens_notes(&self, scheme: &str, token: &str, proves: bool) -> bool {
        let url = format!("{}/notes", self.world.options.url(1));
        let mut request =
            reqwest::Client::new().get(&url).header("authorization", format!("{scheme} {token}"));
        if proves {
            let ath = json!({ "ath": hash(token) });
            request = request.header("dpop", self.proof(("GET", &url), &ath));
        }
        request.send().await.unwrap().status() == 200
    }
}

/// The nonce of a refusal with this code.
async fn refused(answer: Response, code: &str) -> Option<String> {
    assert_eq!(answer.status(), 400);
    let nonce = answer.headers().get("dpop-nonce").map(|nonce| nonce.to_str().unwrap().to_owned());
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "error": code }));
    nonce
}

fn access_token(answer: &Value) -> &str {
    answer["access_token"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_is_taken_from_the_page_opens_nothing() {
    let world = world_with_dpop(HOUR).await;
    let tmb = Page::of(&world, &world.tmb("")).await;
    let spa = Page::of(&world, &world.spa("")).await;
    let me: Value = spa.browser.get(&world.spa("/auth/me")).await.json().await.unwrap();
    let csrf = me["csrf_token"].as_str().unwrap();
    let of_tmb = tmb.ask(|| tmb.browser.request(Method::GET, &world.tmb("/auth/token"))).await;
    let refresh = || {
        spa.browser.request(Method::POST, &world.spa("/auth/refresh")).header("x-csrf-token", csrf)
    };
    let of_spa = spa.ask(refresh).await;
    for (page, thief, answer) in [(&tmb, &spa, &of_tmb), (&spa, &tmb, &of_spa)] {
        let token = access_token(answer);
        assert!(page.opens_notes("DPoP", token, true).await);
        assert!(!page.opens_notes("DPoP", token, false).await, "without a proof");
        assert!(!page.opens_notes("Bearer", token, true).await, "as a bearer token");
        assert!(!thief.opens_notes("DPoP", token, true).await, "with another key");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_script_in_the_page_gets_no_bearer_token() {
    let world = world_with_dpop(HOUR).await;
    let tmb = Page::of(&world, &world.tmb("")).await;
    let spa = Page::of(&world, &world.spa("")).await;
    let me: Value = spa.browser.get(&world.spa("/auth/me")).await.json().await.unwrap();
    let csrf = me["csrf_token"].as_str().unwrap();
    let before = world.generations().await;
    for path in ["/auth/token", "/auth/session"] {
        let ask = || tmb.browser.request(Method::GET, &world.tmb(path));
        for request in [ask(), ask().header("dpop", "x"), ask().header("dpop", "a.b.c")] {
            refused(tmb.browser.send(request).await, "invalid_dpop_proof").await;
        }
        let twice = ask().header("dpop", tmb.proof_of_refresh("")).header("dpop", "x");
        refused(tmb.browser.send(twice).await, "invalid_dpop_proof").await;
    }
    let refresh = || {
        spa.browser.request(Method::POST, &world.spa("/auth/refresh")).header("x-csrf-token", csrf)
    };
    refused(spa.browser.send(refresh()).await, "invalid_dpop_proof").await;
    assert_eq!(world.generations().await, before, "nothing was refreshed");
    // It has cost no session.
    spa.ask(refresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tabs_share_a_token_and_another_key_gets_another() {
    let world = world_with_dpop(HOUR).await;
    let mut page = Page::of(&world, &world.tmb("")).await;
    let session = world.tmb("/auth/session");
    let first = page.ask(|| page.browser.request(Method::GET, &session)).await;
    assert_eq!(first["user"]["name"], "Ann");
    let again = page.browser.request(Method::GET, &world.tmb("/auth/token"));
    let again = page.browser.send(again.header("dpop", page.proof_of_refresh(""))).await;
    let again: Value = again.json().await.unwrap();
    assert_eq!(access_token(&again), access_token(&first), "one that is good is kept");
    let key = std::mem::replace(&mut page.key, Key::generate());
    let other = page.ask(|| page.browser.request(Method::GET, &session)).await;
    assert_ne!(access_token(&other), access_token(&first));
    assert!(page.opens_notes("DPoP", access_token(&other), true).await);
    // A session keeps the token of one key, so that keys without end do not make it grow.
    page.key = key;
    let renewed = page.ask(|| page.browser.request(Method::GET, &session)).await;
    assert_ne!(access_token(&renewed), access_token(&first));
    // The stream that tells of ends needs a token, and takes the one that is there.
    let events = page.browser.get(&world.tmb("/auth/events")).await;
    assert_eq!(events.status(), 200);
    let generations = world.generations().await;
    assert_eq!(generations[0].1, 4, "the redemption, and one refresh for each change of keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backend_that_calls_by_itself_is_bound_to_no_key_of_a_page() {
    let world = world(HOUR).await;
    let page = Page::of(&world, &world.bff("")).await;
    let request = page.browser.request(Method::GET, &world.bff("/api/notes")).header("x-csrf", "1");
    let answer = page.browser.send(request.header("dpop", page.proof_of_refresh(""))).await;
    assert_eq!(answer.status(), 200);
}
