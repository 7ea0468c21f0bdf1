//! Records refusals as events.

use std::sync::Arc;
use std::time::Duration;

use crate::authority::Authority;
use crate::ops::refusals::record;

pub(super) const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(authority: Arc<Authority>) {
    record(&authority, false).await;
}
