//! The cache of clients, which saves a refresh from reading them from the database.

use std::sync::Arc;

use foundation::time::Timestamp;
use quick_cache::sync::Cache;

use crate::domain::client::ClientMetadata;
use crate::domain::refresh_token::SecretHash;
use crate::store::{Client, ClientSecretHash, Store};

/// A registered client and its secrets, as the database had them at one version.
#[derive(Debug)]
pub struct AuthenticatedClient {
    /// The metadata it is registered with.
    pub metadata: ClientMetadata,
    /// Increases with every change of the client or of its secrets.
    pub version: i64,
    /// Disabled clients cannot authenticate.
    pub enabled: bool,
    secrets: Vec<ClientSecretHash>,
}

/// The most recently used clients.
///
/// An entry can be stale. A change that relies on one must be conditional on the same version in the database, as the
/// statement that rotates a family is.
#[derive(derive_more::Debug)]
#[debug("ClientCache(…)")]
pub struct ClientCache(Cache<String, Arc<AuthenticatedClient>>);

/// Clients in the cache, at most.
const CAPACITY: usize = 1000;

impl Default for ClientCache {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl ClientCache {
    /// The client as it was last loaded, if it is cached.
    pub fn get(&self, client_id: &str) -> Option<Arc<AuthenticatedClient>> {
        self.0.get(client_id)
    }

    /// Reads a client from the database into the cache. `None` if there is none with this id.
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
    /// Looks for a secret among the client's current ones, in constant time for each of them.
    pub fn has_secret(&self, secret: &SecretHash, now: Timestamp) -> bool {
        let current = |known: &&ClientSecretHash| known.expires_at.is_none_or(|at| at > now);
        self.secrets.iter().filter(current).any(|known| known.hash == *secret)
    }
}
