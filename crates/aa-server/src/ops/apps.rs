//! Registers apps and changes what is declared about them.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use super::Caller;
use crate::app::App;
use crate::domain::client::{AppKind, Registration};
use crate::domain::token::SecretHash;
use crate::store;

/// How long the secret before a new one goes on working.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// Why an app is not registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
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
/// [`AppError`].
pub async fn add(
    app: &App,
    registration: &Registration,
    caller: &Caller,
) -> Result<Option<SecretString>, AppError> {
    let secret =
        (registration.kind != AppKind::Public).then(|| SecretString::from(app.random.token()));
    add_with_secret(app, registration, secret.as_ref(), caller).await?;
    Ok(secret)
}

/// Registers an app with a secret of the caller's.
///
/// # Errors
/// [`AppError`].
pub async fn add_with_secret(
    app: &App,
    registration: &Registration,
    secret: Option<&SecretString>,
    caller: &Caller,
) -> Result<(), AppError> {
    check(app, registration)?;
    let hash = secret
        .map(|secret| SecretHash::of(secrecy::ExposeSecret::expose_secret(secret).as_bytes()));
    let event = app.event("app.made", "operator", caller).client(&registration.client_id);
    app.store.add_app(registration, hash.as_ref(), event, app.now()).await.map_err(|error| {
        match error {
            store::Error::Conflict(_) => AppError::Taken(registration.client_id.clone()),
            other => other.into(),
        }
    })
}

fn check(app: &App, registration: &Registration) -> Result<(), AppError> {
    registration.check().map_err(AppError::Invalid)?;
    let algorithm = registration.at_alg.unwrap_or(app.config.at_alg);
    for audience in registration.allowed_audiences() {
        if !app.signer.has(algorithm, audience) {
            return Err(AppError::Invalid(format!(
                "there is no {algorithm} key for `{audience}` yet: make one with `aa-server keys add {audience}`"
            )));
        }
    }
    Ok(())
}

/// Makes an app as declared, or changes it to be so.
///
/// # Errors
/// [`AppError`].
pub async fn apply(
    app: &App,
    registration: &Registration,
    caller: &Caller,
) -> Result<Applied, AppError> {
    apply_with_secret(app, registration, None, caller).await
}

/// Makes an app as declared, or changes it to be so. A new one gets this secret, if one is given; it is then not
/// answered.
///
/// # Errors
/// [`AppError`].
pub async fn apply_with_secret(
    app: &App,
    registration: &Registration,
    secret: Option<&SecretString>,
    caller: &Caller,
) -> Result<Applied, AppError> {
    let Some(known) = app.store.app(&registration.client_id).await? else {
        return match secret {
            Some(_) => add_with_secret(app, registration, secret, caller)
                .await
                .map(|()| Applied::Added(None)),
            None => add(app, registration, caller).await.map(Applied::Added),
        };
    };
    if known.registration == *registration {
        return Ok(Applied::Unchanged);
    }
    check(app, registration)?;
    let (before, after) = (known.registration.kind, registration.kind);
    if (before == AppKind::Public) != (after == AppKind::Public) {
        return Err(AppError::Invalid(format!(
            "kind: `{}` cannot become an app {} a secret; register it under another id",
            registration.client_id,
            if after == AppKind::Public { "without" } else { "with" }
        )));
    }
    let event = app.event("app.changed", "operator", caller).client(&registration.client_id);
    app.store.update_app(registration, event, app.now()).await?;
    Ok(Applied::Changed)
}

/// Gives an app a new secret; the one before goes on working for a day.
///
/// # Errors
/// [`AppError`].
pub async fn rotate_secret(
    app: &App,
    client_id: &str,
    caller: &Caller,
) -> Result<SecretString, AppError> {
    let unknown = || AppError::Unknown(client_id.to_owned());
    let known = app.store.app(client_id).await?.ok_or_else(unknown)?;
    if known.registration.kind == AppKind::Public {
        return Err(AppError::Invalid(format!("`{client_id}` is public: it has no secret")));
    }
    let secret = app.random.token();
    let hash = SecretHash::of(secret.as_bytes());
    let now = app.now();
    let event = app.event("app.secret_rotated", "operator", caller).client(client_id);
    app.store.rotate_app_secret(client_id, &hash, now + SECRET_OVERLAP, event, now).await?;
    Ok(secret.into())
}

/// Turns an app off, so that it gets no token any more, or on again.
///
/// # Errors
/// [`AppError`].
pub async fn set_enabled(
    app: &App,
    client_id: &str,
    enabled: bool,
    caller: &Caller,
) -> Result<(), AppError> {
    let kind = if enabled { "app.enabled" } else { "app.disabled" };
    let event = app.event(kind, "operator", caller).client(client_id).detail(json!({}));
    app.store
        .set_app_enabled(client_id, enabled, event, app.now())
        .await?
        .ok_or_else(|| AppError::Unknown(client_id.to_owned()))
}
