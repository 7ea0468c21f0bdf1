//! (c) Chained refreshes through HTTP, beside a bare handler that only signs, and beside others' servers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use service::run::Failure;
use testing::Cluster;
use tokio::process::Command;

use crate::load::{self, Ask, Outcome, Plan};
use crate::population::{CLIENT_ID, CLIENT_SECRET, FOR_HTTP, Stage};
use crate::programs::{self, Program};
use crate::report::{Report, Target};
use crate::{Kind, machine, startup};

const GROUP: &str = "refreshes through HTTP";
const CLIENTS: [usize; 2] = [64, 256];

const BARE: &str = "bare handler that only signs";
const OIDC_PROVIDER: &str = "oidc-provider (npm), in memory";
const DJANGO: &str = "django-oauth-toolkit, PostgreSQL";

/// Rates of others, by name and clients.
pub type Ceilings = HashMap<(&'static str, usize), f64>;

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn plan(port: u16, path: &'static str, each: Duration) -> Plan {
    let body = format!(
        "grant_type=refresh_token&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&refresh_token="
    );
    Plan { port, ask: Ask::Refresh { path, body }, each, pace: None, keep: false }
}

/// One run, with the processor time that the server and its database took.
async fn run(
    plan: &Plan,
    lanes: Vec<Vec<String>>,
    processes: &[u32],
) -> Result<(Outcome, f64, Vec<Vec<String>>), Failure> {
    let before = machine::processor_seconds(processes);
    let (outcome, lanes) = load::run(plan, lanes).await?;
    let used = machine::processor_seconds(processes) - before;
    // The start that does not count is half a second of it.
    let requests = outcome.per_second * (plan.each.as_secs_f64() + 0.5);
    Ok((outcome, used * 1e6 / requests, lanes))
}

/// The bare handler, and others' servers.
pub async fn ceilings(
    report: &mut Report,
    cluster: &Cluster,
    each: Duration,
) -> Result<Ceilings, Failure> {
    let mut rates = Ceilings::new();
    bare(report, &mut rates, each).await?;
    oidc_provider(report, &mut rates, each).await?;
    django(report, &mut rates, cluster, each).await?;
    Ok(rates)
}

async fn bare(report: &mut Report, rates: &mut Ceilings, each: Duration) -> Result<(), Failure> {
    let port = testing::free_ports(1);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve-bare", &port.to_string()]);
    let program = programs::start(command, port, "/readyz").await?;
    for clients in CLIENTS {
        let lanes = vec![vec![format!("rt_{}", "x".repeat(91))]; clients];
        let plan = plan(port, "/oauth/token", each);
        measure_one(report, rates, BARE, &program, &plan, lanes).await?;
    }
    program.end().await?;
    Ok(())
}

async fn oidc_provider(
    report: &mut Report,
    rates: &mut Ceilings,
    each: Duration,
) -> Result<(), Failure> {
    let installed = Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"])
        .current_dir(peers())
        .status();
    if !installed.await.is_ok_and(|status| status.success()) {
        println!("npm does not install oidc-provider: it is not measured");
        return Ok(());
    }
    for clients in CLIENTS {
        let port = testing::free_ports(1);
        let mut command = Command::new("node");
        command
            .arg(peers().join("oidc-provider.mjs"))
            .args([&port.to_string(), CLIENT_ID, CLIENT_SECRET, &clients.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut program =
            programs::start(command, port, "/.well-known/openid-configuration").await?;
        let tokens = programs::lines(program.output()?, clients).await?;
        let lanes = tokens.into_iter().map(|token| vec![token]).collect();
        let plan = plan(port, "/token", each);
        measure_one(report, rates, OIDC_PROVIDER, &program, &plan, lanes).await?;
        program.end().await?;
    }
    Ok(())
}

async fn django(
    report: &mut Report,
    rates: &mut Ceilings,
    cluster: &Cluster,
    each: Duration,
) -> Result<(), Failure> {
    const INSTALL: &str = "[ -x .venv/bin/gunicorn ] || \
        { python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt; }";
    let installed = Command::new("sh").args(["-c", INSTALL]).current_dir(peers()).status();
    if !installed.await.is_ok_and(|status| status.success()) {
        println!("pip does not install django-oauth-toolkit: it is not measured");
        return Ok(());
    }
    cluster.create_database("django");
    let port = testing::free_ports(1);
    let programs = peers().join(".venv/bin");
    let environment = [
        ("DATABASE_PORT", cluster.port.to_string()),
        ("CLIENT_ID", CLIENT_ID.to_owned()),
        ("CLIENT_SECRET", CLIENT_SECRET.to_owned()),
    ];
    let made = Command::new(programs.join("python"))
        .args(["django_oauth_toolkit.py", "320"])
        .envs(environment.clone())
        .current_dir(peers())
        .output()
        .await?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    let tokens = String::from_utf8(made.stdout)?;
    let mut tokens = tokens.lines().map(str::to_owned);
    let mut command = Command::new(programs.join("gunicorn"));
    command
        .args(["--workers", "2", "--threads", "8", "--log-level", "error"])
        .args(["--bind", &format!("127.0.0.1:{port}"), "django_oauth_toolkit:application"])
        .envs(environment)
        .current_dir(peers());
    let program = programs::start(command, port, "/ready").await?;
    for clients in CLIENTS {
        let lanes = tokens.by_ref().take(clients).map(|token| vec![token]).collect();
        let plan = plan(port, "/o/token/", each);
        measure_one(report, rates, DJANGO, &program, &plan, lanes).await?;
    }
    program.end().await?;
    Ok(())
}

async fn measure_one(
    report: &mut Report,
    rates: &mut Ceilings,
    name: &'static str,
    program: &Program,
    plan: &Plan,
    lanes: Vec<Vec<String>>,
) -> Result<(), Failure> {
    let clients = lanes.len();
    let (outcome, micros, _) = run(plan, lanes, &[program.pid()]).await?;
    let mut figure = outcome.figure(GROUP, format!("{name}, {clients} clients"));
    figure.server_us = Some(micros);
    rates.insert((name, clients), report.add(figure));
    Ok(())
}

/// The authority on one database.
#[expect(clippy::too_many_arguments, reason = "what a run is made of")]
pub async fn measure(
    report: &mut Report,
    kind: Kind,
    stage: &Stage,
    folder: &Path,
    each: Duration,
    against_others: bool,
    ceilings: &Ceilings,
    rates: &mut HashMap<(u32, u32), f64>,
    cluster: &Cluster,
) -> Result<(), Failure> {
    let size = stage.population.families;
    let authority = startup::start(report, kind, stage, folder).await?;
    let mut processes = vec![authority.pid()];
    if kind == Kind::Postgresql {
        processes.push(cluster.pid());
    }
    // The last few are for the API part.
    let each_of = FOR_HTTP / 257;
    let mut lanes: Vec<Vec<String>> = (0..256)
        .map(|lane| {
            (0..each_of)
                .map(|turn| stage.population.token(&stage.app, lane * each_of + turn))
                .collect()
        })
        .collect();
    let plan = plan(stage.port, "/oauth/token", each);
    for clients in CLIENTS {
        let rest = lanes.split_off(clients);
        let (outcome, micros, used) = run(&plan, lanes, &processes).await?;
        lanes = used.into_iter().chain(rest).collect();
        let mut figure = outcome.figure(
            GROUP,
            format!("aa-server, {kind}, {}, {clients} clients", startup::families(size)),
        );
        figure.server_us = Some(micros);
        let rate = report.add(figure);
        rates.insert((size, clients as u32), rate);
        if !against_others {
            continue;
        }
        let what = format!("HTTP, {kind}, {clients} clients");
        for ((name, of), ceiling) in ceilings {
            if *of == clients {
                let target = match *name {
                    BARE => Some(Target::AtLeast(0.5)),
                    OIDC_PROVIDER if kind == Kind::Sqlite => Some(Target::AtLeast(6.0)),
                    OIDC_PROVIDER => Some(Target::AtLeast(10.0)),
                    _ => None,
                };
                report.compare(format!("{what} ÷ {name}"), rate / ceiling, target);
            }
        }
        let paced = Plan { pace: Some(rate / 2.0), ..plan.clone() };
        let rest = lanes.split_off(clients);
        let (outcome, _, used) = run(&paced, lanes, &processes).await?;
        lanes = used.into_iter().chain(rest).collect();
        report.add(
            outcome
                .figure(GROUP, format!("aa-server, {kind}, {clients} clients, half of full load")),
        );
        report.compare(
            format!("{what}: p99 at half of full load, ms"),
            outcome.percentile(99),
            Target::AtMost(10.0),
        );
    }
    authority.end().await?;
    Ok(())
}
