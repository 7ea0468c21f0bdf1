//! Client authentication (RFC 6749 §2.3), one file for each method.
//!
//! To add a method, implement [`Method`] in a file of its own and add it to [`Credentials`].

mod client_secret;
mod none;
mod private_key_jwt;

use std::sync::Arc;

pub use client_secret::ClientSecret;
pub use none::Unauthenticated;
pub use private_key_jwt::PrivateKeyJwt;

use crate::authority::Authority;
use crate::services::client_cache::AuthenticatedClient;
use crate::store;

/// One way to authenticate a client: the credentials of a request, and how they are verified.
trait Method {
    /// The client identifier that the credentials name. It is not verified yet.
    fn client_id(&self) -> &str;

    /// Verifies the credentials against an enabled client.
    ///
    /// Runs again for the same request when the client came from the cache and is not accepted, or turns out to be
    /// stale. A method that accepts an assertion once must therefore record it in a way that allows that.
    ///
    /// # Errors
    /// When what the method needs cannot be read.
    async fn verify(
        &self,
        authority: &Authority,
        client: &AuthenticatedClient,
    ) -> Result<bool, AuthenticateError>;
}

/// Declares [`Credentials`] from the list of methods, and dispatches to them.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($method:ty),)*) => {
        /// The credentials of a request, by `token_endpoint_auth_method` (RFC 7591 §2).
        #[derive(Debug)]
        pub enum Credentials {
            $($(#[$doc])* $name($method),)*
        }

        impl Credentials {
            /// The client identifier that they name. It is not verified yet.
            pub fn client_id(&self) -> &str {
                match self {
                    $(Self::$name(method) => method.client_id(),)*
                }
            }

            async fn verify(
                &self,
                authority: &Authority,
                client: &AuthenticatedClient,
            ) -> Result<bool, AuthenticateError> {
                let is_off = client.metadata.is_document() && !authority.config.client_id_metadata;
                if !client.enabled || is_off {
                    return Ok(false);
                }
                match self {
                    $(Self::$name(method) => method.verify(authority, client).await,)*
                }
            }
        }
    };
}

impl Credentials {
    /// Why they are not accepted.
    fn unaccepted(&self, client: &AuthenticatedClient) -> &'static str {
        match (self, client.metadata.is_public()) {
            _ if !client.enabled => "the client is disabled",
            (Self::None(_), _) => "the client did not authenticate itself, and it is not public",
            (Self::PrivateKeyJwt(_), _) => {
                "the assertion is wrong, was used before, or none of the client's keys has signed it"
            }
            (_, true) => "the client is public, but a secret was sent",
            _ => "the credentials are wrong",
        }
    }
}

methods! {
    /// `client_secret_basic`: in the `Authorization` header.
    ClientSecretBasic(ClientSecret),
    /// `client_secret_post`: in the body.
    ClientSecretPost(ClientSecret),
    /// `private_key_jwt`: an assertion that the client has signed.
    PrivateKeyJwt(PrivateKeyJwt),
    /// `none`: the client identifier alone.
    None(Unauthenticated),
}

/// Why credentials are not accepted, for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unaccepted {
    /// No client has this id.
    #[error("no client has this id")]
    Unknown,
    /// There is a client with this id. The text says what is wrong.
    #[error("{0}")]
    Known(&'static str),
}

/// Why a client is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The client is unknown or disabled, or its credentials are wrong, missing or unexpected. Callers do not learn which.
    #[error("the client is not known or could not be authenticated: {0}")]
    Invalid(Unaccepted),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Authenticates a client as the database has it now.
///
/// *Checks* that the client exists and is enabled, and what the method of the credentials checks.
///
/// # Errors
/// [`AuthenticateError`].
pub async fn authenticate_client(
    authority: &Authority,
    credentials: &Credentials,
) -> Result<Arc<AuthenticatedClient>, AuthenticateError> {
    let (store, now) = (&authority.store, authority.now());
    let client = authority.client_cache.load(store, credentials.client_id(), now).await?;
    let client = client.ok_or(AuthenticateError::Invalid(Unaccepted::Unknown))?;
    if credentials.verify(authority, &client).await? {
        Ok(client)
    } else {
        Err(AuthenticateError::Invalid(Unaccepted::Known(credentials.unaccepted(&client))))
    }
}

/// Authenticates a client from the cache, or from the database if the cache does not have it or does not accept it. The
/// result can be stale: see [`ClientCache`](crate::services::client_cache::ClientCache).
///
/// # Errors
/// [`AuthenticateError`].
pub async fn authenticate_cached_client(
    authority: &Authority,
    credentials: &Credentials,
) -> Result<Arc<AuthenticatedClient>, AuthenticateError> {
    if let Some(client) = authority.client_cache.get(credentials.client_id())
        && credentials.verify(authority, &client).await?
    {
        return Ok(client);
    }
    Box::pin(authenticate_client(authority, credentials)).await
}
