//! What is under way when a session ends, and copies of its cookies.

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::ops::tokens::revoke::revoke_by_operator;
use futures_util::{Stream, StreamExt as _};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use service::run::Stop;
use tokio::io::AsyncReadExt as _;

use crate::proxy::{Proxy, open_socket};
use crate::support::{Browser, Shop, World, world};

const HOUR: Duration = Duration::from_hours(1);
/// The time in which every replica has noticed an end (docs/browser-apps.md), and some for a slow machine.
const NOTICED: Duration = Duration::from_secs(20);

/// Reads a stream to its end, if it has one in this time.
async fn ends(
    stream: &mut (impl Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    within: Duration,
) -> bool {
    let to_its_end = async { while stream.next().await.is_some_and(|chunk| chunk.is_ok()) {} };
    tokio::time::timeout(within, to_its_end).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_ends_when_another_tab_signs_out() {
    let proxy = Proxy::start().await;
    let mut stream = proxy.get("/api/shop/endless").await.bytes_stream();
    assert!(stream.next().await.is_some());
    let logout = proxy.request(Method::POST, "/auth/logout").send().await.unwrap();
    assert_eq!(logout.status(), 200);
    assert!(ends(&mut stream, Duration::from_secs(3)).await);
    // The upstream's side too.
    for _ in 0..100 {
        if !proxy.is_streaming() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the API still streams");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_ends_when_another_replica_signs_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/shop.db", folder.path().display());
    let proxy = Proxy::with(&[("session_store", &store)]).await;
    let mut stream = proxy.get("/api/shop/endless").await.bytes_stream();
    assert!(stream.next().await.is_some());
    let url = format!("{}/auth/logout", proxy.replica);
    let logout = proxy.browser.request(Method::POST, &url).header("x-csrf", "1");
    assert_eq!(logout.send().await.unwrap().status(), 200);
    assert!(ends(&mut stream, NOTICED).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_outlives_its_token_but_not_its_family() {
    let proxy = Proxy::with_token_life(Duration::from_secs(3)).await;
    let mut stream = proxy.get("/api/shop/endless").await.bytes_stream();
    assert!(stream.next().await.is_some());
    assert!(!ends(&mut stream, Duration::from_secs(7)).await, "its session lives");
    let family = proxy.world.generations().await[0].0;
    let authority = proxy.world.demo.authority();
    revoke_by_operator(&authority, family, &Caller::operator()).await.unwrap();
    assert!(ends(&mut stream, NOTICED).await);
    let me = proxy.browser.get(&format!("{}/auth/me", proxy.url)).await;
    assert_eq!(me.json::<Value>().await.unwrap(), json!({ "error": "session_expired" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_websocket_is_closed_when_its_session_ends() {
    let proxy = Proxy::start().await;
    let (mut socket, answer) = open_socket(&proxy, Some(&proxy.url)).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let mut hello = [0; 20];
    socket.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello[2..], b"hello, token: true");
    let logout = proxy.request(Method::POST, "/auth/logout").send().await.unwrap();
    assert_eq!(logout.status(), 200);
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(3), socket.read_to_end(&mut rest)).await;
    read.expect("the connection is closed").unwrap();
    // A close frame (RFC 6455 §5.5.1) with 1008, policy violation.
    assert_eq!(rest[..4], [0x88, u8::try_from(rest.len() - 2).unwrap(), 0x03, 0xf0], "{rest:?}");
    assert_eq!(&rest[4..], b"session ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_websocket_is_closed_when_the_authority_ends_the_session() {
    let proxy = Proxy::start().await;
    let (mut socket, answer) = open_socket(&proxy, Some(&proxy.url)).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let family = proxy.world.generations().await[0].0;
    let authority = proxy.world.demo.authority();
    revoke_by_operator(&authority, family, &Caller::operator()).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(2), socket.read_to_end(&mut rest)).await;
    read.expect("the connection is closed").unwrap();
    assert!(rest.ends_with(b"session ended"), "{rest:?}");
}

async fn csrf_token(world: &World, browser: &Browser) -> String {
    let me: Value = browser.get(&world.spa("/auth/me")).await.json().await.unwrap();
    me["csrf_token"].as_str().unwrap_or_else(|| panic!("{me}")).to_owned()
}

async fn refresh(world: &World, browser: &Browser, csrf: &str) -> Response {
    let request = browser.request(Method::POST, &world.spa("/auth/refresh"));
    browser.send(request.header("x-csrf-token", csrf)).await
}

fn copy_of(browser: &Browser) -> Browser {
    let copy = Browser::new();
    *copy.cookies.lock().unwrap() = browser.cookies.lock().unwrap().clone();
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_take_turns_with_one_pair_of_cookies_are_noticed() {
    let world = world(HOUR).await;
    for is_owner_first in [true, false] {
        let owner = world.ann_at(&world.spa("")).await;
        let csrf = csrf_token(&world, &owner).await;
        let thief = copy_of(&owner);
        let (first, second) = if is_owner_first { (&owner, &thief) } else { (&thief, &owner) };
        for _ in 0..2 {
            assert_eq!(refresh(&world, first, &csrf).await.status(), 200);
        }
        let noticed = refresh(&world, second, &csrf).await;
        assert_eq!(noticed.status(), 401);
        assert_eq!(noticed.json::<Value>().await.unwrap(), json!({ "error": "session_expired" }));
        assert_eq!((second.cookie("spa_rt"), second.cookie("spa_session")), (None, None));
        assert!(world.generations().await.is_empty(), "the family has ended at the authority");
        assert_eq!(first.get(&world.spa("/auth/me")).await.status(), 401, "both are signed out");
        assert_eq!(refresh(&world, first, &csrf).await.status(), 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_is_worth_nothing_after_the_owner_signed_out() {
    let world = world(HOUR).await;
    let owner = world.ann_at(&world.spa("")).await;
    let csrf = csrf_token(&world, &owner).await;
    let thief = copy_of(&owner);
    let request = owner.request(Method::POST, &world.spa("/auth/refresh/end"));
    let out = owner.send(request.header("x-csrf-token", &csrf)).await;
    assert_eq!(out.json::<Value>().await.unwrap(), json!({ "signed_out": true, "revoked": true }));
    assert_eq!(thief.get(&world.spa("/auth/me")).await.status(), 401);
    assert_eq!(refresh(&world, &thief, &csrf).await.status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_authority_that_was_away_is_told_of_a_sign_out() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(HOUR).await;
    let port = testing::free_ports(1);
    let url = format!("http://localhost:{port}");
    let mut shop = Shop::new(&world, &url);
    shop.settings.set("session_store", format!("sqlite://{}/shop.db", folder.path().display()));
    let _shop = shop.start(&[port]).await;
    let browser = world.ann_at(&url).await;
    assert_eq!(world.generations().await.len(), 1);
    let World { demo, options, stop, folder: data } = world;
    stop.stop();
    demo.run_until_stopped().await.unwrap();
    let session = browser.cookie("bff_session").unwrap();
    let out = browser.api(Method::POST, &format!("{url}/auth/logout")).await;
    assert_eq!(out.status(), 200);
    assert_eq!(out.json::<Value>().await.unwrap()["revoked"], json!(false));
    browser.set_cookie("bff_session", &session);
    assert_eq!(browser.get(&format!("{url}/auth/me")).await.status(), 401, "it is over here");

    let (stop, stopped) = Stop::pair();
    let demo = demo::Demo::start(&options, &stopped).await.unwrap();
    let world = World { demo, options, stop, folder: data };
    assert_eq!(world.generations().await.len(), 1, "the authority does not know yet");
    for _ in 0..300 {
        if world.generations().await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the authority has not been told");
}
