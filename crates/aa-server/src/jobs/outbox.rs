//! Sends what is due in the outbox. Any replica may: a lease keeps two from sending the same delivery at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::authority::Authority;
use crate::domain::delivery::next_attempt;
use crate::services::outbox::DeliveryError;
use crate::store::{LeasedDelivery, Result};

pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Deliveries sent at once by one replica. A hung recipient occupies one of these places.
const BATCH: u32 = 32;
/// The longest time one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The time for which a replica has a delivery to itself: longer than an attempt and its recording take.
const LEASE: Duration = Duration::from_mins(1);

/// Sends until nothing is due.
pub(super) async fn run(authority: Arc<Authority>) {
    if !authority.outbox.has_consumers() {
        return;
    }
    loop {
        let due = authority.store.lease_deliveries(BATCH, LEASE, authority.now()).await;
        let due = match due {
            Ok(due) if due.is_empty() => return,
            Ok(due) => due,
            Err(fault) => {
                warn!(%fault, "the outbox cannot be read; it is tried again");
                return;
            }
        };
        let mut attempts = JoinSet::new();
        for delivery in due {
            attempts.spawn(attempt(Arc::clone(&authority), delivery));
        }
        attempts.join_all().await;
    }
}

async fn attempt(authority: Arc<Authority>, delivery: LeasedDelivery) {
    let outcome = match send(&authority, &delivery).await {
        Ok(()) => authority.store.complete_delivery(&delivery).await.map(drop),
        Err(failure) => record_failure(&authority, &delivery, &failure).await,
    };
    if let Err(fault) = outcome {
        warn!(%fault, delivery = %delivery.id, "an attempt could not be recorded; the delivery is sent again");
    }
}

async fn send(
    authority: &Authority,
    delivery: &LeasedDelivery,
) -> std::result::Result<(), DeliveryError> {
    let kind = &delivery.kind;
    let consumer = authority.outbox.consumer(kind);
    let consumer = consumer.ok_or_else(|| DeliveryError(format!("nothing here sends `{kind}`")))?;
    let message =
        authority.outbox.open(delivery).map_err(|error| DeliveryError(error.to_string()))?;
    tokio::time::timeout(ATTEMPT_TIMEOUT, consumer.send(message))
        .await
        .unwrap_or_else(|_| Err(DeliveryError("the recipient took too long".to_owned())))
}

async fn record_failure(
    authority: &Authority,
    delivery: &LeasedDelivery,
    failure: &DeliveryError,
) -> Result<()> {
    let now = authority.now();
    let jitter = u64::from_be_bytes(authority.random.bytes());
    let attempts = u32::try_from(delivery.attempts).unwrap_or(u32::MAX);
    let retry_at = next_attempt(delivery.created_at, attempts, jitter, now);
    let (id, kind) = (delivery.id, &delivery.kind);
    if let Some(at) = retry_at {
        warn!(%failure, delivery = %id, kind, attempts, again_at = %at, "a delivery failed");
    } else {
        error!(%failure, delivery = %id, kind, attempts, "a delivery is given up");
    }
    authority.store.fail_delivery(delivery, &failure.0, retry_at, now).await.map(drop)
}
