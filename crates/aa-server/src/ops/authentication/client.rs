//! Client authentication at the token endpoint (RFC 6749 §2.3).

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::authority::Authority;
use crate::domain::refresh_token::SecretHash;
use crate::services::client_cache::AuthenticatedClient;
use crate::store;

/// The client credentials of a request.
#[derive(Debug)]
pub enum Credentials {
    /// `client_secret_basic` or `client_secret_post`.
    Secret {
        /// The client identifier.
        client_id: String,
        /// The client secret.
        secret: SecretString,
    },
    /// `none`: the client identifier alone.
    None {
        /// The client identifier.
        client_id: String,
    },
}

/// Why a client is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The client is unknown or disabled, or the secret is wrong, missing or unexpected. Which of them is not told.
    #[error("the client is not known or could not be authenticated")]
    Invalid,
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Authenticates a client by what the database says at this moment.
///
/// *Checks* that the client exists and is enabled, that a confidential client or service shows one of its current
/// secrets, and that a public client shows none. A secret has 256 random bits, so its SHA-256 is compared.
///
/// # Errors
/// [`AuthenticateError`].
pub async fn authenticate_client(
    authority: &Authority,
    credentials: &Credentials,
) -> Result<Arc<AuthenticatedClient>, AuthenticateError> {
    let (store, now) = (&authority.store, authority.now());
    let client = authority.client_cache.load(store, credentials.client_id(), now).await?;
    client
        .filter(|client| client.accepts(credentials.secret_hash().as_ref(), now))
        .ok_or(AuthenticateError::Invalid)
}

/// Authenticates a client by the cache if that suffices, else by the database. The result may be stale: see
/// [`ClientCache`](crate::services::client_cache::ClientCache).
///
/// # Errors
/// [`AuthenticateError`].
pub async fn authenticate_cached_client(
    authority: &Authority,
    credentials: &Credentials,
) -> Result<Arc<AuthenticatedClient>, AuthenticateError> {
    match authority.client_cache.get(credentials.client_id()) {
        Some(client) if client.accepts(credentials.secret_hash().as_ref(), authority.now()) => {
            Ok(client)
        }
        _ => Box::pin(authenticate_client(authority, credentials)).await,
    }
}

impl Credentials {
    fn client_id(&self) -> &str {
        match self {
            Self::Secret { client_id, .. } | Self::None { client_id } => client_id,
        }
    }

    fn secret_hash(&self) -> Option<SecretHash> {
        match self {
            Self::Secret { secret, .. } => Some(SecretHash::of(secret.expose_secret().as_bytes())),
            Self::None { .. } => None,
        }
    }
}
