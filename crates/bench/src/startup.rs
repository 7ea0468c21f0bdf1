//! The start of the authority on a large database: how long it takes, and the memory it needs.

use std::path::Path;
use std::time::Duration;

use service::run::Failure;

use crate::population::Stage;
use crate::report::{Report, Target};
use crate::{Kind, machine, programs};

/// As people write such numbers.
pub fn families(size: u32) -> String {
    match size {
        1_000_000.. => format!("{} M families", size / 1_000_000),
        _ => format!("{} k families", size / 1_000),
    }
}

const STARTS: usize = 5;

/// Starts the authority on this database, and says how long that takes (the median of a few times) and what memory it
/// needs.
pub async fn start(
    report: &mut Report,
    kind: Kind,
    stage: &Stage,
    folder: &Path,
) -> Result<programs::Program, Failure> {
    let mut took = Vec::with_capacity(STARTS);
    let program = loop {
        let program = programs::authority(&stage.url, folder, stage.port, "warn").await?;
        took.push(program.ready_after);
        if took.len() == STARTS {
            break program;
        }
        program.end().await?;
    };
    took.sort_unstable();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (own, resident) = machine::resident_mb(program.pid());
    let ready = took[STARTS / 2].as_secs_f64() * 1000.0;
    let size = stage.population.families;
    let what = format!("start, {kind}, {}", families(size));
    let targets = kind == Kind::Sqlite && size == 1_000_000;
    report.compare(
        format!("{what}: ready after, ms"),
        ready,
        targets.then_some(Target::AtMost(100.0)),
    );
    report.compare(
        format!("{what}: resident memory, MB"),
        resident,
        targets.then_some(Target::AtMost(60.0)),
    );
    println!("  of which its own: {own:.0} MB");
    Ok(program)
}
