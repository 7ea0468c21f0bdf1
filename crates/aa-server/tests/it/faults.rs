//! A fault is not a refusal (`docs/contract.md#rule-10`): a database that is away, a client that hangs up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aa_server::domain::client::ClientType;
use aa_server::domain::ids::FamilyId;
use aa_server::domain::refresh_token::TokenKind;
use database::execute;

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use rstest::rstest;
use rstest_reuse::apply;

use crate::prepared;
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
    loss: Arc<Mutex<Option<Loss>>>,
}

/// The answer of the database that does not arrive: the next one to a COMMIT after something with these bytes, or to
/// something with these bytes at all.
#[derive(Clone)]
struct Loss {
    about: Vec<u8>,
    to_commit: bool,
    /// Whether the wire stays cut after it.
    and_all_that_follows: bool,
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

    fn lose(&self, loss: Loss) {
        *self.loss.lock().unwrap() = Some(loss);
    }

    fn has_lost(&self) -> bool {
        self.loss.lock().unwrap().is_none()
    }
}

fn contains(chunk: &[u8], bytes: &[u8]) -> bool {
    chunk.windows(bytes.len()).any(|window| window == bytes)
}

/// Carries a connection until one side ends it, or the answer that is to be lost has been.
async fn carry(
    near: &mut TcpStream,
    far: &mut TcpStream,
    loss: &Mutex<Option<Loss>>,
    (cut, open, loses): (&AtomicBool, &AtomicUsize, &AtomicBool),
) -> std::io::Result<()> {
    let (mut from_near, mut from_far) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut concerned = false;
    loop {
        tokio::select! {
            read = near.read(&mut from_near) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                let chunk = &from_near[..read];
                let wanted = loss.lock().unwrap().clone();
                let lost = wanted.filter(|wanted| {
                    concerned |= contains(chunk, &wanted.about);
                    concerned && (!wanted.to_commit || contains(chunk, b"COMMIT"))
                });
                far.write_all(chunk).await?;
                if let Some(lost) = lost {
                    // It is done when the answer is here; then the answer goes nowhere.
                    let _ = far.read(&mut from_far).await?;
                    if lost.and_all_that_follows {
                        loses.store(true, Ordering::SeqCst);
                        cut.store(true, Ordering::SeqCst);
                        until("the other connections are cut", || {
                            open.load(Ordering::SeqCst) == 1
                        })
                        .await;
                    }
                    *loss.lock().unwrap() = None;
                    return Ok(());
                }
            }
            read = far.read(&mut from_far) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                near.write_all(&from_far[..read]).await?;
            }
        }
    }
}

async fn wire(to: u16) -> Wire {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let cut = Arc::new(AtomicBool::new(false));
    let open = Arc::new(AtomicUsize::new(0));
    let loss = Arc::new(Mutex::new(None));
    let shared = (Arc::clone(&cut), Arc::clone(&open), Arc::clone(&loss));
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (cut, open, loss) = shared.clone();
            if cut.load(Ordering::SeqCst) {
                continue;
            }
            open.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let loses = AtomicBool::new(false);
                let is_cut = async {
                    while !cut.load(Ordering::SeqCst) || loses.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    _ = carry(&mut near, &mut far, &loss, (&cut, &open, &loses)) => {}
                    () = is_cut => {}
                }
                drop((near, far));
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Wire { port, cut, open, loss }
}

/// An authority behind such a wire. `None` where PostgreSQL is not installed.
async fn behind_a_wire(given: &[(&'static str, &str)]) -> Option<(TestApp, Wire)> {
    let url = prepared::postgres().await?;
    let (before, rest) = url.rsplit_once(':').unwrap();
    let (port, database) = rest.split_once('/').unwrap();
    let wire = wire(port.parse().unwrap()).await;
    let t = TestApp::with(Some(format!("{before}:{}/{database}", wire.port)), given).await;
    Some((t, wire))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_postgresql_is_away_nothing_is_lost() {
    let Some((t, wire)) = behind_a_wire(&[]).await else { return };
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

/// Asserts that no event tells of theft, and that the family is live.
async fn is_unharmed(t: &TestApp, family: FamilyId) {
    assert!(t.events("family.reuse").await.is_empty());
    assert!(t.is_live(family).await);
}

fn family_of(t: &TestApp, code: &str) -> FamilyId {
    t.authority.refresh_tokens.decode(TokenKind::Delegation, code).unwrap().family
}

#[apply(both_databases)]
async fn without_a_key_that_signs_no_token_is_used_up(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let code = browser.open(&app).await;
    // As for a replica whose clock is behind: no key signs yet.
    let hour = 3_600_000_i64;
    let shift = "UPDATE signing_keys SET signs_from = signs_from + $1";
    execute!(t.authority.store.db().write(), shift, hour).unwrap();
    t.authority.keyring.reload(&t.authority.store, t.authority.now()).await.unwrap();
    is_fault(&app.refresh(first.refresh_token()).await);
    is_fault(&app.redeem(&code).await);
    assert_eq!(t.family(first.family()).await.state.generation, 1);
    execute!(t.authority.store.db().write(), shift, -hour).unwrap();
    t.authority.keyring.reload(&t.authority.store, t.authority.now()).await.unwrap();
    app.refresh(first.refresh_token()).await.ok();
    is_unharmed(&t, first.family()).await;
    is_unharmed(&t, app.redeem(&code).await.ok().family()).await;
}

#[apply(both_databases)]
async fn when_the_user_cannot_be_read_no_token_is_used_up(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("named", ClientType::Confidential, |app| {
            app.claims = vec!["name".to_owned()];
            app.lifetimes.refresh_grace = Some(Duration::ZERO);
        })
        .await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let code = browser.open(&app).await;
    let db = t.authority.store.db().write();
    execute!(db.clone(), "ALTER TABLE users RENAME COLUMN name TO hidden").unwrap();
    is_fault(&app.refresh(first.refresh_token()).await);
    is_fault(&app.redeem(&code).await);
    execute!(db, "ALTER TABLE users RENAME COLUMN hidden TO name").unwrap();
    app.refresh(first.refresh_token()).await.ok();
    is_unharmed(&t, first.family()).await;
    is_unharmed(&t, app.redeem(&code).await.ok().family()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redemption_whose_commit_is_not_answered_is_answered_all_the_same() {
    let Some((t, wire)) = behind_a_wire(&[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    let about = family_of(&t, &code).uuid().as_bytes().to_vec();
    wire.lose(Loss { about, to_commit: true, and_all_that_follows: false });
    let first = app.redeem(&code).await.ok();
    assert!(wire.has_lost());
    app.refresh(first.refresh_token()).await.ok();
    is_unharmed(&t, first.family()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redemption_that_nobody_can_tell_of_is_undone() {
    let Some((t, wire)) = behind_a_wire(&[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    let family = family_of(&t, &code);
    let about = family.uuid().as_bytes().to_vec();
    wire.lose(Loss { about, to_commit: true, and_all_that_follows: true });
    let answer = app.redeem(&code).await;
    is_fault(&answer);
    assert!(wire.has_lost());
    assert!(!answer.json.to_string().contains("othing has been lost"), "{answer:?}");
    wire.mend();
    let mut generation = 1;
    while generation == 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        generation = t.family(family).await.state.generation;
    }
    app.redeem(&code).await.ok();
    is_unharmed(&t, family).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_that_is_not_answered_is_answered_all_the_same_even_without_grace() {
    let Some((t, wire)) = behind_a_wire(&[("refresh_grace", "0s")]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let about = first.family().uuid().as_bytes().to_vec();
    wire.lose(Loss { about, to_commit: false, and_all_that_follows: false });
    let second = app.refresh(first.refresh_token()).await.ok();
    assert!(wire.has_lost());
    app.refresh(second.refresh_token()).await.ok();
    is_unharmed(&t, first.family()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_grace_of_a_refresh_that_nobody_can_tell_of_begins_when_the_database_is_back() {
    let Some((t, wire)) = behind_a_wire(&[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let about = first.family().uuid().as_bytes().to_vec();
    wire.lose(Loss { about, to_commit: false, and_all_that_follows: true });
    is_fault(&app.refresh(first.refresh_token()).await);
    assert!(wire.has_lost());
    t.advance(3600);
    wire.mend();
    let mut rotated_at = t.authority.now() - Duration::from_hours(1);
    while rotated_at != t.authority.now() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rotated_at = t.family(first.family()).await.state.rotated_at;
    }
    app.refresh(first.refresh_token()).await.ok();
    is_unharmed(&t, first.family()).await;
}

/// What cannot be read is a fault that the operator is told of, and never a value made up in its place.
#[apply(both_databases)]
async fn a_row_that_cannot_be_read_is_a_fault_and_no_default(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let reused = app.redeem(&browser.open(&app).await).await.ok();
    let ended = app.redeem(&browser.open(&app).await).await.ok();
    app.refresh(reused.refresh_token()).await.refused("invalid_grant");
    let live = app.redeem(&browser.open(&app).await).await.ok();
    app.refresh(live.refresh_token()).await.ok();
    let db = t.authority.store.db().write();
    for (damage, mend, page) in [
        (
            "UPDATE families SET end_detail = '{', end_reason = 'reuse' WHERE id = $1",
            "UPDATE families SET end_detail = NULL, end_reason = 'superseded' WHERE id = $1",
            "/sessions",
        ),
        (
            "UPDATE events SET detail = 'nothing' WHERE family_id = $1",
            "UPDATE events SET detail = '{}' WHERE family_id = $1",
            "/account/activity",
        ),
    ] {
        execute!(db.clone(), damage, ended.family()).unwrap();
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{page}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("families") && !text.contains("events"), "{text}");
        execute!(db.clone(), mend, ended.family()).unwrap();
        assert_eq!(browser.get(page).await.status(), StatusCode::OK, "{page}");
    }
    // A refresh does not look at it before it has to; then the token is not used up.
    let damage = "UPDATE families SET grace_elsewhere = '[' WHERE id = $1";
    execute!(db.clone(), damage, live.family()).unwrap();
    is_fault(&app.refresh(live.refresh_token()).await);
    let mend = "UPDATE families SET grace_elsewhere = NULL WHERE id = $1";
    execute!(db, mend, live.family()).unwrap();
    app.refresh(live.refresh_token()).await.ok();
    is_unharmed(&t, live.family()).await;
    // A scope is read with the rotation: the successor is there once the row is mended.
    let newest = app.redeem(&browser.open(&app).await).await.ok();
    let scope = t.family(newest.family()).await.scope;
    let damage = "UPDATE families SET scope = $1 WHERE id = $2";
    execute!(db.clone(), damage, "\"", newest.family()).unwrap();
    is_fault(&app.refresh(newest.refresh_token()).await);
    execute!(db.clone(), damage, scope.as_str(), newest.family()).unwrap();
    app.refresh(newest.refresh_token()).await.ok();
}
