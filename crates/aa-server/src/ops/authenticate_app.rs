//! Client authentication at the token endpoint (RFC 6749 §2.3).

use std::fmt;
use std::sync::Arc;

use foundation::time::Timestamp;
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};

use crate::app::App;
use crate::domain::client::{AppKind, Registration};
use crate::domain::token::SecretHash;
use crate::store::{self, AppSecret};

/// What an app shows to be who it says.
#[derive(Debug)]
pub enum Credentials {
    /// `client_secret_basic` or `client_secret_post`.
    Secret {
        /// Who it says it is.
        client_id: String,
        /// What it shows.
        secret: SecretString,
    },
    /// `none`: only who it says it is.
    None {
        /// Who it says it is.
        client_id: String,
    },
}

/// Why it is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// Unknown, disabled, the wrong secret, none, or one too many. Which of them is nobody's business.
    #[error("the client is not known or could not be authenticated")]
    Invalid,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// An app as the database knew it at some version.
#[derive(Debug)]
pub struct KnownApp {
    /// What was declared about it.
    pub registration: Registration,
    /// Goes up with every change of it or of its secrets.
    pub version: i64,
    enabled: bool,
    secrets: Vec<AppSecret>,
}

/// Apps as they were last read. What it holds can be old: whoever takes from it has to ask the database for the same
/// version when it changes something (as a refresh does, in the same statement).
pub struct AppCache(Cache<String, Arc<KnownApp>>);

impl Default for AppCache {
    fn default() -> Self {
        Self(Cache::new(1000))
    }
}

impl fmt::Debug for AppCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppCache(…)")
    }
}

/// Finds the app and checks its secret. A secret has 256 random bits, so its SHA-256 is compared.
///
/// *Checks* that the app exists and is enabled, that a confidential app or service shows one of its live
/// secrets, and that a public one shows none.
///
/// # Errors
/// [`AuthenticateError`].
pub async fn authenticate_app(
    app: &App,
    credentials: &Credentials,
) -> Result<Arc<KnownApp>, AuthenticateError> {
    let client_id = credentials.client_id();
    let found = app.store.app(client_id).await?.ok_or(AuthenticateError::Invalid)?;
    // In this order: secrets that are newer than the version are harmless, older ones would not be.
    let secrets = app.store.app_secrets(client_id, app.now()).await?;
    let known = Arc::new(KnownApp {
        registration: found.registration,
        version: found.version,
        enabled: found.enabled,
        secrets,
    });
    app.known_apps.0.insert(client_id.to_owned(), Arc::clone(&known));
    if known.accepts(credentials, app.now()) { Ok(known) } else { Err(AuthenticateError::Invalid) }
}

/// As [`authenticate_app`], by what is remembered of the app if that will do: see [`AppCache`].
///
/// # Errors
/// [`AuthenticateError`].
pub async fn authenticate_remembered_app(
    app: &App,
    credentials: &Credentials,
) -> Result<Arc<KnownApp>, AuthenticateError> {
    match app.known_apps.0.get(credentials.client_id()) {
        Some(known) if known.accepts(credentials, app.now()) => Ok(known),
        _ => Box::pin(authenticate_app(app, credentials)).await,
    }
}

impl Credentials {
    fn client_id(&self) -> &str {
        match self {
            Self::Secret { client_id, .. } | Self::None { client_id } => client_id,
        }
    }
}

impl KnownApp {
    fn accepts(&self, credentials: &Credentials, now: Timestamp) -> bool {
        let shown = match (self.registration.kind, credentials) {
            (AppKind::Public, Credentials::None { .. }) => return self.enabled,
            (AppKind::Confidential | AppKind::Service, Credentials::Secret { secret, .. }) => {
                SecretHash::of(secret.expose_secret().as_bytes())
            }
            _ => return false,
        };
        let counts = |secret: &&AppSecret| secret.expires_at.is_none_or(|at| at > now);
        self.enabled && self.secrets.iter().filter(counts).any(|secret| secret.hash == shown)
    }
}
