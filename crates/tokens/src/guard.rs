use std::sync::Arc;

use crate::{CachedVerifier, Claims, FetchError, KeySet, Reject, RemoteKeys, Verifier};

/// Checks the `Authorization` header of requests: a [`CachedVerifier`], the authority's keys, and a clock.
///
/// Clones share the keys.
#[derive(Clone)]
pub struct Guard {
    verifier: CachedVerifier,
    keys: RemoteKeys,
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

/// Why a request may not pass, in the terms of RFC 6750 §3.1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// There is no bearer token: 401.
    #[error("this needs a bearer token")]
    NoToken,
    /// There are several `Authorization` headers, or one that is no text: 400.
    #[error("the authorization header is malformed")]
    MalformedHeader,
    /// The token is not accepted: 401.
    #[error("{0}")]
    InvalidToken(Reject),
    /// The token is good, but does not allow this: 403.
    #[error("this needs the scope `{0}`")]
    InsufficientScope(&'static str),
    /// No keys have been fetched yet, so nothing can be checked: 503.
    #[error("no keys of the authority are known yet")]
    NotReady,
}

impl Denied {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::MalformedHeader => 400,
            Self::NoToken | Self::InvalidToken(_) => 401,
            Self::InsufficientScope(_) => 403,
            Self::NotReady => 503,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3); `None` where the client could do nothing about it.
    pub fn challenge(&self, realm: &str) -> Option<String> {
        let realm = realm.replace(['"', '\\'], "");
        match self {
            Self::NotReady => None,
            Self::NoToken => Some(format!("Bearer realm=\"{realm}\"")),
            Self::MalformedHeader => Some(format!(
                "Bearer realm=\"{realm}\", error=\"invalid_request\", error_description=\"{self}\""
            )),
            Self::InvalidToken(reason) => Some(format!(
                "Bearer realm=\"{realm}\", error=\"invalid_token\", error_description=\"{reason}\""
            )),
            Self::InsufficientScope(scope) => Some(format!(
                "Bearer realm=\"{realm}\", error=\"insufficient_scope\", scope=\"{scope}\""
            )),
        }
    }
}

impl Guard {
    /// A guard for `audience`, with the keys that `issuer` publishes at `/.well-known/jwks.json`.
    ///
    /// Must be called within a tokio runtime: the keys are fetched in the background.
    ///
    /// # Errors
    /// [`FetchError`] when no HTTP client can be made.
    pub fn connect(issuer: &str, audience: &str) -> Result<Self, FetchError> {
        Self::new(Verifier::new(issuer, audience), issuer, KeySet::default())
    }

    /// As [`Guard::connect`], with a verifier of your own, the base URL under which this process reaches the
    /// authority, and keys known beforehand.
    ///
    /// # Errors
    /// [`FetchError`] when no HTTP client can be made.
    pub fn new(verifier: Verifier, authority: &str, fixed: KeySet) -> Result<Self, FetchError> {
        let url = format!("{}/.well-known/jwks.json", authority.trim_end_matches('/'));
        let keys = RemoteKeys::follow(url, fixed)?;
        let verifier = CachedVerifier::new(verifier, CachedVerifier::DEFAULT_BYTES);
        Ok(Self { verifier, keys, now: Arc::new(system_time) })
    }

    /// Takes the time (Unix seconds) from `now` instead of the system.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Remembers tokens that were accepted in about so much memory, instead of [`CachedVerifier::DEFAULT_BYTES`];
    /// 0 remembers none.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes: u64) -> Self {
        self.verifier = CachedVerifier::new(self.verifier.verifier().clone(), bytes);
        self
    }

    /// Whether tokens can be checked. An app that is not ready says so in its readiness.
    pub fn is_ready(&self) -> bool {
        self.keys.is_ready()
    }

    /// The realm of its challenges: the audience.
    pub fn realm(&self) -> &str {
        self.verifier.verifier().audience()
    }

    /// Checks the values of all `Authorization` headers of one request.
    ///
    /// # Errors
    /// [`Denied`]; see [`Verifier::verify`] for what is checked.
    pub async fn authenticate<'h>(
        &self,
        mut headers: impl Iterator<Item = &'h [u8]>,
    ) -> Result<Arc<Claims>, Denied> {
        let header = headers.next().ok_or(Denied::NoToken)?;
        if headers.next().is_some() {
            return Err(Denied::MalformedHeader);
        }
        let header = std::str::from_utf8(header).map_err(|_| Denied::MalformedHeader)?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(Denied::NoToken),
        };
        if !self.is_ready() {
            return Err(Denied::NotReady);
        }
        let now = (self.now)();
        let mut answer = self.verifier.verify(token, &self.keys.current(), now);
        if answer == Err(Reject::UnknownKey) {
            let keys = self.keys.after_unknown_key().await;
            answer = self.verifier.verify(token, &keys, now);
        }
        answer.map_err(Denied::InvalidToken)
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
