//! Growth: each attack runs for some time, then rows, bytes and memory are compared with before.

use std::time::{Duration, Instant};

use aa_server::domain::client::ClientType;
use database::optional;
use service::run::{Failure, print_line};

use crate::anonymous::now;
use crate::world::{Browser, Client, World};

/// The size of the demo at one moment.
#[derive(Debug, Clone, Copy)]
struct Size {
    rows: i64,
    /// Of the database, its log included.
    kib: u64,
    /// Resident memory of this process, which runs the demo and the attacks.
    resident_kib: u64,
}

/// An attack, and the rows that it may leave behind however long it runs.
struct Growth {
    what: &'static str,
    /// Counts what it makes.
    rows: &'static str,
    most_rows: i64,
}

const GROWTHS: [Growth; 4] = [
    Growth {
        what: "a signed-in browser opens an app again and again",
        rows: "SELECT COUNT(*) FROM families",
        most_rows: 20,
    },
    Growth {
        what: "browsers without cookies begin sign-ins",
        rows: "SELECT COUNT(*) FROM authentication_attempts",
        most_rows: 1_000,
    },
    Growth {
        what: "one account signs in again and again without its browser's cookie",
        rows: "SELECT COUNT(*) FROM browsers",
        most_rows: 100,
    },
    Growth {
        what: "passwords are guessed for one account and for made-up ones",
        rows: "SELECT COUNT(*) FROM events",
        most_rows: 10,
    },
];

/// More memory than this is no noise of a process that serves.
const MOST_MEMORY_KIB: u64 = 64 * 1024;

/// Runs each attack for so long.
///
/// # Errors
/// When one leaves more behind than it may.
pub async fn run(world: &World, seconds: u64) -> Result<(), Failure> {
    let client = world.client("grown", ClientType::Confidential).await?;
    let owner = world.signed_in("grown@example.com").await?;
    let mut broken = 0;
    for (number, growth) in GROWTHS.iter().enumerate() {
        let before = size(world, growth).await?;
        let until = now() + Duration::from_secs(seconds);
        let requests = attack(world, number, (&client, &owner), until).await?;
        let after = size(world, growth).await?;
        // What refills in this time comes on top: five stored requests and a fifth of a sign-in each second.
        let refilled = i64::try_from(seconds * 5)?;
        let rows = after.rows - before.rows;
        let memory = after.resident_kib.saturating_sub(before.resident_kib);
        let held = rows <= growth.most_rows + refilled && memory <= MOST_MEMORY_KIB;
        broken += u32::from(!held);
        print_line(&format!(
            "{}: {requests} requests in {seconds} s left {rows} rows, {} KiB in the database, {memory} KiB of memory: {}",
            growth.what,
            after.kib.saturating_sub(before.kib),
            if held { "held" } else { "BROKEN" }
        ))?;
    }
    if broken == 0 { Ok(()) } else { Err(format!("{broken} of them grow").into()) }
}

async fn attack(
    world: &World,
    number: usize,
    (client, owner): (&Client, &Browser),
    until: Instant,
) -> Result<u64, Failure> {
    let mut requests = 0;
    while now() < until {
        let fresh = Browser::new(&world.url(0));
        match number {
            0 => drop(owner.authorize(client, &[("nonce", &"n".repeat(512))]).await?),
            1 => drop(fresh.authorize(client, &[("state", &"s".repeat(512))]).await?),
            2 => drop(fresh.sign_in("grown@example.com", crate::world::PASSWORD).await?),
            _ => {
                fresh.sign_in("grown@example.com", "a guess").await?;
                fresh.sign_in(&format!("made-up-{requests}@example.com"), "a guess").await?;
            }
        }
        requests += 1;
    }
    Ok(requests)
}

async fn size(world: &World, growth: &Growth) -> Result<Size, Failure> {
    let authority = world.authority();
    let rows = optional!(authority.store.db().read(), (i64,), growth.rows)?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(world.data_dir())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("aa.db") {
            bytes += entry.metadata()?.len();
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().split(' ').next()?.parse().ok());
    Ok(Size {
        rows: rows.map_or(0, |(rows,)| rows),
        kib: bytes / 1024,
        resident_kib: resident.unwrap_or(0),
    })
}
