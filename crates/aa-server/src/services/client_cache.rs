//! Clients as they were last read from the database, so that a refresh need not read them again.

use std::fmt;
use std::sync::Arc;

use foundation::time::Timestamp;
use quick_cache::sync::Cache;

use crate::domain::client::{ClientMetadata, ClientType};
use crate::domain::refresh_token::SecretHash;
use crate::store::{Client, ClientSecretHash, Store};

/// A client that has authenticated itself, as the database knew it at one version.
#[derive(Debug)]
pub struct AuthenticatedClient {
    /// The metadata it is registered with.
    pub metadata: ClientMetadata,
    /// Increases with every change of the client or of its secrets.
    pub version: i64,
    enabled: bool,
    secrets: Vec<ClientSecretHash>,
}

/// The most recently used clients.
///
/// An entry can be stale. Whoever changes something on its word makes the change conditional on the same version in
/// the database, as the rotation of a refresh token does in its one statement.
pub struct ClientCache(Cache<String, Arc<AuthenticatedClient>>);

/// Clients that the cache holds at most.
const CAPACITY: usize = 1000;

impl Default for ClientCache {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl fmt::Debug for ClientCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCache(…)")
    }
}

impl ClientCache {
    /// The client as it was last loaded, if it is cached.
    pub fn get(&self, client_id: &str) -> Option<Arc<AuthenticatedClient>> {
        self.0.get(client_id)
    }

    /// Reads a client from the database and keeps it. `None` if there is none with this id.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn load(
        &self,
        store: &Store,
        client_id: &str,
        now: Timestamp,
    ) -> crate::store::Result<Option<Arc<AuthenticatedClient>>> {
        let Some(Client { metadata, version, enabled }) = store.client(client_id).await? else {
            return Ok(None);
        };
        // In this order: secrets newer than the version are harmless, older ones would not be.
        let secrets = store.client_secrets(client_id, now).await?;
        let client = Arc::new(AuthenticatedClient { metadata, version, enabled, secrets });
        self.0.insert(client_id.to_owned(), Arc::clone(&client));
        Ok(Some(client))
    }
}

impl AuthenticatedClient {
    /// Decides whether a secret, or the absence of one, authenticates the client: it must be enabled, and a
    /// confidential client or service must show one of its current secrets, a public client none.
    pub fn accepts(&self, secret: Option<&SecretHash>, now: Timestamp) -> bool {
        let current = |known: &ClientSecretHash| known.expires_at.is_none_or(|at| at > now);
        self.enabled
            && match (self.metadata.kind, secret) {
                (ClientType::Public, None) => true,
                (ClientType::Confidential | ClientType::Service, Some(shown)) => {
                    self.secrets.iter().any(|known| current(known) && known.hash == *shown)
                }
                _ => false,
            }
    }
}
