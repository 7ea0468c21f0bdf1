//! Registers clients and changes their metadata.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::client_authentication::ClientAuthentication;
use crate::domain::event::{Actor, EventKind};
use crate::domain::refresh_token::SecretHash;
use crate::store::{self, ClientChange};

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

/// Registers a client, and generates its secret if it authenticates by one.
///
/// # Errors
/// [`ClientError`].
pub async fn add(
    authority: &Authority,
    metadata: &ClientMetadata,
    caller: &Caller,
) -> Result<Option<SecretString>, ClientError> {
    check(authority, metadata)?;
    let secret = new_secret(authority, metadata);
    carry_out(authority, &[(metadata, Change::Add, secret.clone())], caller).await.map_err(
        |error| match error {
            ClientError::Store(store::Error::Conflict(_)) => {
                ClientError::Taken(metadata.client_id.clone())
            }
            other => other,
        },
    )?;
    Ok(secret)
}

/// A secret for a client that authenticates by one.
pub fn new_secret(authority: &Authority, metadata: &ClientMetadata) -> Option<SecretString> {
    (metadata.authenticates_by() == ClientAuthentication::ClientSecret)
        .then(|| authority.random.token().into())
}

/// Checks metadata by themselves, and against the keys that there are.
pub(super) fn check(authority: &Authority, metadata: &ClientMetadata) -> Result<(), ClientError> {
    if metadata.is_document() {
        let why = "client_id: an address stands for the metadata that are there";
        return Err(ClientError::Invalid(why.to_owned()));
    }
    metadata.check().map_err(ClientError::Invalid)?;
    let algorithm = metadata.at_alg.unwrap_or(authority.config.at_alg);
    let exchanged = metadata.exchange.iter().map(|pair| pair.audience.as_str());
    for audience in metadata.allowed_audiences().into_iter().chain(exchanged) {
        if !authority.keyring.has(algorithm, audience) {
            return Err(ClientError::Invalid(format!(
                "there is no {algorithm} key for `{audience}` yet: make one with `aa-server keys add {audience}`"
            )));
        }
    }
    Ok(())
}

/// The change that applying metadata makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The client is new.
    Add,
    /// The metadata differs.
    Change,
    /// Nothing.
    None,
}

/// Finds out what applying these metadata will change, and whether all of them can be applied. Changes nothing.
///
/// # Errors
/// The id of the first client that cannot be registered or changed so, and why.
pub async fn plan(
    authority: &Authority,
    declared: &[ClientMetadata],
) -> Result<Vec<Change>, (String, ClientError)> {
    let mut plan = Vec::with_capacity(declared.len());
    for (index, metadata) in declared.iter().enumerate() {
        let id = &metadata.client_id;
        let failed = |error| (id.clone(), error);
        if declared[..index].iter().any(|earlier| earlier.client_id == *id) {
            return Err(failed(ClientError::Invalid("it is declared twice".to_owned())));
        }
        plan.push(plan_one(authority, metadata).await.map_err(failed)?);
    }
    Ok(plan)
}

/// The change that these metadata make. Changes nothing.
pub(super) async fn plan_one(
    authority: &Authority,
    metadata: &ClientMetadata,
) -> Result<Change, ClientError> {
    let Some(known) = authority.store.client(&metadata.client_id).await? else {
        check(authority, metadata)?;
        return Ok(Change::Add);
    };
    if known.metadata == *metadata {
        return Ok(Change::None);
    }
    check(authority, metadata)?;
    let (before, after) = (known.metadata.is_public(), metadata.is_public());
    if before != after {
        return Err(ClientError::Invalid(format!(
            "kind: `{}` cannot become an app {} a secret; register it under another id",
            metadata.client_id,
            if after { "without" } else { "with" }
        )));
    }
    Ok(Change::Change)
}

/// Carries out a plan in one transaction: all of it, or nothing. Each new client that is not public needs its secret.
///
/// # Errors
/// [`ClientError`], when a client was registered meanwhile for example.
pub async fn carry_out(
    authority: &Authority,
    plan: &[(&ClientMetadata, Change, Option<SecretString>)],
    caller: &Caller,
) -> Result<(), ClientError> {
    let mut changes = Vec::new();
    for (metadata, change, secret) in plan {
        let kind = match change {
            Change::Add => EventKind::ClientMade,
            Change::Change => EventKind::ClientChanged,
            Change::None => continue,
        };
        let event = authority.event(kind, Actor::Operator, caller).client(&metadata.client_id);
        changes.push(ClientChange {
            metadata,
            is_new: *change == Change::Add,
            secret: secret.as_ref().map(hash_of),
            event,
        });
    }
    authority.store.change_clients(&changes, authority.now()).await?;
    Ok(())
}

/// The hash of a secret or a token, as the database keeps it.
pub(super) fn hash_of(secret: &SecretString) -> SecretHash {
    SecretHash::of(secrecy::ExposeSecret::expose_secret(secret).as_bytes())
}

/// Whether this is a secret that the client can authenticate with now.
///
/// # Errors
/// When the database cannot answer.
pub async fn is_secret_of(
    authority: &Authority,
    client_id: &str,
    secret: &SecretString,
) -> Result<bool, store::Error> {
    let known = authority.store.client_secrets(client_id, authority.now()).await?;
    Ok(known.iter().any(|known| known.hash == hash_of(secret)))
}

/// Registers a client, with a generated secret unless it is public, or changes its metadata to these.
///
/// # Errors
/// [`ClientError`].
pub async fn apply(
    authority: &Authority,
    metadata: &ClientMetadata,
    caller: &Caller,
) -> Result<Applied, ClientError> {
    let change = plan_one(authority, metadata).await?;
    match change {
        Change::Add => add(authority, metadata, caller).await.map(Applied::Added),
        Change::Change => {
            carry_out(authority, &[(metadata, change, None)], caller).await?;
            Ok(Applied::Changed)
        }
        Change::None => Ok(Applied::Unchanged),
    }
}

/// Gives a client a new secret. Earlier ones stay valid for `overlap`, at most.
///
/// # Errors
/// [`ClientError`].
pub async fn rotate_secret(
    authority: &Authority,
    client_id: &str,
    overlap: Duration,
    caller: &Caller,
) -> Result<SecretString, ClientError> {
    let unknown = || ClientError::Unknown(client_id.to_owned());
    let known = authority.store.client(client_id).await?.ok_or_else(unknown)?;
    let why = match known.metadata.authenticates_by() {
        ClientAuthentication::ClientSecret => None,
        ClientAuthentication::PrivateKeyJwt => Some("authenticates by its keys"),
        ClientAuthentication::None => Some("is public"),
    };
    if let Some(why) = why {
        return Err(ClientError::Invalid(format!("`{client_id}` {why}: it has no secret")));
    }
    let secret = authority.random.token();
    let hash = SecretHash::of(secret.as_bytes());
    let now = authority.now();
    let event =
        authority.event(EventKind::ClientSecretRotated, Actor::Operator, caller).client(client_id);
    authority.store.rotate_client_secret(client_id, &hash, now + overlap, event, now).await?;
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
