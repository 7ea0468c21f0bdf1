//! `client_secret_basic` and `client_secret_post` (RFC 6749 §2.3.1).

use secrecy::{ExposeSecret as _, SecretString};

use super::{AuthenticateError, Method};
use crate::authority::Authority;
use crate::domain::client_authentication::ClientAuthentication;
use crate::domain::refresh_token::SecretHash;
use crate::services::client_cache::AuthenticatedClient;

/// A client identifier and a client secret.
#[derive(Debug)]
pub struct ClientSecret {
    /// The client identifier.
    pub client_id: String,
    /// The client secret.
    pub secret: SecretString,
}

impl Method for ClientSecret {
    fn client_id(&self) -> &str {
        &self.client_id
    }

    /// *Checks* that the client authenticates by a secret, and that the secret is one of its current ones. A secret has 256 random
    /// bits, so its SHA-256 is compared.
    async fn verify(
        &self,
        authority: &Authority,
        client: &AuthenticatedClient,
    ) -> Result<bool, AuthenticateError> {
        let hash = SecretHash::of(self.secret.expose_secret().as_bytes());
        Ok(client.metadata.authenticates_by() == ClientAuthentication::ClientSecret
            && client.has_secret(&hash, authority.now()))
    }
}
