//! Tells other systems of what has ended: each consumer of the log of ends fills the outbox. Any replica may; the database
//! keeps the place of each in the log.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::authority::Authority;
use crate::ops::security_events::SecurityEvents;
use crate::ops::sessions::consume::consume;
use crate::ops::sessions::logout_tokens::LogoutTokens;

pub(super) const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(authority: Arc<Authority>) {
    let authority = &*authority;
    let told =
        tokio::join!(consume::<LogoutTokens>(authority), consume::<SecurityEvents>(authority));
    for fault in [told.0, told.1].into_iter().filter_map(Result::err) {
        warn!(%fault, "other systems could not be told of what has ended; the next run goes on");
    }
}
