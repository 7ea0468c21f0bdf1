//! Sets the gauges of `/metrics`: queues, connections, the clock.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tracing::debug;

use crate::authority::Authority;
use crate::services::time_reference::off_by;

pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// A follower that was not there since is gone: it counts no more.
const SEEN_LATELY: Duration = Duration::from_mins(1);

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
    gauge!("aa_feed_followers").set(authority.feed.followers() as f64);
    gauge!("aa_feed_ends").set(authority.feed.len() as f64);
    let now = authority.now();
    match authority.store.feed_followers(now - SEEN_LATELY, 1).await {
        Ok(furthest_behind) => {
            let serial = furthest_behind.first().map(|follower| follower.serial);
            let unconfirmed = serial.and_then(|serial| authority.feed.first_after(serial));
            let age = unconfirmed.map_or(Duration::ZERO, |ended_at| now.since(ended_at));
            gauge!("aa_feed_oldest_follower_seconds").set(age.as_secs_f64());
        }
        Err(error) => debug!(%error, "followers could not be read"),
    }
    match authority.store.waiting_deliveries().await {
        Ok(waiting) => gauge!("aa_waiting_deliveries").set(waiting as f64),
        Err(error) => debug!(%error, "waiting deliveries could not be counted"),
    }
}
