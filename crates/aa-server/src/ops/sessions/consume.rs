//! Consumers of the log of ends that put messages into the outbox: whichever replica is first takes the next ends.

use crate::authority::Authority;
use crate::domain::delivery::DeliveryId;
use crate::store::{EndRecord, NewDelivery, Result};

/// Ends that are taken at once.
const BATCH: u32 = 100;

/// A message that tells of an end.
#[derive(Debug)]
pub struct NewMessage {
    /// The kind, which selects the sender.
    pub kind: &'static str,
    /// The recipient, in the terms of the sender.
    pub target: String,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A consumer of the log of ends.
pub trait EndConsumer {
    /// The name by which the database keeps its place in the log; a migration adds it.
    const NAME: &'static str;

    /// The messages that tell of an end.
    ///
    /// # Errors
    /// When the database cannot answer.
    fn messages_of(
        authority: &Authority,
        end: &EndRecord,
    ) -> impl Future<Output = Result<Vec<NewMessage>>> + Send;
}

/// Takes the ends since the last call, of any replica, and puts the messages about them into the outbox: both or neither, so
/// each end is told of once.
///
/// # Errors
/// When the database cannot answer; the next call goes on where this one was.
pub async fn consume<C: EndConsumer>(authority: &Authority) -> Result<()> {
    let store = &authority.store;
    loop {
        let from = store.end_consumer(C::NAME).await?;
        let ends = store.ends_after(from, BATCH).await?;
        let Some(last) = ends.last() else { return Ok(()) };
        let now = authority.now();
        let mut messages = Vec::new();
        for end in &ends {
            messages.extend(C::messages_of(authority, end).await?);
        }
        let sealed: Vec<_> = messages
            .iter()
            .map(|message| {
                let id = DeliveryId::from(authority.random.uuid_at(now));
                (id, authority.outbox.seal(id, &message.payload), message)
            })
            .collect();
        let deliveries: Vec<_> = sealed
            .iter()
            .map(|(id, payload, message)| NewDelivery {
                id: *id,
                kind: message.kind,
                target: &message.target,
                payload,
            })
            .collect();
        store.advance_end_consumer(C::NAME, (from, last.serial), &deliveries, now).await?;
        if ends.len() < BATCH as usize {
            return Ok(());
        }
    }
}
