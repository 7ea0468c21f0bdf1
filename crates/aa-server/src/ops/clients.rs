//! Registers apps and changes what is declared about them.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::{ClientMetadata, ClientType};
use crate::domain::refresh_token::SecretHash;
use crate::store;

/// How long the secret before a new one goes on working.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// Why an app is not registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The declaration makes no sense; the text says what to change.
    #[error("{0}")]
    Invalid(String),
    /// There is one of this id.
    #[error("there is an app `{0}` already")]
    Taken(String),
    /// There is none of this id.
    #[error("there is no app `{0}`")]
    Unknown(String),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What came of applying a declaration.
#[derive(Debug)]
pub enum Applied {
    /// The app is new; its secret, if it has one.
    Added(Option<SecretString>),
    /// Something was changed.
    Changed,
    /// It was like that already.
    Unchanged,
}

/// Registers an app, and makes its secret if it is of a kind that has one.
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

/// Registers an app with a secret of the caller's.
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
    let event = authority.event("app.made", "operator", caller).client(&metadata.client_id);
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

/// Makes an app as declared, or changes it to be so.
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

/// Makes an app as declared, or changes it to be so. A new one gets this secret, if one is given; it is then not
/// answered.
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
    let event = authority.event("app.changed", "operator", caller).client(&metadata.client_id);
    authority.store.update_client(metadata, event, authority.now()).await?;
    Ok(Applied::Changed)
}

/// Gives an app a new secret; the one before goes on working for a day.
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
    let event = authority.event("app.secret_rotated", "operator", caller).client(client_id);
    authority
        .store
        .rotate_client_secret(client_id, &hash, now + SECRET_OVERLAP, event, now)
        .await?;
    Ok(secret.into())
}

/// Turns an app off, so that it gets no token any more, or on again.
///
/// # Errors
/// [`ClientError`].
pub async fn set_enabled(
    authority: &Authority,
    client_id: &str,
    enabled: bool,
    caller: &Caller,
) -> Result<(), ClientError> {
    let kind = if enabled { "app.enabled" } else { "app.disabled" };
    let event = authority.event(kind, "operator", caller).client(client_id).detail(json!({}));
    authority
        .store
        .set_client_enabled(client_id, enabled, event, authority.now())
        .await?
        .ok_or_else(|| ClientError::Unknown(client_id.to_owned()))
}
