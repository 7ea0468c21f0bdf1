//! (d) API calls through `microapp-notes`, which checks an application token at each: one it remembers, and one it has
//! never seen.

use std::path::Path;
use std::time::Duration;

use service::run::Failure;
use tokio::process::Command;

use crate::load::{self, Ask, Plan};
use crate::population::{CLIENT_ID, CLIENT_SECRET, FOR_HTTP, Stage};
use crate::programs;
use crate::report::Report;

const GROUP: &str = "GET /notes, 64 clients";
const CLIENTS: u32 = 64;

/// Measures.
pub async fn measure(
    report: &mut Report,
    stage: &Stage,
    folder: &Path,
    each: Duration,
) -> Result<(), Failure> {
    let authority = programs::authority(&stage.url, folder, stage.port, "warn").await?;
    let port = testing::free_ports(1);
    let mut notes = Command::new(programs::beside("microapp-notes")?);
    notes
        .env("NOTES_LISTEN", format!("127.0.0.1:{port}"))
        .env("NOTES_PUBLIC_URL", format!("http://localhost:{port}"))
        .env("NOTES_ISSUER", format!("http://localhost:{}", stage.port))
        .env("NOTES_DATABASE_URL", format!("sqlite://{}", folder.join("notes.db").display()))
        .env("NOTES_REVOCATION", "ignore")
        .env("NOTES_LOG", "warn");
    let notes = programs::start(notes, port, "/readyz").await?;
    // Of families that the HTTP part has left alone.
    let first = FOR_HTTP - CLIENTS;
    let lanes =
        (0..CLIENTS).map(|lane| vec![stage.population.token(&stage.app, first + lane)]).collect();
    let body = format!(
        "grant_type=refresh_token&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&refresh_token="
    );
    let refresh = Plan {
        port: stage.port,
        ask: Ask::Refresh { path: "/oauth/token", body },
        each,
        pace: None,
        keep: true,
    };
    let (outcome, _) = load::run(&refresh, lanes).await?;
    let tokens = outcome.access_tokens;
    let get = Plan { port, ask: Ask::Get("/notes"), each, pace: None, keep: false };
    let health = Plan { ask: Ask::Get("/livez"), ..get.clone() };
    let alike = |tokens: &[String]| {
        (0..CLIENTS as usize).map(|lane| vec![tokens[lane].clone()]).collect::<Vec<_>>()
    };
    let (outcome, _) = load::run(&health, alike(&tokens)).await?;
    report.add(outcome.figure(GROUP, "no token and no database (/livez)"));
    let (outcome, _) = load::run(&get, alike(&tokens)).await?;
    let remembered = report.add(outcome.figure(GROUP, "the same 64 tokens again and again"));
    // Each of them once, or nearly: more tokens than are remembered, or than there are calls.
    let each_of = tokens.len() / CLIENTS as usize;
    let new: Vec<Vec<String>> =
        tokens.chunks(each_of).take(CLIENTS as usize).map(<[String]>::to_vec).collect();
    let unseen = new.iter().map(Vec::len).sum::<usize>();
    let (outcome, _) = load::run(&Plan { each: Duration::from_millis(700), ..get }, new).await?;
    let asked = outcome.micros.len();
    let unremembered = report.add(outcome.figure(GROUP, "another token every time"));
    report.compare(
        "API calls with remembered tokens ÷ with new ones",
        remembered / unremembered,
        None,
    );
    println!("  {unseen} tokens for {asked} calls");
    notes.end().await?;
    authority.end().await?;
    Ok(())
}
