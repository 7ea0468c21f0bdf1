//! The outbox: messages to other systems, kept in the database until a consumer has sent them.
//!
//! A delivery is sent *at least* once: a replica that dies after sending and before recording it leaves the delivery to
//! be sent again. Recipients recognise a repetition by the delivery's id.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use foundation::random::Random;
use foundation::seal::{MasterSecret, UnsealError};
use foundation::time::Timestamp;
use zeroize::Zeroizing;

use super::vault::Vault;
use crate::domain::delivery::DeliveryId;
use crate::store::{LeasedDelivery, NewDelivery, Result, Store};

/// A message ready to be sent, its payload decrypted.
#[derive(Clone, derive_more::Debug)]
#[debug("Message {{ id: {id:?}, .. }}")]
pub struct Message {
    /// The same at every attempt.
    pub id: DeliveryId,
    /// The recipient, in the terms of the consumer.
    pub target: String,
    /// The payload.
    pub payload: Zeroizing<Vec<u8>>,
}

/// Why a message was not sent, in words for the operator. Never a secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeliveryError(pub String);

/// The outcome of one attempt, some time later.
pub type Attempt = Pin<Box<dyn Future<Output = std::result::Result<(), DeliveryError>> + Send>>;

/// Sends the messages of one kind.
pub trait Consumer: Send + Sync + fmt::Debug {
    /// The kind of the deliveries it sends.
    fn kind(&self) -> &'static str;

    /// Sends a message once. The attempt is given up when it takes too long.
    fn send(&self, message: Message) -> Attempt;
}

/// Encrypts payloads for the database, and knows who sends them.
#[derive(Debug)]
pub struct Outbox {
    vault: Vault,
    consumers: Vec<Arc<dyn Consumer>>,
}

impl Outbox {
    /// An outbox under these secrets, newest first, with these consumers.
    pub fn new(secrets: &[MasterSecret], consumers: Vec<Arc<dyn Consumer>>) -> Self {
        Self { vault: Vault::new(secrets, "deliveries"), consumers }
    }

    /// Encrypts the payload of a delivery.
    pub fn seal(&self, id: DeliveryId, payload: &[u8]) -> Vec<u8> {
        self.seal_for(id.uuid().as_bytes(), payload)
    }

    /// Encrypts what senders need, bound to a context.
    pub fn seal_for(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        self.vault.seal(context, plain)
    }

    /// Decrypts what [`Outbox::seal_for`] has encrypted.
    ///
    /// # Errors
    /// When none of the server's secrets decrypts it.
    pub fn open_for(
        &self,
        context: &[u8],
        sealed: &[u8],
    ) -> std::result::Result<Zeroizing<Vec<u8>>, UnsealError> {
        self.vault.unseal(context, sealed)
    }

    /// The kinds that the consumers send.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.consumers.iter().map(|consumer| consumer.kind())
    }

    /// The consumer for deliveries of this kind.
    pub fn consumer(&self, kind: &str) -> Option<Arc<dyn Consumer>> {
        self.consumers.iter().find(|consumer| consumer.kind() == kind).map(Arc::clone)
    }

    /// Adds a message that tells of nothing else in the database.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn enqueue(
        &self,
        store: &Store,
        random: &dyn Random,
        (kind, target, payload): (&str, &str, &[u8]),
        now: Timestamp,
    ) -> Result<DeliveryId> {
        let id = DeliveryId::from(random.uuid_at(now));
        let payload = self.seal(id, payload);
        let delivery = NewDelivery { id, kind, target, payload: &payload };
        store.enqueue_delivery(&delivery, now).await?;
        Ok(id)
    }

    /// Decrypts a leased delivery.
    ///
    /// # Errors
    /// When none of the server's secrets decrypts its payload.
    pub fn open(&self, delivery: &LeasedDelivery) -> std::result::Result<Message, UnsealError> {
        let payload = self.open_for(delivery.id.uuid().as_bytes(), &delivery.payload)?;
        Ok(Message { id: delivery.id, target: delivery.target.clone(), payload })
    }
}
