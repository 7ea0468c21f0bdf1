//! `just show-ended`: how soon an ended session is refused everywhere, and what knowing it costs. Writes
//! `target/bench/ended.json` and `ended.svg`; exits with 1 if a goal of docs/performance.md is missed.

#![expect(clippy::disallowed_methods, reason = "it measures time")]

mod chart;
mod crowd;
mod world;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use service::run::Failure;
use tokens::feed::Follower;
use tokens::revocation::Revoked;
use tokens::{Denied, Guard, Headers, KeySet, RequestParts, Verifier};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

use crate::world::{Session, World};

#[derive(Debug, Parser)]
#[command(about = "How soon an ended session is refused everywhere, and what knowing it costs")]
struct Args {
    /// Followers that are told of each end.
    #[arg(long, default_value_t = 200)]
    followers: usize,
    /// Ends, one after the other.
    #[arg(long, default_value_t = 100)]
    ends: usize,
    /// Followers of one authority that are told of a storm.
    #[arg(long, default_value_t = 10_000)]
    crowd: usize,
    /// Ends of that storm.
    #[arg(long, default_value_t = 1_000)]
    storm: usize,
    /// Seconds for which a follower is away.
    #[arg(long, default_value_t = 60)]
    away: u64,
    /// Seconds for which the authority is down.
    #[arg(long, default_value_t = 60)]
    down: u64,
    /// Folder for the figures.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// A figure, and what it has to be if there is a goal.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    at_most: Option<f64>,
}

#[derive(Default)]
struct Report(Vec<Figure>);

impl Report {
    fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        at_most: Option<f64>,
    ) {
        let name = name.into();
        let goal = at_most.map(|most| format!("  (at most {most} {unit})")).unwrap_or_default();
        let missed = if at_most.is_some_and(|most| value > most) { "  MISSED" } else { "" };
        println!("{name}: {value:.2} {unit}{goal}{missed}");
        self.0.push(Figure { name, value, unit, at_most });
    }

    fn to_json(&self) -> Value {
        let figure = |figure: &Figure| json!({ "name": figure.name, "value": figure.value, "unit": figure.unit, "at_most": figure.at_most });
        self.0.iter().map(figure).collect()
    }

    fn is_met(&self) -> bool {
        self.0.iter().all(|figure| figure.at_most.is_none_or(|most| figure.value <= most))
    }
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    service::run::to_exit(Box::pin(run())).await
}

async fn run() -> Result<(), Failure> {
    let args = Args::parse();
    service::run::install_crypto();
    let world = World::new().await?;
    let mut report = Report::default();
    let mut curves = Vec::new();
    for (name, through_two) in [("one authority", false), ("through two", true)] {
        let millis = latencies(&world, &args, through_two).await?;
        report.add(
            format!("{name}: refused by all, p50"),
            percentile(&millis, 0.5),
            "ms",
            Some(30.0),
        );
        report.add(
            format!("{name}: refused by all, p99"),
            percentile(&millis, 0.99),
            "ms",
            Some(250.0),
        );
        curves.push((name, millis));
    }
    crowd(&world, &args, &mut report).await?;
    mass_end(&world, &mut report).await?;
    check(&world, &mut report).await?;
    away(&world, &args, &mut report).await?;
    down(&world, &args, &mut report).await?;
    std::fs::create_dir_all(&args.out)?;
    std::fs::write(args.out.join("ended.json"), format!("{:#}\n", report.to_json()))?;
    std::fs::write(args.out.join("ended.svg"), chart::draw(&curves))?;
    if report.is_met() { Ok(()) } else { Err("not every goal was reached".into()) }
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len());
    sorted[index - 1]
}

/// Milliseconds from the answer of an end until the last of the followers refuses the session's token.
async fn latencies(world: &World, args: &Args, through_two: bool) -> Result<Vec<f64>, Failure> {
    let first = world.authority(None).await?;
    let second = if through_two { Some(world.authority(None).await?) } else { None };
    let followed = second.as_ref().unwrap_or(&first);
    world.sign_in(&first).await?;
    let sessions = world.sessions(&first, args.ends).await?;
    let known: Arc<Mutex<HashMap<Uuid, (usize, Instant)>>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..args.followers {
        let follower = world.follower(&followed.url).await?;
        tasks.spawn(note(follower, Arc::clone(&known)));
    }
    let mut millis = Vec::with_capacity(sessions.len());
    for session in &sessions {
        world.end(&first, session).await?;
        let answered = Instant::now();
        let last = loop {
            let found = known.lock().map_err(|_| "poisoned")?.get(&session.sid).copied();
            match found {
                Some((count, last)) if count == args.followers => break last,
                _ if answered.elapsed() > Duration::from_secs(30) => {
                    return Err("an end was not followed".into());
                }
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        };
        millis.push(last.saturating_duration_since(answered).as_secs_f64() * 1000.0);
        // Ends of people, not a storm.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    millis.sort_by(f64::total_cmp);
    Ok(millis)
}

/// Counts for each session the followers that refuse it, and when the last one began to.
async fn note(follower: Follower, known: Arc<Mutex<HashMap<Uuid, (usize, Instant)>>>) {
    let mut ends = follower.subscribe();
    while let Ok(end) = ends.recv().await {
        let now = Instant::now();
        let Revoked::Families { sids } = &end.of else { continue };
        let Ok(mut known) = known.lock() else { return };
        for sid in sids {
            let entry = known.entry(*sid).or_insert((0, now));
            *entry = (entry.0 + 1, now);
        }
    }
}

/// Many followers of one authority, and many ends at once.
async fn crowd(world: &World, args: &Args, report: &mut Report) -> Result<(), Failure> {
    let authority = world.authority(None).await?;
    world.sign_in(&authority).await?;
    let sessions = world.sessions(&authority, args.storm).await?;
    let before = authority.memory()?;
    let crowd = crowd::Crowd::connect(&authority.url, &world.api_secret, args.crowd).await?;
    let name = format!("{} followers: memory of the authority", args.crowd);
    report.add(name, authority.memory()? - before, "MB", Some(200.0));
    let began = Instant::now();
    world.end_all(&authority, &sessions).await?;
    let answered = Instant::now();
    report.add(
        format!("{} ends: all answered after", args.storm),
        answered.duration_since(began).as_secs_f64(),
        "s",
        None,
    );
    crowd.know_of(args.storm).await?;
    let name =
        format!("{} ends: with {} followers after their last answer", args.storm, args.crowd);
    report.add(name, answered.elapsed().as_secs_f64(), "s", Some(2.0));
    report.add("memory of the authority after the storm", authority.memory()? - before, "MB", None);
    Ok(())
}

/// All sessions of a user at once: one end for each follower.
async fn mass_end(world: &World, report: &mut Report) -> Result<(), Failure> {
    let authority = world.authority(None).await?;
    world.sign_in(&authority).await?;
    let sessions = world.sessions(&authority, 200).await?;
    let follower = world.follower(&authority.url).await?;
    let mut ends = follower.subscribe();
    world.end_user().await?;
    let mut events = 0;
    while sessions.iter().any(|session| follower.end_of(&session.identity).is_none()) {
        tokio::time::timeout(Duration::from_secs(10), ends.recv()).await??;
        events += 1;
    }
    report.add(
        "all 200 sessions of a user: ends that a follower is told of",
        f64::from(events),
        "",
        Some(1.0),
    );
    world.enable_user().await
}

/// A follower that cannot reach the authority for a while.
async fn away(world: &World, args: &Args, report: &mut Report) -> Result<(), Failure> {
    let authority = world.authority(None).await?;
    world.sign_in(&authority).await?;
    let sessions = world.sessions(&authority, 50).await?;
    let (cut, is_cut) = watch::channel(false);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let reached = Arc::new(Mutex::new(None));
    tokio::spawn(network(listener, authority.port, is_cut, Arc::clone(&reached)));
    let follower = world.follower(&url).await?;
    cut.send_replace(true);
    world.end_all(&authority, &sessions).await?;
    tokio::time::sleep(Duration::from_secs(args.away)).await;
    *reached.lock().map_err(|_| "poisoned")? = None;
    cut.send_replace(false);
    let back = Instant::now();
    while !sessions.iter().all(|session| follower.end_of(&session.identity).is_some()) {
        if back.elapsed() > Duration::from_secs(30) {
            return Err("a follower did not come back".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let complete = Instant::now();
    let reached: Option<Instant> = *reached.lock().map_err(|_| "poisoned")?;
    let since = complete.duration_since(reached.ok_or("it did not reconnect")?);
    let name = format!("away for {} s: complete after it has reconnected", args.away);
    report.add(name, since.as_secs_f64(), "s", Some(1.0));
    let name = "away: reconnected after the network is back";
    report.add(name, reached.unwrap_or(back).duration_since(back).as_secs_f64(), "s", None);
    Ok(())
}

/// Carries connections to a port, or refuses and ends them while it is cut.
async fn network(
    listener: TcpListener,
    port: u16,
    is_cut: watch::Receiver<bool>,
    reached: Arc<Mutex<Option<Instant>>>,
) {
    while let Ok((mut near, _)) = listener.accept().await {
        if *is_cut.borrow() {
            continue;
        }
        if let Ok(mut reached) = reached.lock() {
            reached.get_or_insert_with(Instant::now);
        }
        let mut is_cut = is_cut.clone();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = is_cut.wait_for(|is_cut| *is_cut) => {}
            }
        });
    }
}

struct Bearer(String);

impl Headers for Bearer {
    fn value(&self, name: &str, index: usize) -> Option<&[u8]> {
        (index == 0 && name.eq_ignore_ascii_case("authorization")).then_some(self.0.as_bytes())
    }
}

async fn authenticate(guard: &Guard, token: &Bearer) -> Result<(), Denied> {
    guard.authenticate(&RequestParts::new("GET", "https://api.example/", token)).await.map(drop)
}

async fn guard(world: &World, url: &str, now: i64) -> Result<Guard, Failure> {
    let verifier = Verifier::new(world.issuer(), "app");
    let guard = Guard::new(verifier, url, KeySet::default())?.with_clock(move || now);
    for _ in 0..3000 {
        if guard.is_ready() {
            return Ok(guard);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("no keys".into())
}

/// The authority is down: an API that makes do without goes on, and one that requires its word answers 503.
async fn down(world: &World, args: &Args, report: &mut Report) -> Result<(), Failure> {
    let authority = world.authority(None).await?;
    world.sign_in(&authority).await?;
    let session = world.session(&authority).await?;
    let issued = session.identity.expires_at() - 1;
    let follower = world.follower(&authority.url).await?;
    let guard = guard(world, &authority.url, issued).await?;
    let best_effort = guard.clone().best_effort(follower.clone());
    let require = guard.require(follower, Duration::from_secs(5));
    let token = Bearer(format!("Bearer {}", session.access_token));
    authenticate(&require, &token).await?;
    authority.kill().await?;
    let began = Instant::now();
    let (mut served, mut refused, mut asked) = (0, 0, 0);
    while began.elapsed() < Duration::from_secs(args.down.max(10)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        asked += 1;
        served += u32::from(authenticate(&best_effort, &token).await.is_ok());
        // Within five seconds its last word is fresh enough.
        let is_old = began.elapsed() > Duration::from_millis(5100);
        let stale = authenticate(&require, &token).await == Err(Denied::Stale);
        refused += u32::from(!is_old || stale);
    }
    let percent = |count: u32| f64::from(asked - count) / f64::from(asked) * 100.0;
    report.add(
        format!("down for {} s: refused by best_effort", args.down.max(10)),
        percent(served),
        "%",
        Some(0.0),
    );
    report.add("down: accepted by require:5s after 5 s", percent(refused), "%", Some(0.0));
    Ok(())
}

/// The cost of checking a token with 10,000 ends known, against none: the best of alternating rounds.
async fn check(world: &World, report: &mut Report) -> Result<(), Failure> {
    const ROUNDS: usize = 15;
    const CHECKS: u32 = 100_000;
    let authority = world.authority(None).await?;
    world.sign_in(&authority).await?;
    let session: Session = world.session(&authority).await?;
    let now = session.identity.expires_at() - 60;
    let without = guard(world, &authority.url, now).await?;
    world.log_ends(10_000).await?;
    let follower = world.follower(&authority.url).await?;
    let with = without.clone().best_effort(follower.clone());
    while follower.len() < 10_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let keys = world.keys(&authority).await?;
    let verifier = Verifier::new(world.issuer(), "app");
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (best, follower) in best.iter_mut().zip([None, Some(&follower)]) {
            let began = Instant::now();
            for _ in 0..CHECKS / 100 {
                let claims = verifier.verify(&session.access_token, &keys, now)?;
                if follower.is_some_and(|follower| follower.has_ended(&claims)) {
                    return Err("a live session is refused".into());
                }
            }
            *best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(CHECKS / 100));
        }
    }
    report.add("check a new token, nothing followed", best[0], "ns", None);
    report.add("check a new token, 10,000 ends known", best[1], "ns", None);
    report.add("more by", (best[1] / best[0] - 1.0) * 100.0, "%", Some(5.0));
    let token = Bearer(format!("Bearer {}", session.access_token));
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (best, guard) in best.iter_mut().zip([&without, &with]) {
            let began = Instant::now();
            for _ in 0..CHECKS {
                authenticate(guard, &token).await?;
            }
            *best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(CHECKS));
        }
    }
    report.add("a remembered token, nothing followed", best[0], "ns", None);
    report.add("a remembered token, 10,000 ends known", best[1], "ns", None);
    report.add("a remembered token: more by", best[1] - best[0], "ns", None);
    Ok(())
}
