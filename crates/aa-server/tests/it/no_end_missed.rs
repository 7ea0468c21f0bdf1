//! No end is ever missed: followers that lose their connection, are slow or begin late, authorities that restart, and
//! transactions that commit out of order, against everything that was ended (contract §3).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aa_server::authority::Authority;
use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::users;
use aa_server::store::User;
use database::execute;
use foundation::random::{Random, SystemRandom};
use rstest::rstest;
use rstest_reuse::apply;
use tokens::feed::{FeedSource, Follower};
use tokens::{Claims, KeySet, Subject, Verifier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Browser, Engine, OAuthApp, PASSWORD, TestApp, both_databases, client, until};

const WRITERS: usize = 10;
const ENDS_EACH: usize = 1000;
const FOLLOWERS: usize = 6;

/// The ends that were made.
#[derive(Default)]
struct Made {
    families: Vec<Uuid>,
    /// The highest epoch that ended, by user.
    epochs: HashMap<Uuid, i64>,
}

#[apply(both_databases)]
async fn what_followers_refuse_is_what_was_ended(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let public_url = t.authority.config.public_url.to_string();
    let public_url = public_url.trim_end_matches('/').to_owned();
    let api = t.add_client("notes", ClientType::Api, |_| ()).await;
    let claims = some_claims(&t).await;
    // Before there is any load: passwords are hashed at a low priority, and refused when they have to wait for long.
    let mut users = Vec::new();
    for number in 0..WRITERS {
        let user = t.add_user(&format!("user-{number}@example.com")).await;
        users.push(t.authority.store.user(user).await.unwrap().unwrap());
    }
    let upstream = Arc::new(Mutex::new(t.url.clone()));
    let is_over = Arc::new(AtomicBool::new(false));
    let faults = Arc::new(AtomicBool::new(true));

    let mut tasks = JoinSet::new();
    let mut followers = Vec::new();
    for number in 0..FOLLOWERS {
        let proxy = Proxy::start(&upstream, &faults, Duration::from_millis(number as u64)).await;
        followers.push(follow(&proxy, &api));
    }
    // A second authority over the same database takes over and goes away, again and again.
    let (database_url, place, over) = (t.database_url.clone(), upstream.clone(), is_over.clone());
    let first = t.url.clone();
    tasks.spawn(async move {
        let mut round = 0_u64;
        while !over.load(Ordering::Acquire) {
            let settings = [("public_url", public_url.as_str())];
            let second = TestApp::with(Some(database_url.clone()), &settings).await;
            *place.lock().unwrap() = second.url.clone();
            tokio::time::sleep(Duration::from_millis(300 + 97 * (round % 5))).await;
            place.lock().unwrap().clone_from(&first);
            round += 1;
        }
    });

    let made = Arc::new(Mutex::new(Made::default()));
    let mut writers = JoinSet::new();
    for user in users {
        writers.spawn(end_things(t.authority.clone(), user, made.clone()));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    // One begins in the middle.
    let proxy = Proxy::start(&upstream, &faults, Duration::ZERO).await;
    followers.push(follow(&proxy, &api));
    writers.join_all().await;
    is_over.store(true, Ordering::Release);
    faults.store(false, Ordering::Release);
    tasks.join_all().await;

    let made = Arc::into_inner(made).unwrap().into_inner().unwrap();
    assert!(made.families.len() > WRITERS * ENDS_EACH / 2);
    for follower in &followers {
        // The clock of who issued a token may be an hour off: neither kind of end depends on it.
        let ended = |sub: Uuid, user_epoch, sid, hours: i64| {
            let (sub, sid) = (Subject::User(sub), Some(sid));
            let iat = claims.iat + hours * 3600;
            follower.has_ended(&Claims { sub, user_epoch, sid, iat, ..claims.clone() })
        };
        let live = random().uuid();
        until("every family is refused", || {
            made.families.iter().all(|sid| ended(live, Some(0), *sid, 1))
        })
        .await;
        for (user, epoch) in &made.epochs {
            until("every epoch is refused", || ended(*user, Some(*epoch), live, 1)).await;
            assert!(ended(*user, Some(0), live, -1));
            assert!(!ended(*user, Some(epoch + 1), live, -1), "what began later lives");
        }
        let refused = (0..10_000).filter(|_| ended(live, Some(0), random().uuid(), 0));
        assert_eq!(refused.count(), 0, "what did not end is accepted");
    }
}

/// Ends families in transactions that stay open for different times, and sessions of users by the operation that an
/// operator uses.
async fn end_things(authority: Arc<Authority>, user: User, made: Arc<Mutex<Made>>) {
    let mut ended = 0;
    while ended < ENDS_EACH {
        let [kind, pause, many] = authority.random.bytes::<3>();
        if kind < 3 {
            users::set_enabled(&authority, &user, false, &Caller::operator()).await.unwrap();
            let mut made = made.lock().unwrap();
            *made.epochs.entry(user.id.uuid()).or_insert(-1) += 1;
            ended += 1;
            continue;
        }
        let sids: Vec<_> = (0..=many % 40).map(|_| authority.random.uuid()).collect();
        let mut tx = authority.store.db().begin().await.unwrap();
        for sid in &sids {
            execute!(
                tx.on(),
                "INSERT INTO ends (id, user_epoch, ended_at, kind, family_id, reason)
                 VALUES ($1, 0, $2, 'family', $1, 'revoked_by_app')",
                *sid,
                authority.now()
            )
            .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(u64::from(pause % 16))).await;
        tx.commit().await.unwrap();
        ended += sids.len();
        made.lock().unwrap().families.extend(sids);
    }
}

fn random() -> &'static dyn Random {
    &SystemRandom
}

/// Claims that are varied: those of a real token.
async fn some_claims(t: &TestApp) -> Claims {
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let browser = Browser::new(&t.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    let jwks = client().get(format!("{}/.well-known/jwks.json", t.url)).send().await.unwrap();
    let keys = KeySet::from_jwks(&jwks.bytes().await.unwrap()).unwrap();
    let issuer = tokens.claims()["iss"].as_str().unwrap().to_owned();
    let verifier = Verifier::new(issuer, "backend");
    verifier.verify(tokens.access_token(), &keys, t.authority.now().secs()).unwrap()
}

fn follow(url: &str, credentials: &OAuthApp) -> Follower {
    let source = FeedSource {
        authority: url.to_owned(),
        client_id: credentials.id.clone(),
        client_secret: credentials.secret.clone().unwrap(),
        name: String::new(),
    };
    Follower::follow(source, false).unwrap()
}

/// A network between a follower and whichever authority is there: slow, and it breaks connections at random.
struct Proxy;

impl Proxy {
    async fn start(
        upstream: &Arc<Mutex<String>>,
        faults: &Arc<AtomicBool>,
        delay: Duration,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (upstream, faults) = (upstream.clone(), faults.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let to = upstream.lock().unwrap().trim_start_matches("http://").to_owned();
                tokio::spawn(Self::carry(near, to, faults.clone(), delay));
            }
        });
        url
    }

    async fn carry(near: TcpStream, to: String, faults: Arc<AtomicBool>, delay: Duration) {
        let Ok(far) = TcpStream::connect(to).await else { return };
        let [life] = random().bytes::<1>();
        let breaks = async {
            tokio::time::sleep(Duration::from_millis(20 + 4 * u64::from(life))).await;
            while !faults.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let (mut near_read, mut near_write) = near.into_split();
        let (mut far_read, mut far_write) = far.into_split();
        let there = tokio::io::copy(&mut near_read, &mut far_write);
        let back = async {
            let mut buffer = vec![0; 700];
            while let Ok(read @ 1..) = far_read.read(&mut buffer).await {
                tokio::time::sleep(delay).await;
                // Cut anywhere: in the middle of an event too.
                if near_write.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = breaks => {}
            () = back => {}
            _ = there => {}
        }
    }
}
