//! Loads signing keys that other replicas or commands made, and drops those that retired.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::authority::Authority;

/// A new key is published within this time: well before it signs.
pub(super) const INTERVAL: Duration = Duration::from_secs(15);

pub(super) async fn run(authority: Arc<Authority>) {
    if let Err(error) = authority.keyring.reload(&authority.store, authority.now()).await {
        warn!(%error, "signing keys could not be reloaded; the loaded ones stay in use");
    }
}
