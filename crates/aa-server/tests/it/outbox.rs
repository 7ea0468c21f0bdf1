//! The outbox: whatever was put into it is sent at least once.

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aa_server::domain::delivery::MAX_AGE;
use foundation::time::{Clock as _, SystemClock};
use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Engine, TestApp, both_databases};

const KIND: &str = "file";
const LEASE: Duration = Duration::from_mins(1);

async fn enqueue(t: &TestApp, target: &str, payload: &str) {
    let authority = &t.authority;
    let message = (KIND, target, payload.as_bytes());
    let (store, random) = (&authority.store, &*authority.random);
    authority.outbox.enqueue(store, random, message, authority.now()).await.unwrap();
}

#[apply(both_databases)]
async fn a_lease_belongs_to_one_replica_until_it_ends(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let store = &t.authority.store;
    for number in 0..100 {
        enqueue(&t, "somewhere", &number.to_string()).await;
    }
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, now) = (store.clone(), t.authority.now());
        takers.spawn(async move {
            let mut taken = Vec::new();
            while let Ok(mut some) = store.lease_deliveries(KIND, 7, LEASE, now).await
                && !some.is_empty()
            {
                taken.append(&mut some);
            }
            taken
        });
    }
    let taken: Vec<_> = takers.join_all().await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = taken.iter().map(|delivery| delivery.id).collect();
    assert_eq!((taken.len(), ids.len()), (100, 100), "each is taken once");
    assert!(store.lease_deliveries(KIND, 10, LEASE, t.authority.now()).await.unwrap().is_empty());

    t.advance(61);
    let again = store.lease_deliveries(KIND, 1000, LEASE, t.authority.now()).await.unwrap();
    assert_eq!(again.len(), 100, "what was not recorded as sent is due again");
    assert!(!store.complete_delivery(&taken[0]).await.unwrap(), "the first lease has ended");
    for delivery in &again {
        assert!(store.complete_delivery(delivery).await.unwrap());
    }
    assert!(store.deliveries(None, 10).await.unwrap().is_empty());
}

#[apply(both_databases)]
async fn payloads_are_encrypted_and_bound_to_their_delivery(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    enqueue(&t, "a", "a private text").await;
    enqueue(&t, "b", "another").await;
    let leased =
        t.authority.store.lease_deliveries(KIND, 2, LEASE, t.authority.now()).await.unwrap();
    let find = |target: &str| leased.iter().find(|one| one.target == target).unwrap().clone();
    let (mut a, b) = (find("a"), find("b"));
    assert!(!a.payload.windows(7).any(|part| part == b"private"));
    assert_eq!(&**t.authority.outbox.open(&a).unwrap().payload, b"a private text");
    a.payload = b.payload;
    assert!(t.authority.outbox.open(&a).is_err(), "moved to another row");
}

#[apply(both_databases)]
async fn what_fails_is_given_up_in_the_end_and_can_be_sent_again(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let store = &t.authority.store;
    enqueue(&t, "nowhere", "x").await;
    let due = || async { store.lease_deliveries(KIND, 5, LEASE, t.authority.now()).await.unwrap() };
    let first = due().await.remove(0);
    let soon = t.authority.now() + Duration::from_secs(5);
    assert!(store.fail_delivery(&first, "refused", Some(soon), t.authority.now()).await.unwrap());
    assert!(due().await.is_empty());
    t.advance(5);
    let second = due().await.remove(0);
    assert_eq!(second.attempts, 2);
    assert!(store.fail_delivery(&second, "refused", None, t.authority.now()).await.unwrap());
    t.advance(MAX_AGE.as_secs());
    assert!(due().await.is_empty(), "a delivery that was given up is left alone");
    let shown = store.deliveries(None, 10).await.unwrap().remove(0);
    assert!(shown.failed_at.is_some() && shown.last_error == "refused");
    store.retry_delivery(shown.id, t.authority.now()).await.unwrap().unwrap();
    assert_eq!(due().await.len(), 1);
}

struct Replica(Child);

impl Replica {
    /// Starts a process that empties the outbox, and waits until it does. As a supervisor would, it starts again
    /// what does not come up (PostgreSQL has a connection for each of so many tests).
    fn start(database_url: &str, folder: &Path, epoch: i64) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_aa-server"))
            .with_file_name("examples")
            .join("outbox_replica");
        for _ in 0..10 {
            let mut process = Command::new(&program)
                .args([database_url, folder.to_str().unwrap(), &epoch.to_string()])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| {
                    panic!(
                        "{}: {error}; `cargo build --examples -p aa-server` makes it",
                        program.display()
                    )
                });
            let mut line = String::new();
            let output = process.stdout.take().unwrap();
            std::io::BufReader::new(output).read_line(&mut line).unwrap();
            if line == "ready\n" {
                return Self(process);
            }
            process.wait().unwrap();
        }
        panic!("the replica does not start");
    }
}

impl Drop for Replica {
    /// As `kill -9` does.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[apply(both_databases)]
async fn kill_9_loses_no_delivery(#[case] engine: Engine) {
    const MESSAGES: usize = 200;
    let Some(t) = engine.start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sent");
    for number in 0..MESSAGES {
        enqueue(&t, file.to_str().unwrap(), &number.to_string()).await;
    }
    let epoch = SystemClock.now().millis();
    let start = || Replica::start(&t.database_url, folder.path(), epoch);
    let sent = || -> Vec<String> {
        std::fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect()
    };
    // SQLite is for one server; on PostgreSQL two replicas share the work.
    let mut replicas = vec![start()];
    if matches!(engine, Engine::Postgres) {
        replicas.push(start());
    }
    let mut killed_at = 0;
    let all_sent = async {
        while !t.authority.store.deliveries(None, 1).await.unwrap().is_empty() {
            // Twice in the middle of the work, each time another one.
            let lines = sent().len();
            if lines > killed_at && lines < MESSAGES && killed_at < MESSAGES / 2 {
                killed_at = lines + MESSAGES / 4;
                drop(replicas.remove(0));
                replicas.push(start());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(90), all_sent).await;
    assert!(in_time.is_ok(), "{} of {MESSAGES} were sent", sent().len());
    let lines = sent();
    let distinct: BTreeSet<&String> = lines.iter().collect();
    assert!(killed_at > 0, "a replica was killed while it worked");
    assert_eq!(distinct.len(), MESSAGES, "every message was sent, {} times in all", lines.len());
}
