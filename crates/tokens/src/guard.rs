use std::sync::Arc;

use crate::fetch::is_safe;
use crate::{
    AccessToken, CachedVerifier, Denied, FetchError, KeySet, Reject, RemoteKeys, RequestParts,
    Verifier,
};

/// Authenticates requests by their bearer token: a [`CachedVerifier`], the authority's keys and a clock.
///
/// Clones share the keys and the cache.
#[derive(Clone)]
pub struct Guard {
    verifier: CachedVerifier,
    keys: RemoteKeys,
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Guard {
    /// A guard for `audience`, with the keys that `issuer` publishes at `/.well-known/jwks.json`.
    ///
    /// Must be called within a tokio runtime: the keys are fetched in the background.
    ///
    /// # Errors
    /// [`FetchError::InsecureIssuer`] when `issuer` is http and not this machine: keys that come in the clear are
    /// everybody's. [`FetchError`] when no HTTP client can be made.
    pub fn connect(issuer: &str, audience: &str) -> Result<Self, FetchError> {
        if !is_safe(issuer) {
            return Err(FetchError::InsecureIssuer(issuer.to_owned()));
        }
        Self::new(Verifier::new(issuer, audience), issuer, KeySet::default())
    }

    /// A guard with a given verifier, the base URL at which this process reaches the authority, and keys
    /// known beforehand. Otherwise as [`Guard::connect`], but for the check of `authority`: http is accepted, as it is
    /// within one network of containers.
    ///
    /// # Errors
    /// [`FetchError`] when no HTTP client can be made.
    pub fn new(verifier: Verifier, authority: &str, fixed: KeySet) -> Result<Self, FetchError> {
        let url = format!("{}/.well-known/jwks.json", authority.trim_end_matches('/'));
        let keys = RemoteKeys::follow(url, fixed)?;
        let verifier = CachedVerifier::new(verifier, CachedVerifier::DEFAULT_BYTES);
        Ok(Self { verifier, keys, now: Arc::new(system_time) })
    }

    /// Takes the time (Unix seconds) from `now` instead of the system clock.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Limits the cache of accepted tokens to about `bytes` of memory, instead of
    /// [`CachedVerifier::DEFAULT_BYTES`]; 0 disables it.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes: u64) -> Self {
        self.verifier = CachedVerifier::new(self.verifier.verifier().clone(), bytes);
        self
    }

    /// True once there is a key to check tokens with; fit for an app's readiness endpoint.
    pub fn is_ready(&self) -> bool {
        self.keys.is_ready()
    }

    /// The realm named in challenges: the audience.
    pub fn realm(&self) -> &str {
        self.verifier.verifier().audience()
    }

    /// Authenticates a request by the bearer token in its `Authorization` header (RFC 6750 §2.1).
    ///
    /// *Checks* that there is exactly one `Authorization` header, that its scheme is `Bearer` (in any
    /// case), and the token as [`Verifier::verify`] does. A token that names an unknown key makes the keys
    /// be fetched again, at most once in 30 seconds.
    /// *Does not check* scopes ([`AccessToken::require`]). Method and URL are not used yet.
    ///
    /// # Errors
    /// [`Denied`], except [`Denied::InsufficientScope`].
    pub async fn authenticate(&self, request: &RequestParts<'_>) -> Result<AccessToken, Denied> {
        let token = bearer_token(request)?;
        if !self.is_ready() {
            return Err(Denied::NotReady);
        }
        let now = (self.now)();
        let mut answer = self.verifier.verify(token, &self.keys.current(), now);
        if answer == Err(Reject::UnknownKey) {
            let keys = self.keys.after_unknown_key().await;
            answer = self.verifier.verify(token, &keys, now);
        }
        answer.map(AccessToken::new).map_err(Denied::InvalidToken)
    }
}

fn bearer_token<'r>(request: &RequestParts<'r>) -> Result<&'r str, Denied> {
    let mut headers = request.headers("authorization");
    let header = headers.next().ok_or(Denied::NoToken)?;
    if headers.next().is_some() {
        return Err(Denied::MalformedHeader);
    }
    let header = std::str::from_utf8(header).map_err(|_| Denied::MalformedHeader)?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Denied::NoToken),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this crate reads the system's clock"
)]
fn system_time() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
