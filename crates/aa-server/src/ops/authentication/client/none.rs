//! `none`: public clients, which cannot keep a secret (RFC 7591 §2).

use super::{AuthenticateError, Method};
use crate::authority::Authority;
use crate::domain::client_authentication::ClientAuthentication;
use crate::services::client_cache::AuthenticatedClient;

/// A client identifier alone.
#[derive(Debug)]
pub struct Unauthenticated {
    /// The client identifier.
    pub client_id: String,
}

impl Method for Unauthenticated {
    fn client_id(&self) -> &str {
        &self.client_id
    }

    /// *Checks* that the client is public.
    async fn verify(
        &self,
        _: &Authority,
        client: &AuthenticatedClient,
    ) -> Result<bool, AuthenticateError> {
        Ok(client.metadata.authenticates_by() == ClientAuthentication::None)
    }
}
