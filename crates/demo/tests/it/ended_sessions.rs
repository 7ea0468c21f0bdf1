//! What is under way when a session ends.

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::ops::tokens::revoke::revoke_by_operator;
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::proxy::{Proxy, open_socket};

/// The time in which every replica has noticed an end (docs/browser-apps.md), and some for a slow machine.
const NOTICED: Duration = Duration::from_secs(20);

/// Reads a stream to its end, if it has one in this time.
async fn ends(
    stream: &mut (impl Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    within: Duration,
) -> bool {
    let to_the_end = async { while stream.next().await.is_some_and(|chunk| chunk.is_ok()) {} };
    tokio::time::timeout(within, to_the_end).await.is_ok()
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
