//! Removes rows that nothing can refer to any more.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::authority::Authority;

pub(super) const INTERVAL: Duration = Duration::from_hours(1);

pub(super) async fn run(authority: Arc<Authority>) {
    match authority.store.remove_old(authority.now(), authority.config.events_kept).await {
        Ok(0) => {}
        Ok(removed) => info!(removed, "removed old rows"),
        Err(error) => warn!(%error, "not all old rows could be removed; the next run tries again"),
    }
}
