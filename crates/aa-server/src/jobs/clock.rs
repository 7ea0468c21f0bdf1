//! Follows the database's clock, and tells the operator when the machine's own clock is off.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::authority::Authority;
use crate::services::time_reference::{TOLERATED, observe, off_by};

pub(super) const INTERVAL: Duration = Duration::from_secs(10);

pub(super) async fn run(authority: Arc<Authority>) {
    if let Err(error) = observe(&authority.store, &*authority.clock).await {
        warn!(%error, "the database's clock could not be read; time is counted from when it last was");
    }
    let off_by = off_by(&authority.store, &*authority.clock);
    if off_by > TOLERATED {
        warn!(?off_by, "this machine's clock differs from the database's: set it, best by NTP");
    }
}
