//! Sets the gauges of `/metrics`: queues, connections, the clock.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tracing::debug;

use crate::authority::Authority;
use crate::services::time_reference::off_by;

pub(super) const INTERVAL: Duration = Duration::from_secs(5);

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and these are small")]
pub(super) async fn run(authority: Arc<Authority>) {
    if authority.config.metrics_listen.is_none() {
        return;
    }
    gauge!("aa_waiting_rotations").set(authority.store.waiting_rotations() as f64);
    let (idle, used) = authority.store.db().connections();
    gauge!("aa_database_connections", "state" => "idle").set(idle as f64);
    gauge!("aa_database_connections", "state" => "used").set(used as f64);
    let off_by = off_by(&authority.store, &*authority.clock);
    gauge!("aa_clock_offset_seconds").set(off_by.as_secs_f64());
    match authority.store.waiting_deliveries().await {
        Ok(waiting) => gauge!("aa_waiting_deliveries").set(waiting as f64),
        Err(error) => debug!(%error, "waiting deliveries could not be counted"),
    }
}
