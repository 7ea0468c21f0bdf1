use std::time::Duration;

use database::{Tx, all, execute, optional};
use foundation::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Result, SealedDelivery, Store, inconsistent, outbox};
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::{EventId, FamilyId, UserId};

/// Something that happened to a user, session, family, client or key: who, what, where from, when. Never a secret.
#[derive(Debug, Clone)]
pub struct Event {
    /// The id, which sorts by time.
    pub id: EventId,
    /// Its kind.
    pub kind: EventKind,
    /// The party that caused it.
    pub actor: Actor,
    /// The user it is about.
    pub user_id: Option<UserId>,
    /// The client it is about.
    pub client_id: Option<String>,
    /// The family it is about.
    pub family_id: Option<FamilyId>,
    /// The address of the request.
    pub ip: String,
    /// The user agent of the request.
    pub user_agent: String,
    /// The id of the request.
    pub request_id: String,
    /// Details, without secrets.
    pub detail: Value,
    /// Messages that tell the user of it: they are sent if and only if the event is committed.
    pub deliveries: Vec<SealedDelivery>,
}

/// An event as it was recorded.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// The time of the event.
    pub at: Timestamp,
    /// The text of its kind, which a newer version may have written: see [`EventKind::from_stored`].
    pub kind: String,
    /// The text of its [`Actor`].
    pub actor: String,
    /// The user it is about.
    pub user_id: Option<UserId>,
    /// The client it is about.
    pub client_id: Option<String>,
    /// The family it is about.
    pub family_id: Option<FamilyId>,
    /// The address of the request.
    pub ip: String,
    /// The user agent of the request.
    pub user_agent: String,
    /// The id of the request.
    pub request_id: String,
    /// Details, without secrets.
    pub detail: Value,
    /// The number of events that it stands for. The last of them was at that time and from that address.
    pub count: i64,
}

#[derive(sqlx::FromRow)]
struct StoredEvent {
    id: EventId,
    at: Timestamp,
    kind: String,
    actor: String,
    user_id: Option<UserId>,
    client_id: Option<String>,
    family_id: Option<FamilyId>,
    ip: String,
    user_agent: String,
    request_id: String,
    detail: String,
    count: i64,
}

impl StoredEvent {
    fn read(self) -> Result<EventRow> {
        let detail = serde_json::from_str(&self.detail)
            .map_err(|_| inconsistent("events", "detail", self.id))?;
        Ok(EventRow {
            id: self.id,
            at: self.at,
            kind: self.kind,
            actor: self.actor,
            user_id: self.user_id,
            client_id: self.client_id,
            family_id: self.family_id,
            ip: self.ip,
            user_agent: self.user_agent,
            request_id: self.request_id,
            detail,
            count: self.count,
        })
    }
}

impl EventRow {
    /// Its position in the list of events.
    pub fn position(&self) -> EventPosition {
        EventPosition(self.at, self.id)
    }

    /// As JSON, for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "at": self.at.to_string(),
            "kind": self.kind,
            "actor": self.actor,
            "user_id": self.user_id,
            "client_id": self.client_id,
            "family_id": self.family_id,
            "ip": self.ip,
            "user_agent": self.user_agent,
            "request_id": self.request_id,
            "detail": self.detail,
            "count": self.count,
        })
    }
}

/// A selection of events; by default all of them.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// About this user.
    pub user: Option<UserId>,
    /// About this client.
    pub client_id: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Since this time.
    pub since: Option<Timestamp>,
}

/// The time of an event and its id: events are listed by both, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPosition(Timestamp, EventId);

impl EventPosition {
    /// The position before every event.
    pub fn start() -> Self {
        Self(Timestamp::from_millis(i64::MAX), Uuid::max().into())
    }
}

impl Event {
    /// Names the user it is about.
    #[must_use]
    pub fn user(mut self, id: UserId) -> Self {
        self.user_id = Some(id);
        self
    }

    /// Names the client it is about.
    #[must_use]
    pub fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// Names the family it is about.
    #[must_use]
    pub fn family(mut self, id: FamilyId) -> Self {
        self.family_id = Some(id);
        self
    }

    /// Adds details. Never a secret.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Adds a message that tells the user of it.
    #[must_use]
    pub fn tell(mut self, delivery: SealedDelivery) -> Self {
        self.deliveries.push(delivery);
        self
    }

    fn count(&self) {
        metrics::counter!("aa_events_total", "kind" => self.kind.as_str()).increment(1);
    }

    pub(super) async fn write(&self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        self.count();
        execute!(
            tx.on(),
            "INSERT INTO events (id, at, kind, actor, user_id, client_id, family_id, ip, user_agent,
                                 request_id, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            self.id,
            now.millis(),
            self.kind.as_str(),
            self.actor.to_string(),
            self.user_id,
            self.client_id.as_deref(),
            self.family_id,
            self.ip.as_str(),
            self.user_agent.as_str(),
            self.request_id.as_str(),
            self.detail.to_string()
        )?;
        for delivery in &self.deliveries {
            outbox::enqueue(tx, &delivery.row(), now).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Records an event that nothing else is stored with.
    pub async fn add_event(&self, event: &Event, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Records a failed sign-in. Those of the same account, or at no account from the same address, become one event until
    /// none has come for `within`: guessing does not fill the list.
    pub async fn add_failed_sign_in(
        &self,
        event: &Event,
        within: Duration,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let since = (now - within).millis();
        let (ip, user_agent) = (event.ip.as_str(), event.user_agent.as_str());
        let request_id = event.request_id.as_str();
        // Two statements, because each is answered by the index and one with both conditions is not.
        let repeated = match event.user_id {
            Some(user) => execute!(
                tx.on(),
                "UPDATE events SET count = count + 1, at = $1, ip = $2, user_agent = $3, request_id = $4
                 WHERE id = (SELECT id FROM events
                             WHERE kind = 'identity.refused' AND user_id = $5 AND at > $6
                             ORDER BY at DESC LIMIT 1)",
                now.millis(),
                ip,
                user_agent,
                request_id,
                user,
                since
            ),
            None => execute!(
                tx.on(),
                "UPDATE events SET count = count + 1, at = $1, user_agent = $2, request_id = $3
                 WHERE id = (SELECT id FROM events
                             WHERE kind = 'identity.refused' AND user_id IS NULL AND ip = $4 AND at > $5
                             ORDER BY at DESC LIMIT 1)",
                now.millis(),
                user_agent,
                request_id,
                ip,
                since
            ),
        }?;
        if repeated == 0 {
            event.write(&mut tx, now).await?;
        } else {
            event.count();
        }
        tx.commit().await
    }

    /// Adds to the count of an event that stands for several alike, and writes it first if there is none with its id.
    /// The last of them was at this time and from the place of `event`.
    pub async fn count_event(&self, event: &Event, more: i64, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let counted = execute!(
            tx.on(),
            "UPDATE events SET count = count + $1, at = $2, actor = $3, ip = $4, user_agent = $5, request_id = $6
             WHERE id = $7",
            more,
            now.millis(),
            event.actor.to_string(),
            event.ip.as_str(),
            event.user_agent.as_str(),
            event.request_id.as_str(),
            event.id
        )?;
        if counted == 0 {
            event.write(&mut tx, now).await?;
            execute!(tx.on(), "UPDATE events SET count = $1 WHERE id = $2", more, event.id)?;
        }
        tx.commit().await
    }

    /// Whether the event with this id was recorded, and so the transaction that it belongs to committed.
    pub async fn has_event(&self, id: EventId) -> Result<bool> {
        let found =
            optional!(self.db.read(), (Timestamp,), "SELECT at FROM events WHERE id = $1", id)?;
        Ok(found.is_some())
    }

    /// Keeps the settings of this start, and writes the event if they differ from the last ones. Returns whether they
    /// do.
    pub async fn record_settings(
        &self,
        settings: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE settings_seen SET settings = $1 WHERE settings <> $1",
            settings
        )? > 0;
        if changed {
            event.write(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Up to `limit` events after this position, or from the newest on.
    pub async fn events_before(
        &self,
        only: &EventFilter,
        position: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<EventRow>> {
        let EventPosition(at, id) = position.unwrap_or_else(EventPosition::start);
        let (client_id, kind) = (only.client_id.as_deref(), only.kind.as_deref());
        let since = only.since.unwrap_or(Timestamp::from_millis(0));
        let rows = match only.user {
            Some(user) => all!(
                self.db.read(),
                StoredEvent,
                "SELECT id, at, kind, actor, user_id, client_id, family_id, ip, user_agent, request_id, detail, count
                 FROM events WHERE user_id = $1 AND (at, id) < ($2, $3) AND at >= $4
                   AND (client_id = $5 OR $5 IS NULL) AND (kind = $6 OR $6 IS NULL)
                 ORDER BY at DESC, id DESC LIMIT $7",
                user,
                at,
                id,
                since,
                client_id,
                kind,
                i64::from(limit)
            ),
            None => all!(
                self.db.read(),
                StoredEvent,
                "SELECT id, at, kind, actor, user_id, client_id, family_id, ip, user_agent, request_id, detail, count
                 FROM events WHERE (at, id) < ($1, $2) AND at >= $3
                   AND (client_id = $4 OR $4 IS NULL) AND (kind = $5 OR $5 IS NULL)
                 ORDER BY at DESC, id DESC LIMIT $6",
                at,
                id,
                since,
                client_id,
                kind,
                i64::from(limit)
            ),
        };
        rows?.into_iter().map(StoredEvent::read).collect()
    }
}
