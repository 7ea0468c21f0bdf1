//! (b) The database part of a refresh, beside what the database can do at most, as families grow; and what is
//! measured on the same databases: (c) HTTP, (d) API calls, (e) growth.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aa_server::Authority;
use aa_server::store::{ROTATE, Rotation};
use database::Either;
use database::rusqlite::Connection;
use foundation::time::{Clock as _, SystemClock};
use futures_util::future::join_all;
use service::run::Failure;
use testing::Cluster;

use crate::load::Outcome;
use crate::population::{Population, Stage};
use crate::report::{Report, Target};
use crate::startup::families;
use crate::{Kind, api, http, machine};

const CLIENTS: [u32; 4] = [1, 8, 64, 256];
/// As a database server with some memory is set up; durable in every respect.
const POSTGRES: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_connections=400",
    // Between two checkpoints all the time: right after one, each page goes into the log as a whole.
    "max_wal_size=48GB",
    "checkpoint_timeout=30min",
    "wal_level=minimal",
    "max_wal_senders=0",
];

/// The measurements on each database.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub store: bool,
    pub http: bool,
    /// Others' servers, and the bare handler.
    pub peers: bool,
    pub api: bool,
}

/// Rates by how many families there are, and how many clients.
type Rates = HashMap<(u32, u32), f64>;

/// Measures.
pub async fn measure(
    report: &mut Report,
    wanted: Wanted,
    kinds: &[Kind],
    sizes: &[u32],
    each: Duration,
) -> Result<(), Failure> {
    let port = testing::free_ports(1);
    // Where others are measured too.
    let middle = sizes.iter().copied().filter(|size| *size <= 1_000_000).max().unwrap_or(sizes[0]);
    let buffers = format!("shared_buffers={}MB", machine::memory_mb() / 4);
    let settings: Vec<String> =
        POSTGRES.iter().map(|setting| (*setting).to_owned()).chain([buffers]).collect();
    let cluster = tokio::task::spawn_blocking(move || {
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Cluster::start(&settings)
    })
    .await?
    .ok_or("PostgreSQL is needed")?;
    let ceilings =
        if wanted.peers { http::ceilings(report, &cluster, each).await? } else { HashMap::new() };
    for &kind in kinds {
        let (mut store, mut through_http) = (Rates::new(), Rates::new());
        for &size in sizes {
            let folder = tempfile::tempdir()?;
            let url = if kind == Kind::Sqlite {
                format!("sqlite://{}", folder.path().join("aa.db").display())
            } else {
                let name = format!("families_{size}");
                cluster.create_database(&name);
                cluster.url(&name)
            };
            let began = Instant::now();
            let stage = Stage::fill(&url, folder.path(), port, size).await?;
            println!("{kind}: {size} families made in {:.0} s", began.elapsed().as_secs_f64());
            if wanted.store {
                let group = format!("store, {kind}");
                for clients in CLIENTS {
                    let outcome = refreshes(&stage, clients, each).await;
                    let name = format!("{}, {clients} clients", families(size));
                    store.insert((size, clients), report.add(outcome.figure(&group, name)));
                }
                if size == middle {
                    limits(report, &stage, &cluster, each, &store).await?;
                }
            }
            // Everything else is asked through a process of its own, which then is the only writer.
            stage.app.store.db().close().await;
            if wanted.http {
                http::measure(
                    report,
                    kind,
                    &stage,
                    folder.path(),
                    each,
                    size == middle,
                    &ceilings,
                    &mut through_http,
                    &cluster,
                )
                .await?;
            }
            if wanted.api && kind == Kind::Sqlite && size == middle {
                api::measure(report, &stage, folder.path(), each).await?;
            }
            if let Either::Postgres(_) = stage.app.store.db().write() {
                let dropped = Command::new(cluster.bin.join("dropdb"))
                    .args([
                        "-h",
                        "127.0.0.1",
                        "-p",
                        &cluster.port.to_string(),
                        "-U",
                        "postgres",
                        "-f",
                    ])
                    .arg(format!("families_{size}"))
                    .status()?;
                assert!(dropped.success());
            }
        }
        grow(report, &format!("store, {kind}"), sizes, &store);
        grow(report, &format!("HTTP, {kind}"), sizes, &through_http);
    }
    Ok(())
}

/// (e) What more families cost.
fn grow(report: &mut Report, what: &str, sizes: &[u32], rates: &Rates) {
    let (Some(few), Some(many)) = (sizes.iter().min(), sizes.iter().max()) else { return };
    for clients in [64, 256] {
        if let (Some(before), Some(after)) =
            (rates.get(&(*few, clients)), rates.get(&(*many, clients)))
            && few != many
        {
            let target = (many / few >= 100).then_some(Target::AtLeast(0.7));
            let label =
                format!("{what}, {clients} clients: {} ÷ {}", families(*many), families(*few));
            report.compare(label, after / before, target);
        }
    }
}

/// A family that this client may rotate: another one every time, anywhere in the table.
struct Picker {
    state: u64,
    clients: u32,
    client: u32,
    stripes: u32,
}

impl Picker {
    fn new(population: &Population, clients: u32, client: u32) -> Self {
        let stripes = population.others() / clients;
        Self { state: u64::from(client) * 7919 + 17, clients, client, stripes }
    }

    fn next(&mut self, population: &Population) -> u32 {
        // xorshift
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let stripe = (self.state >> 32) as u32 % self.stripes;
        population.other(stripe * self.clients + self.client)
    }
}

const WARM: Duration = Duration::from_millis(500);

/// So many clients, each of which asks again as soon as it is answered. `ask` says whether the family was rotated.
async fn drive<F>(
    stage: &Stage,
    clients: u32,
    each: Duration,
    ask: impl Fn(Arc<Authority>, Rotation) -> F + Copy + Send + 'static,
) -> Outcome
where
    F: Future<Output = bool> + Send,
{
    let began = Instant::now();
    let tasks = (0..clients).map(|client| {
        let (app, population) = (Arc::clone(&stage.app), Arc::clone(&stage.population));
        let mut picker = Picker::new(&population, clients, client);
        tokio::spawn(async move {
            let mut micros = Vec::new();
            while began.elapsed() < WARM + each {
                let family = picker.next(&population);
                let sent = Instant::now();
                let rotated = ask(Arc::clone(&app), population.rotation(family, app.now())).await;
                assert!(rotated, "the family is rotated");
                population.rotated(family);
                if sent > began + WARM {
                    micros.push(sent.elapsed().as_micros() as u32);
                }
            }
            micros
        })
    });
    let all = join_all(tasks).await.into_iter();
    let all = all.flat_map(|micros| micros.expect("a client does not panic"));
    Outcome::of(all.collect(), each)
}

async fn refreshes(stage: &Stage, clients: u32, each: Duration) -> Outcome {
    let ask = |app: Arc<Authority>, rotation| async move {
        app.store.rotate(rotation).await.expect("the database answers").is_some()
    };
    drive(stage, clients, each, ask).await
}

/// The limits of the database itself, and of clients that ask one by one.
async fn limits(
    report: &mut Report,
    stage: &Stage,
    cluster: &Cluster,
    each: Duration,
    rates: &Rates,
) -> Result<(), Failure> {
    let size = stage.population.families;
    let rate = |clients| rates.get(&(size, clients)).copied().unwrap_or_default();
    let apart = one_transaction_each(stage, 64, each).await;
    match stage.app.store.db().write() {
        Either::Postgres(_) => {
            let group = "store, PostgreSQL";
            let apart = report.add(apart.figure(group, "limit: a transaction each, 64 clients"));
            report.compare(
                "store, PostgreSQL, 64 clients ÷ a transaction each",
                rate(64) / apart,
                None,
            );
            cluster.create_database("pgbench");
            let database =
                ["-h", "127.0.0.1", "-p", &cluster.port.to_string(), "-U", "postgres", "pgbench"]
                    .map(str::to_owned);
            // As many rows as families.
            pgbench(cluster, &database, &["-i", "-q", "-s", &(size / 100_000).max(1).to_string()])?;
            for (clients, least) in [(64, 5.0), (256, 10.0)] {
                let seconds = each.as_secs().max(2).to_string();
                let (many, bench) = (clients.to_string(), cluster);
                let said = pgbench(
                    bench,
                    &database,
                    &["-n", "-N", "-M", "prepared", "-j", "2", "-c", &many, "-T", &seconds],
                )?;
                let tps = said.lines().find_map(|line| {
                    line.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok()
                });
                let outcome =
                    Outcome { per_second: tps.ok_or("pgbench says no tps")?, ..Outcome::default() };
                let mut figure =
                    outcome.figure(group, format!("limit: pgbench -N, {clients} clients"));
                (figure.p50_ms, figure.p99_ms) = (None, None);
                let pgbench = report.add(figure);
                report.compare(
                    format!("store, PostgreSQL, {clients} clients ÷ pgbench -N"),
                    rate(clients) / pgbench,
                    Target::AtLeast(least),
                );
            }
        }
        Either::Sqlite(_) => {
            let group = "store, SQLite";
            let apart = report.add(apart.figure(group, "limit: a transaction each, 64 clients"));
            report.compare(
                "store, SQLite, 64 clients ÷ a transaction each",
                rate(64) / apart,
                Target::AtLeast(15.0),
            );
            for batch in [64, 256] {
                let file = stage.url.trim_start_matches("sqlite://").to_owned();
                let population = Arc::clone(&stage.population);
                let raw = tokio::task::spawn_blocking(move || {
                    one_writer(Path::new(&file), &population, batch, each)
                })
                .await??;
                let raw = report.add(
                    raw.figure(group, format!("limit: one thread, nothing else, {batch} a commit")),
                );
                report.compare(
                    format!("store, SQLite, {batch} clients ÷ one thread"),
                    rate(batch) / raw,
                    Target::AtLeast(0.7),
                );
            }
        }
    }
    Ok(())
}

fn pgbench(cluster: &Cluster, database: &[String], args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(cluster.bin.join("pgbench")).args(args).args(database).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// The same statement, in a transaction of its own for each request.
async fn one_transaction_each(stage: &Stage, clients: u32, each: Duration) -> Outcome {
    let ask = |app: Arc<Authority>, rotation: Rotation| async move {
        let mut tx = app.store.db().begin().await.expect("a transaction");
        let rotated = database::on!(tx.on(), c => {
            rotation.query()
                .fetch_optional(c)
                .await
                .map(|row| row.is_some())
        });
        tx.commit().await.expect("it commits");
        rotated.expect("the database answers")
    };
    drive(stage, clients, each, ask).await
}

/// The same batches, by one thread that does nothing else.
fn one_writer(
    file: &Path,
    population: &Population,
    batch: u32,
    each: Duration,
) -> Result<Outcome, Failure> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA cache_size = -4096; PRAGMA mmap_size = 1099511627776; PRAGMA wal_autocheckpoint = 16000;",
    )?;
    let now = SystemClock.now();
    let mut picker = Picker::new(population, 1, 0);
    let began = Instant::now();
    let mut micros = Vec::new();
    let mut statement = connection.prepare(ROTATE)?;
    while began.elapsed() < WARM + each {
        let sent = Instant::now();
        let mut rotated = Vec::new();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..batch {
            let family = picker.next(population);
            if rotated.contains(&family) {
                continue;
            }
            population.rotation(family, now).bind(&mut statement)?;
            let mut rows = statement.raw_query();
            let row = rows.next()?.ok_or("the family is not rotated")?.get::<_, String>(2)?;
            while rows.next()?.is_some() {}
            std::hint::black_box(row);
            rotated.push(family);
        }
        connection.execute_batch("COMMIT")?;
        let took = sent.elapsed().as_micros() as u32;
        for family in rotated {
            population.rotated(family);
            if sent > began + WARM {
                micros.push(took);
            }
        }
    }
    let elapsed = began.elapsed().saturating_sub(WARM);
    Ok(Outcome::of(micros, elapsed))
}
