//! Discovery (OpenID Connect Discovery 1.0 §4): the provider's metadata and keys are fetched, and fetched again in time.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use foundation::time::Timestamp;
use tokens::KeySet;
use tracing::{info, warn};

use crate::metadata::{Discovery, METADATA_MAX_AGE, ProviderMetadata};
use crate::provider::{Provider, ProviderError, read_body};

impl Provider {
    /// Whether discovery has succeeded at least once.
    pub fn is_discovered(&self) -> bool {
        self.cached().is_some()
    }

    /// Whether the provider, once discovered, has a feed of ended sessions.
    pub fn has_revocations_endpoint(&self) -> bool {
        self.cached().is_some_and(|found| found.metadata.revocations_endpoint.is_some())
    }

    /// Fetches metadata and keys if there are none, or if they are older than ten minutes. The last good ones stay in
    /// use while the provider is unavailable.
    ///
    /// # Errors
    /// [`ProviderError`] when discovery fails and has never succeeded.
    pub async fn discover(&self, now: Timestamp) -> Result<(), ProviderError> {
        self.discovery(now, METADATA_MAX_AGE).await.map(drop)
    }

    fn cached(&self) -> Option<Arc<Discovery>> {
        self.discovery.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cached discovery, fetched again if it is older than `max_age`.
    pub(crate) async fn discovery(
        &self,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Arc<Discovery>, ProviderError> {
        let is_fresh = |discovery: &Arc<Discovery>| now.since(discovery.fetched_at) < max_age;
        if let Some(discovery) = self.cached().filter(is_fresh) {
            return Ok(discovery);
        }
        let _turn = self.fetching.lock().await;
        if let Some(discovery) = self.cached().filter(is_fresh) {
            return Ok(discovery);
        }
        match self.fetch(now).await {
            Ok(discovery) => {
                let discovery = Arc::new(discovery);
                if !self.is_discovered() {
                    info!(issuer = self.config.issuer, "the provider is known");
                }
                *self.discovery.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::clone(&discovery));
                Ok(discovery)
            }
            Err(error) => match self.cached() {
                Some(discovery) => {
                    warn!(%error, "the provider's keys could not be fetched again; the last ones go on");
                    Ok(discovery)
                }
                None => Err(error),
            },
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<Discovery, ProviderError> {
        let issuer = self.config.issuer.trim_end_matches('/');
        let url = self.backchannel(&format!("{issuer}/.well-known/openid-configuration"));
        let metadata: ProviderMetadata = serde_json::from_slice(&self.get(&url).await?)
            .map_err(|error| ProviderError::InvalidResponse(format!("{url}: {error}")))?;
        // OpenID Connect Discovery 1.0 §4.3.
        if metadata.issuer != self.config.issuer {
            return Err(ProviderError::InvalidResponse(format!(
                "it calls itself `{}`, and `{}` was expected",
                metadata.issuer, self.config.issuer
            )));
        }
        let jwks = self.get(&self.backchannel(&metadata.jwks_uri)).await?;
        let keys = KeySet::from_jwks(&jwks)
            .map_err(|error| ProviderError::InvalidResponse(error.to_string()))?;
        Ok(Discovery { metadata, keys, fetched_at: now })
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, ProviderError> {
        let response = self.http.get(url).send().await?;
        if !response.status().is_success() {
            return Err(ProviderError::Unavailable(format!("{url}: {}", response.status())));
        }
        read_body(response).await
    }
}
