//! A fault is not a refusal (`docs/contract.md#rule-10`): a database that is away, a client that hangs up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Answer, Engine, OAuthApp, TestApp, both_databases, until};

fn is_fault(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.json["error"], "temporarily_unavailable");
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// A wire to PostgreSQL that can be cut.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
    /// Connections that run through it.
    open: Arc<AtomicUsize>,
}

impl Wire {
    /// Cuts it: when this returns, nothing runs through it any more.
    async fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        until("no connection is open", || self.open.load(Ordering::SeqCst) == 0).await;
    }

    fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

async fn wire(to: u16) -> Wire {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let cut = Arc::new(AtomicBool::new(false));
    let open = Arc::new(AtomicUsize::new(0));
    let shared = (Arc::clone(&cut), Arc::clone(&open));
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (cut, open) = shared.clone();
            if cut.load(Ordering::SeqCst) {
                continue;
            }
            open.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let is_cut = async {
                    while !cut.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    () = is_cut => {}
                }
                drop((near, far));
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Wire { port, cut, open }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_postgresql_is_away_nothing_is_lost() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    let (before, rest) = url.rsplit_once(':').unwrap();
    let (port, database) = rest.split_once('/').unwrap();
    let wire = wire(port.parse().unwrap()).await;
    let t = TestApp::with(Some(format!("{before}:{}/{database}", wire.port)), &[]).await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let code = browser.open(&app).await;
    wire.cut().await;
    is_fault(&app.refresh(first.refresh_token()).await);
    is_fault(&app.redeem(&code).await);
    is_fault(&app.post("/oauth/revoke", &[("token", first.refresh_token())]).await);
    assert_eq!(browser.get("/sessions").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    wire.mend();
    let second = app.refresh(first.refresh_token()).await.ok();
    assert_eq!(t.family(first.family()).await.state.generation, 2);
    app.refresh(second.refresh_token()).await.ok();
    app.redeem(&code).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_sqlite_is_locked_by_another_nothing_is_lost() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let code = browser.open(&app).await;
    let other = database::Db::connect(&t.database_url).await.unwrap();
    let lock = other.begin().await.unwrap();
    let (refreshed, redeemed) = tokio::join!(app.refresh(first.refresh_token()), app.redeem(&code));
    is_fault(&refreshed);
    is_fault(&redeemed);
    drop(lock);
    let second = app.refresh(first.refresh_token()).await.ok();
    assert_eq!(t.family(first.family()).await.state.generation, 2);
    app.refresh(second.refresh_token()).await.ok();
    app.redeem(&code).await.ok();
}

/// Sends a refresh, and disconnects after this time: at another point of the work in each round.
async fn hang_up(app: &OAuthApp, token: &str, after: Duration) {
    let body = format!("grant_type=refresh_token&refresh_token={token}&client_id={}", app.id);
    let host = app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(after).await;
}

#[apply(both_databases)]
async fn a_client_that_hangs_up_leaves_no_half_done_refresh(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    for round in 0..30 {
        let first = app.redeem(&browser.open(&app).await).await.ok();
        hang_up(&app, first.refresh_token(), Duration::from_micros(round * 200)).await;
        // Whether or not it was committed, the same token gives the one successor.
        let second = app.refresh(first.refresh_token()).await.ok();
        assert_eq!(t.family(first.family()).await.state.generation, 2);
        app.refresh(second.refresh_token()).await.ok();
    }
    // Every connection to the database is still usable.
    assert_eq!(browser.get("/sessions").await.status(), StatusCode::OK);
}
