//! How fast it is, measured beside the limit it is measured against, in one run on one machine: ratios last, figures
//! are this machine's. `just bench` builds and runs all of it; docs/performance.md explains and keeps a run.
#![expect(clippy::disallowed_methods, reason = "it measures time, and reads no setting of ours")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times as figures to be read"
)]

mod api;
mod bare;
mod http;
mod load;
mod machine;
mod population;
mod programs;
mod report;
mod startup;
mod store;
mod tokens;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use service::run::{Failure, to_exit};

use crate::report::Report;

/// As the programs that are measured.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of the authority and of the `tokens` crate.
#[derive(Parser)]
struct Args {
    /// Which parts; all if none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Numbers of families, one run of the database part for each; half of the smallest are for HTTP.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000, 10_000_000],
          value_parser = clap::value_parser!(u32).range(i64::from(2 * population::FOR_HTTP)..))]
    families: Vec<u32>,
    /// On which databases; both if none is named.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Postgresql, Kind::Sqlite])]
    database: Vec<Kind>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Without others' servers, and without comparisons with them.
    #[arg(long)]
    no_peers: bool,
    /// The folder for `performance.json` and `performance.svg`.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// A bare actix handler that signs a token and answers with the bytes of a refresh: the ceiling.
    #[command(hide = true)]
    ServeBare { port: u16 },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The offline check and signing, in this process.
    Tokens,
    /// The database part of a refresh.
    Store,
    /// Refreshes through HTTP.
    Http,
    /// API calls through `microapp-notes`.
    Api,
}

/// Whose database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A server of its own, started for this.
    Postgresql,
    /// A file.
    Sqlite,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgresql => "PostgreSQL",
            Self::Sqlite => "SQLite",
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::ServeBare { port }) = args.command {
        return bare::serve(port);
    }
    tokio::runtime::Runtime::new().expect("a runtime").block_on(to_exit(run(args)))
}

async fn run(args: Args) -> Result<(), Failure> {
    let began = Instant::now();
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let each = Duration::from_secs_f64(args.seconds);
    let mut report = Report::new(machine::describe());
    if wants(Part::Tokens) {
        report = tokio::task::spawn_blocking(move || {
            tokens::measure(&mut report);
            report
        })
        .await?;
    }
    if wants(Part::Store) || wants(Part::Http) || wants(Part::Api) {
        let wanted = store::Wanted {
            store: wants(Part::Store),
            http: wants(Part::Http),
            peers: wants(Part::Http) && !args.no_peers,
            api: wants(Part::Api),
        };
        let measured =
            store::measure(&mut report, wanted, &args.database, &args.families, each).await;
        if let Err(error) = measured {
            // What was measured until then is not lost.
            report.write(&args.out)?;
            return Err(error);
        }
    }
    report.seconds = began.elapsed().as_secs();
    report.write(&args.out)
}
