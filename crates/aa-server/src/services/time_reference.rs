//! The clock that all replicas judge by: the database's (`docs/contract.md#rule-10`, `docs/decisions/0012`).

use std::time::Duration;

use foundation::time::{Clock, Observed, Timestamp};
use tracing::{info, warn};

use crate::store::{self, Store};

/// Queries of one observation: the one that was answered first is the most exact.
const SAMPLES: usize = 3;
/// An observation that took longer than this is not exact enough.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(1);
/// The difference of the machine's own clock from which on the operator is told.
pub const TOLERATED: Duration = Duration::from_secs(5);
/// The difference of the machine's own clock from which on the replica is not ready.
pub const MAX_OFF: Duration = Duration::from_mins(1);

/// Compares the clock with the database's, and sets it. An SQLite database has no clock of its own: there it is the
/// machine's, without its steps.
///
/// # Errors
/// When the database cannot answer. The clock then goes on counting.
pub async fn observe(store: &Store, clock: &dyn Clock) -> store::Result<()> {
    let mut best = None;
    for _ in 0..SAMPLES {
        let asked = clock.now();
        let Some(time) = store.db().time().await? else {
            report(clock.observe(None));
            return Ok(());
        };
        let answered = clock.now();
        let round_trip = answered.since(asked);
        let ahead =
            time - answered.millis() + i64::try_from(round_trip.as_millis() / 2).unwrap_or(0);
        if best.is_none_or(|(shortest, _)| round_trip < shortest) {
            best = Some((round_trip, ahead));
        }
    }
    if let Some((_, ahead)) = best.filter(|(round_trip, _)| *round_trip <= MAX_ROUND_TRIP) {
        report(clock.observe(Some(Timestamp::from_millis(clock.now().millis() + ahead))));
    }
    Ok(())
}

fn report(observed: Observed) {
    match observed {
        Observed::Agrees | Observed::Ignored => {}
        Observed::Differs(ms) => warn!(
            ms,
            "the clock that tokens are judged by has stepped; the step is adopted if it lasts for a minute"
        ),
        Observed::Stepped(ms) => info!(ms, "the step of the clock has been adopted"),
    }
}

/// The difference between the machine's own clock and the database's; zero where both are one.
pub fn off_by(store: &Store, clock: &dyn Clock) -> Duration {
    if store.db().has_own_clock() {
        Duration::from_millis(clock.machine_is_ahead_by().unsigned_abs())
    } else {
        Duration::ZERO
    }
}
