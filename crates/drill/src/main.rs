//! A fire drill for the whole system with two authorities behind a proxy:
//! a person's way through it in a browser, then a minute of refreshes while one replica is killed and the other stopped.
//!
//! | `drill processes` | programs of `target/debug` beside a PostgreSQL, a Redis and an HAProxy of this machine's own |
//! | `drill compose` | `docker-compose.yml`, built and started, and removed afterwards |
//! | `drill compose-tls` | with `docker-compose.tls.yml` too: the person's way by https |
//!
//! `--no-build` takes the images that are there.

mod chains;
mod compose;
mod processes;
mod walk;

use std::future::Future;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use service::run::{Failure, to_exit};
use tokio::process::Command;

/// How long the refreshes go on.
const DRILL: Duration = Duration::from_mins(1);
/// How many families.
const FAMILIES: usize = 50;

/// Where everything is.
#[derive(Debug, Clone)]
struct Urls {
    authority: String,
    bff: String,
    tmb: String,
    spa: String,
}

/// A system with two authorities, wherever it runs.
trait System: Send + Sync {
    fn urls(&self) -> &Urls;
    /// Runs a command of `aa-server` against the database that the replicas share, and answers what it prints.
    fn command(&self, args: &[&str]) -> impl Future<Output = Result<String, Failure>> + Send;
    /// Ends a replica at once (`kill -9`).
    fn kill(&self, replica: usize) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Asks a replica to stop, and waits until it has.
    fn stop(&self, replica: usize) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Starts a replica again.
    fn start(&self, replica: usize) -> impl Future<Output = Result<(), Failure>> + Send;
}

#[tokio::main]
async fn main() -> ExitCode {
    to_exit(Box::pin(async {
        let build = std::env::args().nth(2).as_deref() != Some("--no-build");
        match std::env::args().nth(1).as_deref() {
            Some("processes") => drill(&processes::Processes::up().await?).await,
            Some("compose") => {
                let system = compose::Compose::up(false, build).await?;
                let outcome = drill(&system).await;
                system.down(outcome.is_ok()).await?;
                outcome
            }
            Some("compose-tls") => {
                let system = compose::Compose::up(true, build).await?;
                let outcome = walk::persons_way(system.urls()).await;
                system.down(outcome.is_ok()).await?;
                outcome
            }
            _ => Err("say one of: drill processes, drill compose, drill compose-tls".into()),
        }
    }))
    .await
}

async fn drill(system: &impl System) -> Result<(), Failure> {
    walk::persons_way(system.urls()).await?;
    chains::drill(system, FAMILIES, DRILL).await
}

/// Runs a program to its end, and answers what it prints.
async fn output(command: &mut Command) -> Result<String, Failure> {
    let done = command.stdin(Stdio::null()).output().await?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        return Err(format!("{program}: {}: {said}", done.status).into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
