use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::{Event, Result, Store};

/// A stream of security events to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EventStream {
    /// The id.
    pub id: String,
    /// The URL that events are pushed to.
    pub url: String,
    /// The receiver, as events name it.
    pub audience: String,
    /// The value of the `Authorization` header, sealed.
    pub authorization_sealed: Option<Vec<u8>>,
}

impl Store {
    /// Registers a stream.
    ///
    /// # Errors
    /// [`super::Error::Conflict`] when there is one with this id.
    pub async fn add_event_stream(
        &self,
        stream: &EventStream,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO event_streams (id, url, audience, authorization_sealed, created_at)
             VALUES ($1, $2, $3, $4, $5)",
            stream.id.as_str(),
            stream.url.as_str(),
            stream.audience.as_str(),
            stream.authorization_sealed.as_deref(),
            now
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Removes a stream. `None` when there is none with this id.
    pub async fn remove_event_stream(
        &self,
        id: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        if execute!(tx.on(), "DELETE FROM event_streams WHERE id = $1", id)? == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// The stream with this id.
    pub async fn event_stream(&self, id: &str) -> Result<Option<EventStream>> {
        optional!(
            self.db.read(),
            EventStream,
            "SELECT id, url, audience, authorization_sealed FROM event_streams WHERE id = $1",
            id
        )
    }

    /// All streams, by id: there are a handful.
    pub async fn event_streams(&self) -> Result<Vec<EventStream>> {
        all!(
            self.db.read(),
            EventStream,
            "SELECT id, url, audience, authorization_sealed FROM event_streams ORDER BY id"
        )
    }
}
