//! Refreshes that are committed together are decided each on its own, and a stale client cache decides nothing.

use aa_server::domain::caller::Caller;
use aa_server::ops::clients;
use aa_server::ops::users;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::ids::FamilyId;
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

use crate::support::{Answer, Browser, Engine, OAuthApp, TestApp, both_databases, until};

/// An app of which a browser may have many families.
async fn many(t: &TestApp) -> OAuthApp {
    t.add_client("many", ClientType::Confidential, |app| app.multiple_sessions = true).await
}

async fn start(browser: &Browser, app: &OAuthApp) -> Answer {
    app.redeem(&browser.open(app).await).await.ok()
}

/// The rotation of a family by this token.
async fn rotation(t: &TestApp, app: &OAuthApp, token: &str) -> Rotation {
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
        dpop_jkt: String::new(),
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
    let good = join_all((0..15).map(|_| start(&browser, &app))).await;

    let mut rotations = Vec::new();
    for (first, moves_on) in [
        (&held, true),
        (&twice, true),
        (&twice, false),
        (&old, false),
        (&ended, false),
        (&disabled, false),
        (&signed_out, false),
    ] {
        rotations.push((rotation(&t, &app, first.refresh_token()).await, moves_on));
    }
    let sound = rotation(&t, &app, sound.refresh_token()).await;
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
        rotations.push((bad, false));
    }
    for first in &good {
        rotations.push((rotation(&t, &app, first.refresh_token()).await, true));
    }
    rotations.push((sound, true));

    let lock = hold(&t, &held).await;
    let tasks: Vec<_> = rotations
        .iter()
        .map(|(rotation, _)| {
            let (shared, rotation) = (t.authority.clone(), rotation.clone());
            tokio::spawn(async move { shared.store.rotate(rotation).await })
        })
        .collect();
    if matches!(lock, Either::Postgres(_)) {
        until("the others do not wait for the locked row", || {
            tasks[1..].iter().all(tokio::task::JoinHandle::is_finished)
        })
        .await;
        assert!(!tasks[0].is_finished(), "its row is locked");
    } else {
        let all = tasks.len();
        until("all wait", || t.authority.store.waiting_rotations() == all).await;
    }
    drop(lock);
    for (task, (rotation, moves_on)) in tasks.into_iter().zip(&rotations) {
        let rotated = task.await.unwrap().unwrap();
        // Of two tries of one token either may be the first.
        if rotation.family != twice.family() {
            assert_eq!(rotated.is_some(), *moves_on, "{rotation:?}");
        }
        if let Some(grant) = rotated {
            assert_eq!((grant.family, grant.generation), (rotation.family, 2));
            assert!(grant.ends_at <= rotation.idle_expires_at);
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
    let same = rotation(&t, &app, held.refresh_token()).await;
    let lock = hold(&t, &held).await;
    let waiting: Vec<_> = (0..MAX_WAITING)
        .map(|_| {
            let (shared, rotation) = (t.authority.clone(), same.clone());
            tokio::spawn(async move { shared.store.rotate(rotation).await })
        })
        .collect();
    until("the queue is full", || t.authority.store.waiting_rotations() == MAX_WAITING).await;
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
async fn a_stale_client_in_a_cache_decides_nothing(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let replica =
        TestApp::with(Some(t.database_url.clone()), &[("public_url", t.url.as_str())]).await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let there = app.at(&replica.url);
    let first = start(&browser, &app).await;
    let mut answer = there.refresh(first.refresh_token()).await.ok();
    assert_eq!(answer.json["expires_in"], 300, "the replica has cached the client");

    let mut declared = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    declared.lifetimes.at_ttl = Some(Duration::from_mins(1));
    let change = async |declared: &ClientMetadata| {
        clients::apply(&t.authority, declared, &Caller::operator()).await.unwrap();
    };
    change(&declared).await;
    answer = there.refresh(answer.refresh_token()).await.ok();
    assert_eq!(answer.json["expires_in"], 60);

    // Within grace too, where nothing is rotated.
    declared.lifetimes.at_ttl = Some(Duration::from_secs(30));
    let before = answer;
    answer = there.refresh(before.refresh_token()).await.ok();
    change(&declared).await;
    let again = there.refresh(before.refresh_token()).await.ok();
    assert_eq!(again.refresh_token(), answer.refresh_token());
    assert_eq!(again.json["expires_in"], 30);

    // A new secret works everywhere at once, and the old one for a day.
    let secret =
        clients::rotate_secret(&t.authority, &app.id, clients::SECRET_OVERLAP, &Caller::operator())
            .await
            .unwrap();
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

/// Refreshes while the client's metadata is changed all the time: each is answered, or can be repeated.
#[apply(both_databases)]
async fn a_client_that_changes_all_the_time_loses_no_refresh(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let replica =
        TestApp::with(Some(t.database_url.clone()), &[("public_url", t.url.as_str())]).await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let there = app.at(&replica.url);
    let mut token = start(&browser, &app).await.refresh_token().to_owned();
    let family = there.refresh(&token).await.ok();
    token = family.refresh_token().to_owned();
    let mut metadata = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    let (authority, done) = (t.authority.clone(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&done);
    let changes = tokio::spawn(async move {
        for seconds in (30..60).cycle().take_while(|_| !stop.load(Ordering::SeqCst)) {
            metadata.lifetimes.at_ttl = Some(Duration::from_secs(seconds));
            clients::apply(&authority, &metadata, &Caller::operator()).await.unwrap();
        }
    });
    let version = async || t.authority.store.client_version(&app.id).await.unwrap().unwrap();
    let before = version().await;
    let mut rotations = 0;
    for _ in 0..1_000 {
        let answer = there.refresh(&token).await;
        if answer.status == StatusCode::OK {
            token = answer.refresh_token().to_owned();
            rotations += 1;
        } else {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        }
        if rotations >= 20 && version().await > before + 20 {
            break;
        }
    }
    assert!(rotations >= 20, "{rotations}");
    done.store(true, Ordering::SeqCst);
    changes.await.unwrap();
    assert_eq!(t.family(family.family()).await.state.generation, rotations + 2);
}

/// The version of every client is another one each time it is read, as if it were changed in between.
#[apply(both_databases)]
async fn a_client_that_is_changed_at_every_attempt_uses_no_token_up(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = start(&browser, &app).await;
    let change = async |statements: &[&'static str]| {
        for sql in statements {
            execute!(t.authority.store.db().write(), *sql).unwrap();
        }
    };
    let version = match engine {
        Engine::Sqlite => {
            "CREATE VIEW clients AS SELECT *, abs(random()) AS version FROM real_clients"
        }
        Engine::Postgres => {
            "CREATE VIEW clients AS SELECT *, (random() * 1e15)::bigint AS version FROM real_clients"
        }
    };
    change(&[
        "ALTER TABLE clients RENAME COLUMN version TO real_version",
        "ALTER TABLE clients RENAME TO real_clients",
        version,
    ])
    .await;
    for _ in 0..3 {
        let refused = app.refresh(first.refresh_token()).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
        assert_eq!(refused.json["error"], "temporarily_unavailable");
        assert_eq!(refused.headers["retry-after"], "1");
    }
    change(&[
        "DROP VIEW clients",
        "ALTER TABLE real_clients RENAME TO clients",
        "ALTER TABLE clients RENAME COLUMN real_version TO version",
    ])
    .await;
    assert_eq!(t.family(first.family()).await.state.generation, 1);
    app.refresh(first.refresh_token()).await.ok();
}

/// Without checkpoints, every changed page would stay in the log: 2,048 families in 256 pages and more, rotated 50 times,
/// 240 MB.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_of_sqlite_does_not_grow_with_the_refreshes() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = many(&t).await;
    let first = start(&browser, &app).await;
    let rotation = rotation(&t, &app, first.refresh_token()).await;
    let file = t.database_url.strip_prefix("sqlite://").unwrap();
    let families: Vec<FamilyId> = {
        let connection = Connection::open(file).unwrap();
        connection.execute_batch("CREATE TEMP TABLE copies AS SELECT * FROM families").unwrap();
        let double =
            "UPDATE copies SET id = randomblob(16); INSERT INTO families SELECT * FROM copies;
                      INSERT INTO copies SELECT * FROM copies";
        (0..11).for_each(|_| connection.execute_batch(double).unwrap());
        let mut ids = connection.prepare("SELECT id FROM families").unwrap();
        let ids =
            ids.query_map([], |row| row.get(0).map(|id| Uuid::from_bytes(id).into())).unwrap();
        ids.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(families.len(), 2_048);
    for turn in 0..50 {
        let rotations = families.iter().map(|family| {
            let mut rotation = rotation.clone();
            (rotation.family, rotation.generation) = (*family, rotation.generation + turn);
            t.authority.store.rotate(rotation)
        });
        assert!(join_all(rotations).await.into_iter().all(|rotated| rotated.unwrap().is_some()));
    }
    let bytes = std::fs::metadata(format!("{file}-wal")).unwrap().len();
    assert!(bytes < 110 << 20, "{bytes} bytes");

    // Had the process closed a descriptor of the file, the lock that tells other processes that the file is in use would
    // be gone.
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let inode = format!(":{} ", std::fs::metadata(file).unwrap().ino());
        assert!(locks.contains(&inode), "{locks}");
    }
}

#[apply(both_databases)]
async fn a_committer_that_panics_starts_anew(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = many(&t).await;
    let poison = start(&browser, &app).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        // Fewer than a browser may have open at once.
        others.extend(join_all((0..10).map(|_| start(&browser, &app))).await);
    }
    // A generation that no family reaches: to count further is a defect, which debug builds answer with a panic.
    let last = "UPDATE families SET generation = 4294967295 WHERE id = $1";
    execute!(t.authority.store.db().write(), last, poison.family()).unwrap();
    let mut rotations =
        vec![Rotation { generation: u32::MAX, ..rotation(&t, &app, poison.refresh_token()).await }];
    for other in &others {
        rotations.push(rotation(&t, &app, other.refresh_token()).await);
    }
    let tried = rotations.into_iter().map(|rotation| t.authority.store.rotate(rotation));
    let tried = join_all(tried).await;
    assert!(tried[0].as_ref().is_err_and(database::Error::is_unavailable), "{:?}", tried[0]);
    // Whatever became of the others: the same tokens are answered, by committers that run again.
    for other in &others {
        app.refresh(other.refresh_token()).await.ok();
    }
    assert_eq!(t.authority.store.waiting_rotations(), 0);
}
