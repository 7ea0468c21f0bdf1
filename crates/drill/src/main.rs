//! A fire drill for the whole system with several authorities behind a proxy:
//! a user's session in a browser, then a minute of refreshes while one replica is killed and the other stopped.
//!
//! | `drill processes` | programs of `target/debug` with a local PostgreSQL, Redis and HAProxy, three authorities; they die at random too |
//! | `drill keys [SECONDS]` | the same programs, whose signing keys rotate every minute under 200 requests a second |
//! | `drill compose` | `docker-compose.yml`, built and started, and removed afterwards |
//! | `drill compose-tls` | with `docker-compose.tls.yml` too: the user's session by https |
//!
//! `--no-build` uses existing images.

mod chains;
mod compose;
mod keys;
mod processes;
mod random;
mod walk;

use std::future::Future;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use service::run::{Failure, to_exit};
use tokio::process::Command;

/// The duration of the refreshes.
const DRILL: Duration = Duration::from_mins(1);
/// The duration of random deaths.
const RANDOM: Duration = Duration::from_secs(40);
/// The number of families.
const FAMILIES: usize = 50;

/// The addresses of the system.
#[derive(Debug, Clone)]
struct Urls {
    authority: String,
    bff: String,
    tmb: String,
    spa: String,
}

/// A running system with at least two replicas of the authority.
trait System: Send + Sync {
    fn urls(&self) -> &Urls;
    /// Runs a command of `aa-server` against the database that the replicas share, and returns its output.
    fn command(&self, args: &[&str]) -> impl Future<Output = Result<String, Failure>> + Send;
    /// Kills a replica (`kill -9`).
    fn kill(&self, replica: usize) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Stops a replica gracefully and waits until it has ended.
    fn stop(&self, replica: usize) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Starts a replica again.
    fn start(&self, replica: usize) -> impl Future<Output = Result<(), Failure>> + Send;
}

#[tokio::main]
async fn main() -> ExitCode {
    to_exit(Box::pin(async {
        let build = std::env::args().nth(2).as_deref() != Some("--no-build");
        match std::env::args().nth(1).as_deref() {
            Some("processes") => {
                let system = processes::Processes::up().await?;
                drill(&system).await?;
                random::drill(&system, RANDOM).await
            }
            Some("keys") => {
                let seconds = std::env::args().nth(2).map_or(Ok(300), |text| text.parse())?;
                keys::drill(Duration::from_secs(seconds)).await
            }
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
            _ => {
                Err("say one of: drill processes, drill keys, drill compose, drill compose-tls"
                    .into())
            }
        }
    }))
    .await
}

async fn drill(system: &impl System) -> Result<(), Failure> {
    walk::persons_way(system.urls()).await?;
    chains::drill(system, FAMILIES, DRILL).await
}

/// Runs a program to its end, and returns its output.
async fn output(command: &mut Command) -> Result<String, Failure> {
    let done = command.stdin(Stdio::null()).output().await?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        return Err(format!("{program}: {}: {said}", done.status).into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
