//! Registers clients and changes their metadata.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::{ClientMetadata, ClientType};
use crate::domain::event::{Actor, EventKind};
use crate::domain::refresh_token::SecretHash;
use crate::store;

/// The time for which the previous client secret stays valid after a rotation.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// Why a client is not registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The metadata is inconsistent; the text says what to change.
    #[error("{0}")]
    Invalid(String),
    /// A client with this id exists.
    #[error("there is an app `{0}` already")]
    Taken(String),
    /// No client has this id.
    #[error("there is no app `{0}`")]
    Unknown(String),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The result of applying metadata.
#[derive(Debug)]
pub enum Applied {
    /// The client is new. Its generated secret, if it has one.
    Added(Option<SecretString>),
    /// The metadata was changed.
    Changed,
    /// The metadata is as it was.
    Unchanged,
}

/// Registers a client, and generates its secret unless it is public.
///
/// # Errors
/// [`ClientError`].
pub async fn add(
    authority: &Authority,
    metadata: &ClientMetadata,
    caller: &Caller,
) -> Result<Option<SecretString>, ClientError> {
    let secret =
        (metadata.kind != ClientType::Public).then(|| SecretString::from(authority.random.token()));
    add_with_secret(authority, metadata, secret.as_ref(), caller).await?;
    Ok(secret)
}

/// Registers a client with a given secret.
///
/// # Errors
/// [`ClientError`].
pub async fn add_with_secret(
    authority: &Authority,
    metadata: &ClientMetadata,
    secret: Option<&SecretString>,
    caller: &Caller,
) -> Result<(), ClientError> {
    check(authority, metadata)?;
    let hash = secret
        .map(|secret| SecretHash::of(secrecy::ExposeSecret::expose_secret(secret).as_bytes()));
    let event =
        authority.event(EventKind::ClientMade, Actor::Operator, caller).client(&metadata.client_id);
    authority.store.add_client(metadata, hash.as_ref(), event, authority.now()).await.map_err(
        |error| match error {
            store::Error::Conflict(_) => ClientError::Taken(metadata.client_id.clone()),
            other => other.into(),
        },
    )
}

fn check(authority: &Authority, metadata: &ClientMetadata) -> Result<(), ClientError> {
    metadata.check().map_err(ClientError::Invalid)?;
    let algorithm = metadata.at_alg.unwrap_or(authority.config.at_alg);
    for audience in metadata.allowed_audiences() {
        if !authority.keyring.has(algorithm, audience) {
            return Err(ClientError::Invalid(format!(
                "there is no {algorithm} key for `{audience}` yet: make one with `aa-server keys add {audience}`"
            )));
        }
    }
    Ok(())
}

/// Registers a client, or changes its metadata to these.
///
/// # Errors
/// [`ClientError`].
pub async fn apply(
    authority: &Authority,
    metadata: &ClientMetadata,
    caller: &Caller,
) -> Result<Applied, ClientError> {
    apply_with_secret(authority, metadata, None, caller).await
}

/// Registers a client, or changes its metadata to these. A new client gets the given secret, which is then not part of
/// the answer.
///
/// # Errors
/// [`ClientError`].
pub async fn apply_with_secret(
    authority: &Authority,
    metadata: &ClientMetadata,
    secret: Option<&SecretString>,
    caller: &Caller,
) -> Result<Applied, ClientError> {
    let Some(known) = authority.store.client(&metadata.client_id).await? else {
        return match secret {
            Some(_) => add_with_secret(authority, metadata, secret, caller)
                .await
                .map(|()| Applied::Added(None)),
            None => add(authority, metadata, caller).await.map(Applied::Added),
        };
    };
    if known.metadata == *metadata {
        return Ok(Applied::Unchanged);
    }
    check(authority, metadata)?;
    let (before, after) = (known.metadata.kind, metadata.kind);
    if (before == ClientType::Public) != (after == ClientType::Public) {
        return Err(ClientError::Invalid(format!(
            "kind: `{}` cannot become an app {} a secret; register it under another id",
            metadata.client_id,
            if after == ClientType::Public { "without" } else { "with" }
        )));
    }
    let event = authority
        .event(EventKind::ClientChanged, Actor::Operator, caller)
        .client(&metadata.client_id);
    authority.store.update_client(metadata, event, authority.now()).await?;
    Ok(Applied::Changed)
}

/// Gives a client a new secret. The previous one stays valid for a day.
///
/// # Errors
/// [`ClientError`].
pub async fn rotate_secret(
    authority: &Authority,
    client_id: &str,
    caller: &Caller,
) -> Result<SecretString, ClientError> {
    let unknown = || ClientError::Unknown(client_id.to_owned());
    let known = authority.store.client(client_id).await?.ok_or_else(unknown)?;
    if known.metadata.kind == ClientType::Public {
        return Err(ClientError::Invalid(format!("`{client_id}` is public: it has no secret")));
    }
    let secret = authority.random.token();
    let hash = SecretHash::of(secret.as_bytes());
    let now = authority.now();
    let event =
        authority.event(EventKind::ClientSecretRotated, Actor::Operator, caller).client(client_id);
    authority
        .store
        .rotate_client_secret(client_id, &hash, now + SECRET_OVERLAP, event, now)
        .await?;
    Ok(secret.into())
}

/// Disables a client, so that it gets no more tokens, or enables it again.
///
/// # Errors
/// [`ClientError`].
pub async fn set_enabled(
    authority: &Authority,
    client_id: &str,
    enabled: bool,
    caller: &Caller,
) -> Result<(), ClientError> {
    let kind = if enabled { EventKind::ClientEnabled } else { EventKind::ClientDisabled };
    let event = authority.event(kind, Actor::Operator, caller).client(client_id).detail(json!({}));
    authority
        .store
        .set_client_enabled(client_id, enabled, event, authority.now())
        .await?
        .ok_or_else(|| ClientError::Unknown(client_id.to_owned()))
}
