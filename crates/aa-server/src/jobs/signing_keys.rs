//! Announces, switches and retires signing keys, and loads what other replicas and commands did to them.

use std::sync::Arc;
use tracing::warn;

use crate::authority::Authority;
use crate::ops::key_phases;

pub(super) use crate::services::keyring::RELOAD_INTERVAL as INTERVAL;

pub(super) async fn run(authority: Arc<Authority>) {
    if let Err(error) = key_phases::advance(&authority).await {
        warn!(%error, "the phases of signing keys could not be advanced; the next run tries again");
    }
    if let Err(error) = authority.keyring.reload(&authority.store, authority.now()).await {
        warn!(%error, "signing keys could not be reloaded; the loaded ones stay in use");
    }
}
