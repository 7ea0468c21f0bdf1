//! Sends what is due in the outbox. Any replica may: a lease keeps two from sending the same delivery at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::authority::Authority;
use crate::domain::delivery::next_attempt;
use crate::ops::mail;
use crate::ops::security_events;
use crate::ops::sessions::logout_tokens;
use crate::services::outbox::DeliveryError;
use crate::store::{LeasedDelivery, Result};

pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Deliveries that one replica sends at once.
const MAX_ATTEMPTS: usize = 64;
/// Deliveries that one replica sends to one recipient at once.
const MAX_ATTEMPTS_OF_TARGET: usize = 4;
/// The pause after which a delivery is tried whose recipient was busy.
const BUSY: Duration = Duration::from_secs(2);
/// The longest time one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The time for which a replica has a delivery to itself: longer than an attempt and its recording take.
const LEASE: Duration = Duration::from_mins(1);

/// Sends until nothing is due. Attempts go on beside each other, so a recipient that hangs delays its own deliveries alone.
pub(super) async fn run(authority: Arc<Authority>) {
    let mut attempts = JoinSet::new();
    let mut under_way: HashMap<String, usize> = HashMap::new();
    loop {
        let free = MAX_ATTEMPTS.saturating_sub(attempts.len());
        let due = if free == 0 { Ok(Vec::new()) } else { lease(&authority, free).await };
        let due = match due {
            Ok(due) if due.is_empty() && attempts.is_empty() => return,
            Ok(due) => due,
            Err(fault) => {
                warn!(%fault, "the outbox cannot be read; it is tried again");
                Vec::new()
            }
        };
        for delivery in due {
            let of_target = under_way.entry(delivery.target.clone()).or_default();
            if *of_target >= MAX_ATTEMPTS_OF_TARGET {
                postpone(&authority, &delivery).await;
                continue;
            }
            *of_target += 1;
            attempts.spawn(attempt(Arc::clone(&authority), delivery));
        }
        tokio::select! {
            Some(Ok(target)) = attempts.join_next() => {
                if let Some(of_target) = under_way.get_mut(&target) {
                    *of_target -= 1;
                }
                under_way.retain(|_, of_target| *of_target > 0);
            }
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Takes deliveries of the kinds that are sent here. A newer replica may have added others.
async fn lease(authority: &Authority, free: usize) -> Result<Vec<LeasedDelivery>> {
    let mut due = Vec::new();
    if !authority.store.has_due_delivery(authority.now()).await? {
        return Ok(due);
    }
    for kind in
        authority.outbox.kinds().chain([mail::KIND, logout_tokens::KIND, security_events::KIND])
    {
        let limit = u32::try_from(free - due.len()).unwrap_or(u32::MAX);
        due.extend(authority.store.lease_deliveries(kind, limit, LEASE, authority.now()).await?);
    }
    Ok(due)
}

/// Gives a delivery back whose recipient is busy with others.
async fn postpone(authority: &Authority, delivery: &LeasedDelivery) {
    let again_at = authority.now() + BUSY;
    if let Err(fault) = authority.store.postpone_delivery(delivery, again_at).await {
        warn!(%fault, delivery = %delivery.id, "a delivery could not be given back; it is due when its lease ends");
    }
}

/// Returns the recipient.
async fn attempt(authority: Arc<Authority>, delivery: LeasedDelivery) -> String {
    let outcome = match send(&authority, &delivery).await {
        Ok(()) => authority.store.complete_delivery(&delivery).await.map(drop),
        Err(failure) => record_failure(&authority, &delivery, &failure).await,
    };
    if let Err(fault) = outcome {
        warn!(%fault, delivery = %delivery.id, "an attempt could not be recorded; the delivery is sent again");
    }
    delivery.target
}

async fn send(
    authority: &Authority,
    delivery: &LeasedDelivery,
) -> std::result::Result<(), DeliveryError> {
    let message =
        authority.outbox.open(delivery).map_err(|error| DeliveryError(error.to_string()))?;
    let sending = async {
        match delivery.kind.as_str() {
            mail::KIND => mail::send(authority, &message).await,
            logout_tokens::KIND => logout_tokens::send(authority, &message).await,
            security_events::KIND => security_events::send(authority, &message).await,
            kind => match authority.outbox.consumer(kind) {
                Some(consumer) => consumer.send(message).await,
                None => Err(DeliveryError(format!("nothing here sends `{kind}`"))),
            },
        }
    };
    tokio::time::timeout(ATTEMPT_TIMEOUT, sending)
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
