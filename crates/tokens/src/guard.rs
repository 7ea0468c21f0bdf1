use std::sync::Arc;
#[cfg(feature = "feed")]
use std::time::Duration;

#[cfg(feature = "dpop")]
use crate::dpop::{Proof, ProofError, ProofTarget, ReplayCache};
#[cfg(feature = "feed")]
use crate::feed::Follower;
use crate::fetch::is_safe;
use crate::{
    AccessToken, CachedVerifier, Denied, FetchError, KeySet, ProtectedResource, Reject, RemoteKeys,
    RequestParts, Verifier,
};

/// Authenticates requests by their bearer token: a [`CachedVerifier`], the authority's keys and a clock.
///
/// Clones share the keys and the cache.
#[derive(Clone)]
pub struct Guard {
    verifier: CachedVerifier,
    keys: RemoteKeys,
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
    #[cfg(feature = "dpop")]
    dpop: Option<Arc<Dpop>>,
    metadata_url: Option<Arc<str>>,
    #[cfg(feature = "feed")]
    follower: Option<Follower>,
    /// The greatest age of the follower's last word; any age if there is none.
    #[cfg(feature = "feed")]
    max_age: Option<Duration>,
}

/// The scheme of an `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

/// What a guard needs to check DPoP proofs.
#[cfg(feature = "dpop")]
struct Dpop {
    /// Scheme and authority that clients use.
    origin: String,
    seen: ReplayCache,
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
        Ok(Self {
            verifier,
            keys,
            now: Arc::new(system_time),
            #[cfg(feature = "dpop")]
            dpop: None,
            metadata_url: None,
            #[cfg(feature = "feed")]
            follower: None,
            #[cfg(feature = "feed")]
            max_age: None,
        })
    }

    /// Takes the time (Unix seconds) from `now` instead of the system clock.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Lets every challenge name the address of the API's metadata (`resource_metadata`, RFC 9728 §5.1), by which a client
    /// that was refused finds the authority. Serve them there.
    #[must_use]
    pub fn with_metadata(mut self, resource: &ProtectedResource) -> Self {
        self.metadata_url = Some(resource.url().into());
        self
    }

    /// Limits the cache of accepted tokens to about `bytes` of memory, instead of
    /// [`CachedVerifier::DEFAULT_BYTES`]; 0 disables it.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes: u64) -> Self {
        self.verifier = CachedVerifier::new(self.verifier.verifier().clone(), bytes);
        self
    }

    /// Accepts tokens that are bound to a key, with a proof of it in the header `DPoP` (RFC 9449). Without this, such tokens are
    /// refused. `origin` is scheme and authority as clients use them (`https://notes.example`), because a proxy may have
    /// changed those of the request.
    ///
    /// A proof is good for a minute, and once at this process: replicas do not tell each other what they have seen.
    #[cfg(feature = "dpop")]
    #[must_use]
    pub fn dpop(mut self, origin: impl Into<String>) -> Self {
        let origin = origin.into().trim_end_matches('/').to_owned();
        self.dpop = Some(Arc::new(Dpop { origin, seen: ReplayCache::default() }));
        self
    }

    /// Checks that a token is presented as it has to be: one that is bound to a key with a proof, any other without.
    fn check_binding(
        &self,
        scheme: Scheme,
        token: &str,
        claims: &crate::Claims,
        request: &RequestParts<'_>,
    ) -> Result<(), Denied> {
        match (scheme, &claims.cnf) {
            (Scheme::Bearer, None) => Ok(()),
            (Scheme::Bearer, Some(_)) => Err(Denied::InvalidToken(Reject::Bound)),
            (Scheme::Dpop, None) => Err(Denied::InvalidToken(Reject::NotBound)),
            (Scheme::Dpop, Some(cnf)) => self.check_proof(token, &cnf.jkt, request),
        }
    }

    #[cfg(feature = "dpop")]
    fn check_proof(
        &self,
        token: &str,
        thumbprint: &str,
        request: &RequestParts<'_>,
    ) -> Result<(), Denied> {
        let dpop = self.dpop.as_ref().ok_or(Denied::InvalidToken(Reject::Bound))?;
        let mut headers = request.headers("dpop");
        let text = headers.next().ok_or(Denied::InvalidProof(ProofError::Missing))?;
        if headers.next().is_some() {
            return Err(Denied::InvalidProof(ProofError::Several));
        }
        let now = (self.now)();
        let url = format!("{}{}", dpop.origin, request.path());
        let target =
            ProofTarget { method: request.method(), url: &url, access_token: Some(token), now };
        let text = std::str::from_utf8(text).map_err(|_| ProofError::Malformed);
        let proof = text.and_then(|text| Proof::verify(text, &target));
        let proof = proof.map_err(Denied::InvalidProof)?;
        if proof.thumbprint() != thumbprint {
            return Err(Denied::InvalidProof(ProofError::WrongKey));
        }
        dpop.seen.check(&proof, now).map_err(Denied::InvalidProof)
    }

    #[cfg(not(feature = "dpop"))]
    #[expect(clippy::unused_self, reason = "with the feature `dpop` it is used")]
    fn check_proof(&self, _: &str, _: &str, _: &RequestParts<'_>) -> Result<(), Denied> {
        Err(Denied::InvalidToken(Reject::Bound))
    }

    /// Refuses tokens whose session has ended, as far as `follower` knows, and goes on while the authority is away.
    #[cfg(feature = "feed")]
    #[must_use]
    pub fn best_effort(mut self, follower: Follower) -> Self {
        self.follower = Some(follower);
        self
    }

    /// Refuses tokens whose session has ended, and every token, with [`Denied::Stale`], while the last word of the
    /// authority is older than `max_age`.
    ///
    /// Sensible ages are three seconds and more: the authority is asked to speak three times as often.
    #[cfg(feature = "feed")]
    #[must_use]
    pub fn require(self, follower: Follower, max_age: Duration) -> Self {
        self.best_effort(follower).at_most(max_age)
    }

    /// A guard for a route that needs a fresher word of the authority than the others, one that moves money for example.
    /// Without a follower it refuses every token with [`Denied::Stale`].
    #[cfg(feature = "feed")]
    #[must_use]
    pub fn at_most(mut self, max_age: Duration) -> Self {
        let max_age = self.max_age.map_or(max_age, |known| known.min(max_age));
        if let Some(follower) = &self.follower {
            follower.ask_for_word_within(max_age);
        }
        self.max_age = Some(max_age);
        self
    }

    /// The follower of ended sessions, if there is one.
    #[cfg(feature = "feed")]
    pub fn follower(&self) -> Option<&Follower> {
        self.follower.as_ref()
    }

    /// True once there is a key to check tokens with, and while the word of the authority is as fresh as it has to be; fit
    /// for an app's readiness endpoint.
    pub fn is_ready(&self) -> bool {
        self.keys.is_ready() && !self.is_stale()
    }

    /// Waits until the session of an accepted token has ended, or the word of the authority is older than it may be: for
    /// streams that outlast the check at their beginning. Without a follower it waits for ever.
    #[cfg(feature = "feed")]
    pub async fn denied(&self, claims: &crate::Claims) {
        const STALE_INTERVAL: Duration = Duration::from_secs(1);
        let Some(follower) = &self.follower else { return std::future::pending().await };
        let stale = async {
            if self.max_age.is_none() {
                std::future::pending::<()>().await;
            }
            while !self.is_stale() {
                tokio::time::sleep(STALE_INTERVAL).await;
            }
        };
        tokio::select! {
            () = follower.ended(claims) => {}
            () = stale => {}
        }
    }

    /// Whether the word of the authority is older than it may be: then every token is refused with [`Denied::Stale`].
    #[cfg(feature = "feed")]
    pub fn is_stale(&self) -> bool {
        self.max_age.is_some_and(|max_age| {
            !self.follower.as_ref().is_some_and(|follower| follower.is_fresh(max_age))
        })
    }

    #[cfg(not(feature = "feed"))]
    #[expect(clippy::unused_self, reason = "with the feature `feed` it is used")]
    fn is_stale(&self) -> bool {
        false
    }

    #[cfg(feature = "feed")]
    fn has_ended(&self, claims: &crate::Claims) -> bool {
        self.follower.as_ref().is_some_and(|follower| follower.has_ended(claims))
    }

    #[cfg(not(feature = "feed"))]
    #[expect(clippy::unused_self, reason = "with the feature `feed` it is used")]
    fn has_ended(&self, _: &crate::Claims) -> bool {
        false
    }

    /// The realm named in challenges: the audience.
    pub fn realm(&self) -> &str {
        self.verifier.verifier().audience()
    }

    /// The value of `WWW-Authenticate` for a refusal: [`Denied::challenge`], with `resource_metadata` if there are metadata.
    pub fn challenge(&self, denied: &Denied) -> Option<String> {
        let challenge = denied.challenge(self.realm())?;
        Some(match &self.metadata_url {
            Some(url) => format!("{challenge}, resource_metadata=\"{url}\""),
            None => challenge,
        })
    }

    /// Authenticates a request by the token in its `Authorization` header (RFC 6750 §2.1, RFC 9449 §7.1).
    ///
    /// *Checks* that there is exactly one `Authorization` header, that its scheme is `Bearer` or `DPoP` (in any
    /// case), that a token that is bound to a key comes with a proof of it (feature `dpop`), and the token as [`Verifier::verify`] does. A token that names an unknown key makes the keys
    /// be fetched again, at most once in 30 seconds.
    /// With a follower of ended sessions (feature `feed`) it refuses the tokens of these too.
    /// *Does not check* scopes ([`AccessToken::require`]).
    ///
    /// # Errors
    /// [`Denied`], except [`Denied::InsufficientScope`].
    pub async fn authenticate(&self, request: &RequestParts<'_>) -> Result<AccessToken, Denied> {
        let (scheme, token) = presented_token(request)?;
        if !self.keys.is_ready() {
            return Err(Denied::NotReady);
        }
        let now = (self.now)();
        let mut answer = self.verifier.verify(token, &self.keys.current(), now);
        if answer == Err(Reject::UnknownKey) {
            let keys = self.keys.after_unknown_key().await;
            answer = self.verifier.verify(token, &keys, now);
        }
        let claims = answer.map_err(Denied::InvalidToken)?;
        self.check_binding(scheme, token, &claims, request)?;
        if self.has_ended(&claims) {
            return Err(Denied::Ended);
        }
        if self.is_stale() {
            return Err(Denied::Stale);
        }
        Ok(AccessToken::new(claims))
    }
}

fn presented_token<'r>(request: &RequestParts<'r>) -> Result<(Scheme, &'r str), Denied> {
    let mut headers = request.headers("authorization");
    let header = headers.next().ok_or(Denied::NoToken)?;
    if headers.next().is_some() {
        return Err(Denied::MalformedHeader);
    }
    let header = std::str::from_utf8(header).map_err(|_| Denied::MalformedHeader)?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok((Scheme::Bearer, token.trim()))
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("dpop") => {
            Ok((Scheme::Dpop, token.trim()))
        }
        _ => Err(Denied::NoToken),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this crate reads the system's clock"
)]
pub(crate) fn system_time() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
