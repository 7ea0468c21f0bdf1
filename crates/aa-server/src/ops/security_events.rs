//! Security events to products that follow them: CAEP events in SETs (RFC 8417), pushed (RFC 8935) to the streams that an
//! administrator has registered.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokens::Algorithm;
use url::Url;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EndReason, EventKind};
use crate::domain::ids::{FamilyId, UserId};
use crate::ops::sessions::consume::{EndConsumer, NewMessage};
use crate::services::outbox::{DeliveryError, Message};
use crate::store::{self, EndRecord, EventStream};

/// The kind of the deliveries.
pub const KIND: &str = "security_event";
const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CREDENTIAL_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/credential-change";

/// What a receiver is told, to be signed when it is sent.
#[derive(Debug, Serialize, Deserialize)]
struct SecurityEvent {
    /// The URI of the event's type.
    event: String,
    sub: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<FamilyId>,
    /// In Unix seconds.
    occurred_at: i64,
    reason: String,
}

/// Why a stream cannot be registered or removed, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// What was given makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is a stream with this id.
    #[error("there is a stream `{0}` already")]
    Taken(String),
    /// There is none.
    #[error("there is no stream `{0}`")]
    Unknown(String),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Registers a stream: from now on the receiver is told of ended sessions and changed passwords.
///
/// # Errors
/// [`StreamError`].
pub async fn add_stream(
    authority: &Authority,
    (id, url, audience): (&str, &str, &str),
    authorization: Option<SecretString>,
    caller: &Caller,
) -> Result<(), StreamError> {
    let invalid = |what: &str| StreamError::Invalid(what.to_owned());
    let id_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(1..=64).contains(&id.len()) || !id.chars().all(id_char) {
        return Err(invalid("the id: 1 to 64 letters, digits and -_. are possible"));
    }
    let parsed = Url::parse(url).map_err(|error| invalid(&format!("--url: {error}")))?;
    if parsed.scheme() != "https" && !is_this_machine(&parsed) {
        return Err(invalid("--url: https is needed"));
    }
    if audience.is_empty() || audience.len() > 256 || audience.contains(char::is_control) {
        return Err(invalid("--audience: 1 to 256 characters are needed"));
    }
    let authorization = authorization.map(|text| text.expose_secret().trim().to_owned());
    if authorization.as_ref().is_some_and(|text| {
        text.is_empty() || !text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    }) {
        return Err(invalid("the file of --authorization-file has to have one line of ASCII"));
    }
    let sealed =
        authorization.map(|text| authority.outbox.seal_for(id.as_bytes(), text.as_bytes()));
    let stream = EventStream {
        id: id.to_owned(),
        url: url.to_owned(),
        audience: audience.to_owned(),
        authorization_sealed: sealed,
    };
    let event = authority.event(EventKind::StreamAdded, Actor::Operator, caller);
    let event = event.detail(json!({ "stream": id, "url": url, "audience": audience }));
    authority.store.add_event_stream(&stream, event, authority.now()).await.map_err(|error| {
        match error {
            store::Error::Conflict(_) => StreamError::Taken(id.to_owned()),
            other => other.into(),
        }
    })
}

fn is_this_machine(url: &Url) -> bool {
    url.scheme() == "http" && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Removes a stream: its receiver is told nothing more, not even what waits.
///
/// # Errors
/// [`StreamError`].
pub async fn remove_stream(
    authority: &Authority,
    id: &str,
    caller: &Caller,
) -> Result<(), StreamError> {
    let event = authority.event(EventKind::StreamRemoved, Actor::Operator, caller);
    let event = event.detail(json!({ "stream": id }));
    let removed = authority.store.remove_event_stream(id, event, authority.now()).await?;
    removed.ok_or_else(|| StreamError::Unknown(id.to_owned()))
}

/// Tells the receiver of each stream.
#[derive(Debug)]
pub struct SecurityEvents;

impl EndConsumer for SecurityEvents {
    const NAME: &'static str = "security_events";

    async fn messages_of(authority: &Authority, end: &EndRecord) -> store::Result<Vec<NewMessage>> {
        let streams = authority.store.event_streams().await?;
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let events = events_of(authority, end).await?;
        let mut messages = Vec::new();
        for stream in &streams {
            for event in &events {
                let payload = serde_json::to_vec(event).expect("it is JSON");
                messages.push(NewMessage { kind: KIND, target: stream.id.clone(), payload });
            }
        }
        Ok(messages)
    }
}

async fn events_of(authority: &Authority, end: &EndRecord) -> store::Result<Vec<SecurityEvent>> {
    let event = |event: &str, sub, sid| SecurityEvent {
        event: event.to_owned(),
        sub,
        sid,
        occurred_at: end.ended_at.secs(),
        reason: end.reason.as_str().to_owned(),
    };
    // A user's end is told once, whatever apps it concerns.
    let sessions = authority.store.sessions_of_end(end).await?;
    let ended: BTreeSet<_> =
        sessions.into_iter().map(|session| (session.user_id, session.family_id)).collect();
    let mut events: Vec<_> =
        ended.into_iter().map(|(sub, sid)| event(SESSION_REVOKED, sub, sid)).collect();
    if end.reason == EndReason::PasswordChanged
        && let Some(sub) = end.user_id
    {
        events.push(event(CREDENTIAL_CHANGE, sub, None));
    }
    Ok(events)
}

/// Pushes an event (RFC 8935 §2.1).
///
/// # Errors
/// [`DeliveryError`], in words for the operator.
pub async fn send(authority: &Authority, message: &Message) -> Result<(), DeliveryError> {
    let failed = |error: &dyn std::fmt::Display| DeliveryError(error.to_string());
    let event: SecurityEvent = serde_json::from_slice(&message.payload)
        .map_err(|error| DeliveryError(format!("its payload cannot be read: {error}")))?;
    let stream =
        authority.store.event_stream(&message.target).await.map_err(|error| failed(&error))?;
    // It was removed: nothing is owed any more.
    let Some(stream) = stream else { return Ok(()) };
    let authorization = match &stream.authorization_sealed {
        Some(sealed) => {
            let opened = authority.outbox.open_for(stream.id.as_bytes(), sealed);
            Some(opened.map_err(|error| failed(&error))?)
        }
        None => None,
    };
    let now = authority.now();
    let signer =
        authority.keyring.signer(Algorithm::RS256, "", now).map_err(|error| failed(&error))?;
    let claims = claims(authority, &stream, &event, (&message.id.to_string(), now.secs()));
    let set = signer.sign("secevent+jwt", &claims).map_err(|error| failed(&error))?;
    let headers =
        [("content-type", b"application/secevent+jwt".as_slice()), ("accept", b"application/json")];
    let headers = headers
        .into_iter()
        .chain(authorization.as_ref().map(|text| ("authorization", text.as_slice())));
    authority.outbound.post(&stream.url, headers, set).await
}

/// The claims of a SET (RFC 8417 §2.2), with the subject where Shared Signals 1.0 wants it.
fn claims(
    authority: &Authority,
    stream: &EventStream,
    event: &SecurityEvent,
    (jti, iat): (&str, i64),
) -> Value {
    let issuer = authority.config.public_url.as_str();
    let user = json!({ "format": "iss_sub", "iss": issuer, "sub": event.sub });
    let subject = match event.sid {
        Some(sid) => {
            json!({ "format": "complex", "user": user, "session": { "format": "opaque", "id": sid } })
        }
        None => user,
    };
    let mut detail = json!({
        "event_timestamp": event.occurred_at,
        "initiating_entity": initiator(&event.reason),
        "reason_admin": { "en": event.reason },
    });
    if event.event == CREDENTIAL_CHANGE {
        detail["credential_type"] = json!("password");
        detail["change_type"] = json!("update");
    }
    json!({
        "iss": issuer,
        "aud": stream.audience,
        "iat": iat,
        "jti": jti,
        "sub_id": subject,
        "events": { event.event.as_str(): detail },
    })
}

/// Who caused it, in the terms of CAEP §2.
fn initiator(reason: &str) -> &'static str {
    match EndReason::from_stored(reason) {
        Some(
            EndReason::RevokedByOperator | EndReason::UserDisabled | EndReason::ClientDisabled,
        ) => "admin",
        Some(EndReason::Reuse | EndReason::ClientChanged) => "policy",
        Some(EndReason::RevokedByApp | EndReason::Superseded) => "system",
        _ => "user",
    }
}
