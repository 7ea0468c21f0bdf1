//! Removes rows that nothing can refer to any more.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::authority::Authority;
use crate::ops::account::lifecycle;

pub(super) const INTERVAL: Duration = Duration::from_hours(1);
/// The time after which a follower that does not come back is forgotten.
const FOLLOWERS_KEPT: Duration = Duration::from_hours(24);

pub(super) async fn run(authority: Arc<Authority>) {
    let unseen_since = authority.now() - FOLLOWERS_KEPT;
    if let Err(error) = authority.store.forget_followers(unseen_since).await {
        warn!(%error, "followers that are gone could not be removed; the next run tries again");
    }
    match lifecycle::delete_closed(&authority).await {
        Ok(0) => {}
        Ok(deleted) => info!(deleted, "deleted accounts that their users had closed"),
        Err(error) => {
            warn!(%error, "closed accounts could not be deleted; the next run tries again");
        }
    }
    match authority.store.remove_old(authority.now(), authority.config.events_kept).await {
        Ok(0) => {}
        Ok(removed) => info!(removed, "removed old rows"),
        Err(error) => warn!(%error, "not all old rows could be removed; the next run tries again"),
    }
}
