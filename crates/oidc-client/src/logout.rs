//! RP-initiated logout.

use foundation::time::Timestamp;
use url::Url;

use crate::metadata::METADATA_MAX_AGE;
use crate::provider::Provider;

impl Provider {
    /// URL at which a browser ends its sign-in at the provider (OpenID Connect RP-Initiated Logout 1.0 §2). `None` if
    /// the provider has no such endpoint, or is not available for discovery.
    pub async fn logout_url(&self, id_token: Option<&str>, now: Timestamp) -> Option<String> {
        let discovery = self.discovery(now, METADATA_MAX_AGE).await.ok()?;
        let mut url = Url::parse(discovery.metadata.end_session_endpoint.as_deref()?).ok()?;
        url.query_pairs_mut()
            .extend_pairs(id_token.map(|hint| ("id_token_hint", hint)))
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", &self.config.post_logout_redirect_uri);
        Some(url.into())
    }
}
