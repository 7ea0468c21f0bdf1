//! Refreshes that are committed together: each is decided as if it came alone, and what a replica remembers of an app
//! never counts when it is old.

use aa_server::domain::caller::Caller;
use aa_server::ops::clients;
use aa_server::ops::users;
use std::time::Duration;

use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::refresh_token::{SecretHash, TokenKind};
use aa_server::store::{MAX_WAITING, Rotation};
use database::rusqlite::Connection;
use database::{Db, Either, execute};
use futures_util::future::join_all;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Answer, Browser, Engine, OAuthApp, TestApp, both_databases};

/// An app of which a browser may have many families.
async fn many(t: &TestApp) -> OAuthApp {
    t.add_client("many", ClientType::Confidential, |app| app.multiple_sessions = true).await
}

async fn start(browser: &Browser, app: &OAuthApp) -> Answer {
    app.redeem(&browser.open(app).await).await.ok()
}

/// What the store is asked for when this token is presented.
async fn wanted(t: &TestApp, app: &OAuthApp, token: &str) -> Rotation {
    let token = t.authority.refresh_tokens.decode(TokenKind::Refresh, token).unwrap();
    let now = t.authority.now();
    Rotation {
        family: token.family,
        generation: token.generation,
        secret_hash: token.secret.hash(),
        client_id: app.id.clone(),
        client_version: t.authority.store.client_version(&app.id).await.unwrap().unwrap(),
        idle_expires_at: now + Duration::from_mins(1),
        ip: "192.0.2.1".to_owned(),
        user_agent: "a test".to_owned(),
        now,
    }
}

/// Holds the row of a family (on SQLite: everything) until it is dropped.
async fn hold(t: &TestApp, first: &Answer) -> database::Tx {
    let mut tx = Db::connect(&t.database_url).await.unwrap().begin().await.unwrap();
    let sql = "UPDATE families SET rotated_ip = rotated_ip WHERE id = $1";
    execute!(tx.on(), sql, first.family()).unwrap();
    tx
}

#[apply(both_databases)]
async fn each_of_a_batch_gets_its_own_answer(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = many(&t).await;
    let held = start(&browser, &app).await;
    let twice = start(&browser, &app).await;
    let old = start(&browser, &app).await;
    app.refresh(old.refresh_token()).await.ok();
    let ended = start(&browser, &app).await;
    app.post("/oauth/revoke", &[("token", ended.refresh_token())]).await.ok();
    let other_browser = t.signed_in("bob@example.com").await;
    let disabled = start(&other_browser, &app).await;
    let bob = t.authority.store.user_by_email("bob@example.com").await.unwrap().unwrap();
    users::set_enabled(&t.authority, &bob, false, &Caller::operator()).await.unwrap();
    let third_browser = t.signed_in("cid@example.com").await;
    let signed_out = start(&third_browser, &app).await;
    third_browser.submit("/apps", "/logout", &[]).await;
    let sound = start(&browser, &app).await;
    let good = join_all((0..20).map(|_| start(&browser, &app))).await;

    let mut rotation = Vec::new();
    for (first, moves_on) in [
        (&held, true),
        (&twice, true),
        (&twice, false),
        (&old, false),
        (&ended, false),
        (&disabled, false),
        (&signed_out, false),
    ] {
        rotation.push((wanted(&t, &app, first.refresh_token()).await, moves_on));
    }
    let sound = wanted(&t, &app, sound.refresh_token()).await;
    let expired = t.authority.now() + Duration::from_hours(31 * 24);
    for bad in [
        Rotation { client_id: "other".to_owned(), ..sound.clone() },
        Rotation { secret_hash: SecretHash::of(b"another"), ..sound.clone() },
        Rotation { client_version: sound.client_version - 1, ..sound.clone() },
        Rotation { generation: 0, ..sound.clone() },
        // Newer than it will ever be here.
        Rotation { generation: 7, ..sound.clone() },
        Rotation { now: expired, ..sound.clone() },
    ] {
        rotation.push((bad, false));
    }
    for first in &good {
        rotation.push((wanted(&t, &app, first.refresh_token()).await, true));
    }
    rotation.push((sound, true));

    let lock = hold(&t, &held).await;
    let tasks: Vec<_> = rotation
        .iter()
        .map(|(wanted, _)| {
            let (shared, wanted) = (t.authority.clone(), wanted.clone());
            tokio::spawn(async move { shared.store.rotate(wanted).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    if matches!(lock, Either::Postgres(_)) {
        assert!(!tasks[0].is_finished(), "its row is held");
        assert!(
            tasks[1..].iter().all(tokio::task::JoinHandle::is_finished),
            "nobody else waits for it"
        );
    }
    drop(lock);
    for (task, (wanted, moves_on)) in tasks.into_iter().zip(&rotation) {
        let rotated = task.await.unwrap().unwrap();
        // Of two tries of one token either may be the first.
        if wanted.family != twice.family() {
            assert_eq!(rotated.is_some(), *moves_on, "{wanted:?}");
        }
        if let Some(grant) = rotated {
            assert_eq!((grant.family, grant.generation), (wanted.family, 2));
            assert!(grant.ends_at <= wanted.idle_expires_at);
            assert_eq!(t.family(grant.family).await.rotated_ip, "192.0.2.1");
        }
    }
    assert_eq!(t.family(twice.family()).await.state.generation, 2, "once, by two tries");
    for ended in [ended, disabled, signed_out] {
        assert_eq!(t.family(ended.family()).await.state.generation, 1);
    }
}

#[apply(both_databases)]
async fn a_full_queue_says_so_at_once_and_nothing_is_lost(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = many(&t).await;
    let held = start(&browser, &app).await;
    let other = start(&browser, &app).await;
    let same = wanted(&t, &app, held.refresh_token()).await;
    let lock = hold(&t, &held).await;
    let waiting: Vec<_> = (0..MAX_WAITING)
        .map(|_| {
            let (shared, wanted) = (t.authority.clone(), same.clone());
            tokio::spawn(async move { shared.store.rotate(wanted).await })
        })
        .collect();
    // Until they are all in the queue.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let refused = app.refresh(other.refresh_token()).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert_eq!(refused.json["error"], "temporarily_unavailable");
    assert_eq!(refused.headers["retry-after"], "1");
    drop(lock);
    let mut rotated = 0;
    for task in waiting {
        rotated += usize::from(task.await.unwrap().unwrap().is_some());
    }
    assert_eq!(rotated, 1, "of all who presented one token");
    assert_eq!(t.family(held.family()).await.state.generation, 2);
    app.refresh(other.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn what_a_replica_remembers_of_an_app_never_counts_when_it_is_old(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let replica =
        TestApp::with(Some(t.database_url.clone()), &[("public_url", t.url.as_str())]).await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let there = app.at(&replica.url);
    let first = start(&browser, &app).await;
    let mut answer = there.refresh(first.refresh_token()).await.ok();
    assert_eq!(answer.json["expires_in"], 300, "the replica knows the app now");

    let mut declared = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    declared.lifetimes.at_ttl = Some(Duration::from_mins(1));
    let change = async |declared: &ClientMetadata| {
        clients::apply(&t.authority, declared, &Caller::operator()).await.unwrap();
    };
    change(&declared).await;
    answer = there.refresh(answer.refresh_token()).await.ok();
    assert_eq!(answer.json["expires_in"], 60);

    // Within grace too, where nothing rotation.
    declared.lifetimes.at_ttl = Some(Duration::from_secs(30));
    let before = answer;
    answer = there.refresh(before.refresh_token()).await.ok();
    change(&declared).await;
    let again = there.refresh(before.refresh_token()).await.ok();
    assert_eq!(again.refresh_token(), answer.refresh_token());
    assert_eq!(again.json["expires_in"], 30);

    // A new secret works everywhere at once, and the old one for a day.
    let secret = clients::rotate_secret(&t.authority, &app.id, &Caller::operator()).await.unwrap();
    let with_new = OAuthApp { secret: Some(secret.expose_secret().to_owned()), ..there.clone() };
    answer = with_new.refresh(answer.refresh_token()).await.ok();
    answer = there.refresh(answer.refresh_token()).await.ok();
    let wrong = OAuthApp { secret: Some("wrong".to_owned()), ..there.clone() };
    assert_eq!(wrong.refresh(answer.refresh_token()).await.json["error"], "invalid_client");
    replica.advance(25 * 3600);
    t.advance(25 * 3600);
    assert_eq!(there.refresh(answer.refresh_token()).await.json["error"], "invalid_client");
    answer = with_new.refresh(answer.refresh_token()).await.ok();

    clients::set_enabled(&t.authority, &app.id, false, &Caller::operator()).await.unwrap();
    let refused = with_new.refresh(answer.refresh_token()).await;
    assert_eq!(refused.json["error"], "invalid_client");
    clients::set_enabled(&t.authority, &app.id, true, &Caller::operator()).await.unwrap();
    with_new.refresh(answer.refresh_token()).await.ok();
}

/// Without checkpoints, all that is changed would stay in the log: 2,048 families in 256 pages and more, rotated 50 times,
/// 240 MB.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_of_sqlite_does_not_grow_with_the_refreshes() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = many(&t).await;
    let first = start(&browser, &app).await;
    let wanted = wanted(&t, &app, first.refresh_token()).await;
    let file = t.database_url.strip_prefix("sqlite://").unwrap();
    let families: Vec<Uuid> = {
        let connection = Connection::open(file).unwrap();
        connection.execute_batch("CREATE TEMP TABLE copies AS SELECT * FROM families").unwrap();
        let double =
            "UPDATE copies SET id = randomblob(16); INSERT INTO families SELECT * FROM copies;
                      INSERT INTO copies SELECT * FROM copies";
        (0..11).for_each(|_| connection.execute_batch(double).unwrap());
        let mut ids = connection.prepare("SELECT id FROM families").unwrap();
        let ids = ids.query_map([], |row| row.get(0).map(Uuid::from_bytes)).unwrap();
        ids.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(families.len(), 2_048);
    for turn in 0..50 {
        let rotation = families.iter().map(|family| {
            let mut wanted = wanted.clone();
            (wanted.family, wanted.generation) = (*family, wanted.generation + turn);
            t.authority.store.rotate(wanted)
        });
        assert!(join_all(rotation).await.into_iter().all(|rotated| rotated.unwrap().is_some()));
    }
    let bytes = std::fs::metadata(format!("{file}-wal")).unwrap().len();
    assert!(bytes < 110 << 20, "{bytes} bytes");

    // Whoever opened the file beside SQLite, and closed it, would have taken away the lock that tells other processes
    // that it is in use.
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let inode = format!(":{} ", std::fs::metadata(file).unwrap().ino());
        assert!(locks.contains(&inode), "{locks}");
    }
}
