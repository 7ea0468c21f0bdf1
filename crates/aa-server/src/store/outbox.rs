use std::time::Duration;

use database::{Tx, all, execute, optional};
use foundation::time::Timestamp;

use super::{Result, Store};
use crate::domain::delivery::DeliveryId;

/// A message to be sent, its payload encrypted.
#[derive(Debug)]
pub struct NewDelivery<'a> {
    /// The id of the delivery.
    pub id: DeliveryId,
    /// Selects the consumer that sends it.
    pub kind: &'a str,
    /// The recipient, in the terms of the consumer.
    pub target: &'a str,
    /// The encrypted payload.
    pub payload: &'a [u8],
}

/// A message that is to be sent when what it tells of is committed.
#[derive(Debug, Clone)]
pub struct SealedDelivery {
    /// The id of the delivery.
    pub id: DeliveryId,
    /// Selects the consumer that sends it.
    pub kind: &'static str,
    /// The recipient, in the terms of the consumer.
    pub target: String,
    /// The encrypted payload.
    pub payload: Vec<u8>,
}

impl SealedDelivery {
    /// The row of it.
    pub fn row(&self) -> NewDelivery<'_> {
        NewDelivery { id: self.id, kind: self.kind, target: &self.target, payload: &self.payload }
    }
}

/// A delivery that this replica has leased. `id` and `attempts` name the lease.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct LeasedDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// Selects the consumer that sends it.
    pub kind: String,
    /// The recipient.
    pub target: String,
    /// The encrypted payload.
    pub payload: Vec<u8>,
    /// The time it was made.
    pub created_at: Timestamp,
    /// The number of this attempt, from 1.
    pub attempts: i64,
}

/// A delivery as an operator sees it, without its payload.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DeliveryRow {
    /// The delivery.
    pub id: DeliveryId,
    /// Selects the consumer that sends it.
    pub kind: String,
    /// The recipient.
    pub target: String,
    /// The time it was made.
    pub created_at: Timestamp,
    /// The number of attempts.
    pub attempts: i64,
    /// The time of the next attempt.
    pub next_attempt_at: Timestamp,
    /// The time it was given up.
    pub failed_at: Option<Timestamp>,
    /// The report of the last failed attempt.
    pub last_error: String,
}

/// Adds a delivery in the transaction of what it tells: it is sent if and only if that is committed.
pub(super) async fn enqueue(tx: &mut Tx, delivery: &NewDelivery<'_>, now: Timestamp) -> Result<()> {
    execute!(
        tx.on(),
        "INSERT INTO deliveries (id, kind, target, payload, created_at, attempts, next_attempt_at, last_error)
         VALUES ($1, $2, $3, $4, $5, 0, $5, '')",
        delivery.id,
        delivery.kind,
        delivery.target,
        delivery.payload,
        now
    )
    .map(drop)
}

impl Store {
    /// Adds a delivery that tells of nothing else in the database.
    pub async fn enqueue_delivery(&self, delivery: &NewDelivery<'_>, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        enqueue(&mut tx, delivery, now).await?;
        tx.commit().await
    }

    /// Whether a delivery of any kind is due. Only reads, so that an idle outbox takes no lock.
    pub async fn has_due_delivery(&self, now: Timestamp) -> Result<bool> {
        let found = optional!(
            self.db.read(),
            (i64,),
            "SELECT attempts FROM deliveries WHERE next_attempt_at <= $1 AND failed_at IS NULL LIMIT 1",
            now
        )?;
        Ok(found.is_some())
    }

    /// Leases deliveries of one kind that are due, the longest waiting first. Until the lease ends no other replica gets
    /// them; if this one dies, they are due again then.
    pub async fn lease_deliveries(
        &self,
        kind: &str,
        limit: u32,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<LeasedDelivery>> {
        // Two replicas may choose the same rows; the outer condition is checked again under the row's lock.
        all!(
            self.db.write(),
            LeasedDelivery,
            "UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = $1
             WHERE next_attempt_at <= $2 AND failed_at IS NULL AND id IN (
                 SELECT id FROM deliveries WHERE next_attempt_at <= $2 AND failed_at IS NULL AND kind = $4
                 ORDER BY next_attempt_at LIMIT $3)
             RETURNING id, kind, target, payload, created_at, attempts",
            now + lease,
            now,
            i64::from(limit),
            kind
        )
    }

    /// Removes a delivery that was sent. `false` when the lease was lost meanwhile.
    pub async fn complete_delivery(&self, delivery: &LeasedDelivery) -> Result<bool> {
        let removed = execute!(
            self.db.write(),
            "DELETE FROM deliveries WHERE id = $1 AND attempts = $2",
            delivery.id,
            delivery.attempts
        )?;
        Ok(removed > 0)
    }

    /// Gives a lease back without an attempt: the delivery is due again at `at`.
    pub async fn postpone_delivery(&self, delivery: &LeasedDelivery, at: Timestamp) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE deliveries SET attempts = attempts - 1, next_attempt_at = $1 WHERE id = $2 AND attempts = $3",
            at,
            delivery.id,
            delivery.attempts
        )
        .map(drop)
    }

    /// Records a failed attempt: the delivery is due again at `retry_at`, or given up if there is none.
    /// `false` when the lease was lost meanwhile.
    pub async fn fail_delivery(
        &self,
        delivery: &LeasedDelivery,
        error: &str,
        retry_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool> {
        let changed = execute!(
            self.db.write(),
            "UPDATE deliveries SET next_attempt_at = $1, failed_at = $2, last_error = $3
             WHERE id = $4 AND attempts = $5",
            retry_at.unwrap_or(now),
            retry_at.is_none().then_some(now),
            error,
            delivery.id,
            delivery.attempts
        )?;
        Ok(changed > 0)
    }

    /// The number of deliveries that were not given up.
    pub async fn waiting_deliveries(&self) -> Result<i64> {
        let found = optional!(
            self.db.read(),
            (i64,),
            "SELECT COUNT(*) FROM deliveries WHERE failed_at IS NULL"
        )?;
        Ok(found.map_or(0, |(count,)| count))
    }

    /// Deliveries that are waiting or were given up, the oldest first, after the one with the id `after`.
    pub async fn deliveries(
        &self,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>> {
        all!(
            self.db.read(),
            DeliveryRow,
            "SELECT id, kind, target, created_at, attempts, next_attempt_at, failed_at, last_error
             FROM deliveries WHERE id > $1 ORDER BY id LIMIT $2",
            after.unwrap_or_else(|| uuid::Uuid::nil().into()),
            i64::from(limit)
        )
    }

    /// Makes a delivery due at once, also one that was given up. `None` when there is none with this id.
    pub async fn retry_delivery(&self, id: DeliveryId, now: Timestamp) -> Result<Option<()>> {
        let changed = execute!(
            self.db.write(),
            "UPDATE deliveries SET next_attempt_at = $1, failed_at = NULL WHERE id = $2",
            now,
            id
        )?;
        Ok((changed > 0).then_some(()))
    }
}
