//! `private_key_jwt`: an assertion that the client has signed (RFC 7523 §2.2, OpenID Connect Core §9).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use tokens::signed::{PublicJwk, parse_jwks};
use tracing::info;

use super::{AuthenticateError, Method};
use crate::authority::Authority;
use crate::domain::client_assertion::{ClientAssertion, MAX_KEYS};
use crate::services::client_cache::AuthenticatedClient;

/// An assertion, and the endpoint that it was sent to.
#[derive(Debug)]
pub struct PrivateKeyJwt {
    assertion: ClientAssertion,
    /// The path of the endpoint.
    endpoint: String,
    /// Whether this request has recorded the `jti`: a request may be verified twice.
    is_recorded: AtomicBool,
}

impl PrivateKeyJwt {
    /// The credentials of a request to the endpoint with this path.
    pub fn new(assertion: ClientAssertion, endpoint: String) -> Self {
        Self { assertion, endpoint, is_recorded: AtomicBool::new(false) }
    }

    async fn keys(
        &self,
        authority: &Authority,
        client: &AuthenticatedClient,
    ) -> Option<Arc<Vec<PublicJwk>>> {
        if let Some(jwks) = &client.metadata.jwks {
            return parse_jwks(jwks, MAX_KEYS).map(Arc::new);
        }
        let url = client.metadata.jwks_uri.as_deref()?;
        // A key that was published since the last fetch may have signed it.
        let enough = |keys: &[PublicJwk]| self.assertion.is_signed_by_one_of(keys);
        Some(authority.client_keys.at(url, &authority.outbound, authority.now(), enough).await)
    }
}

impl Method for PrivateKeyJwt {
    fn client_id(&self) -> &str {
        self.assertion.client_id()
    }

    /// *Checks* what [`ClientAssertion::check`] does, with the issuer, the token endpoint and the endpoint of the request as
    /// audiences; of a client that follows FAPI 2.0, that the issuer alone is the audience, and the algorithm is not RS256; that the client is registered with keys, and one of them has signed; and that no other request, at any
    /// replica, has brought the same `jti`.
    async fn verify(
        &self,
        authority: &Authority,
        client: &AuthenticatedClient,
    ) -> Result<bool, AuthenticateError> {
        let client_id = &client.metadata.client_id;
        let url = &authority.config.public_url;
        let audiences = [url.as_str(), &url.join("/oauth/token"), &url.join(&self.endpoint)];
        let (jti, until) = match self.assertion.check(&audiences, authority.now()) {
            Ok(checked) => checked,
            Err(why) => {
                info!(client_id, %why, "a client was not authenticated");
                return Ok(false);
            }
        };
        if client.metadata.follows_fapi2()
            && !(self.assertion.is_for_the_issuer_alone(url.as_str())
                && client.metadata.may_sign_with(self.assertion.algorithm()))
        {
            info!(
                client_id,
                "a client was not authenticated: FAPI 2.0 demands that the issuer alone is the `aud` of its assertion, and forbids RS256"
            );
            return Ok(false);
        }
        let keys = self.keys(authority, client).await;
        if !keys.is_some_and(|keys| self.assertion.is_signed_by_one_of(&keys)) {
            info!(
                client_id,
                "a client was not authenticated: none of its keys has signed the assertion"
            );
            return Ok(false);
        }
        if self.is_recorded.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let hash = digest(&SHA256, jti.as_bytes());
        let is_first =
            authority.store.use_client_assertion(client_id, hash.as_ref(), until).await?;
        if !is_first {
            info!(client_id, "a client was not authenticated: its assertion was used before");
        }
        self.is_recorded.store(is_first, Ordering::Relaxed);
        Ok(is_first)
    }
}
