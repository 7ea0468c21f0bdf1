//! Demonstrating proof of possession (DPoP, RFC 9449): a request proves that its sender holds the key that a token is bound to.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::signed::{PublicJwk, SignedJwt};

pub use crate::signed::AsymmetricAlgorithm;

/// The age of a proof, in seconds, at most.
const MAX_AGE: i64 = 60;
/// The seconds that the clock of a client may be ahead, at most.
const MAX_AHEAD: i64 = 30;
/// Bytes of a `jti`, at most.
const MAX_JTI: usize = 256;

/// The reason that a proof is refused. Its text never contains any part of the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A proof is needed, and there is none.
    #[error("a DPoP proof is needed")]
    Missing,
    /// There is more than one `DPoP` header.
    #[error("there are several DPoP proofs")]
    Several,
    /// The proof is not a JWT of the type `dpop+jwt` with an asymmetric algorithm and a public key of it.
    #[error("the DPoP proof cannot be read")]
    Malformed,
    /// The signature is not by the key in the proof.
    #[error("the DPoP proof's signature is wrong")]
    BadSignature,
    /// `htm` or `htu` is not the request's method and URL.
    #[error("the DPoP proof is for another request")]
    WrongRequest,
    /// `iat` is missing, more than a minute ago or in the future.
    #[error("the DPoP proof is not of this moment")]
    WrongTime,
    /// `jti` is missing or too long.
    #[error("the DPoP proof has no usable jti")]
    WrongId,
    /// `ath` is not the hash of the access token.
    #[error("the DPoP proof is for another token")]
    WrongToken,
    /// The key is not the one that the token is bound to.
    #[error("the DPoP proof is by another key than the token's")]
    WrongKey,
    /// The proof was used before.
    #[error("the DPoP proof was used before")]
    Replayed,
    /// So many proofs were used in the last minutes that no more can be remembered.
    #[error("there are too many DPoP proofs at the moment")]
    TooMany,
}

/// The request that a proof has to be for.
#[derive(Debug, Clone, Copy)]
pub struct ProofTarget<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL of the request. Query and fragment do not count (RFC 9449 §4.2).
    pub url: &'a str,
    /// The access token that is presented with the proof; none at a token endpoint.
    pub access_token: Option<&'a str>,
    /// The time, in Unix seconds.
    pub now: i64,
}

/// A verified proof (RFC 9449 §4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    thumbprint: String,
    algorithm: AsymmetricAlgorithm,
    jti: String,
    nonce: Option<String>,
}

impl Proof {
    /// Verifies a proof.
    ///
    /// *Checks* size and form, `typ`, an asymmetric `alg`, that the header has a public key and no private one, `htm`, `htu`,
    /// `iat` (one minute back, 30 seconds ahead), the form of `jti`, `ath` if an access token is presented, and the signature.
    /// *Does not check* whether the proof was used before ([`ReplayCache`]), its nonce, and whether its key is the token's.
    ///
    /// # Errors
    /// The first [`ProofError`].
    pub fn verify(text: &str, target: &ProofTarget<'_>) -> Result<Self, ProofError> {
        let (jwt, key) = parse(text)?;
        let is_for = jwt.claim_text("htm") == Some(target.method)
            && jwt.claim_text("htu").and_then(normalized) == normalized(target.url);
        if !is_for || normalized(target.url).is_none() {
            return Err(ProofError::WrongRequest);
        }
        let iat = jwt.claim_time("iat").ok().flatten().ok_or(ProofError::WrongTime)?;
        if iat < target.now - MAX_AGE || iat > target.now + MAX_AHEAD {
            return Err(ProofError::WrongTime);
        }
        let jti = jwt.claim_text("jti").ok_or(ProofError::WrongId)?;
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(ProofError::WrongId);
        }
        if let Some(token) = target.access_token {
            let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
            if jwt.claim_text("ath") != Some(&hash) {
                return Err(ProofError::WrongToken);
            }
        }
        let nonce = match jwt.claim("nonce") {
            None => None,
            Some(nonce) => Some(nonce.as_str().ok_or(ProofError::Malformed)?.to_owned()),
        };
        if !jwt.is_signed_by(&key) {
            return Err(ProofError::BadSignature);
        }
        let algorithm = jwt.algorithm();
        Ok(Self { thumbprint: key.thumbprint(), algorithm, jti: jti.to_owned(), nonce })
    }

    /// The thumbprint of the key that a proof names. Nothing is verified: this is for a program that passes the proof on to
    /// the one that verifies it.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn named_thumbprint(text: &str) -> Result<String, ProofError> {
        Ok(parse(text)?.1.thumbprint())
    }

    /// The thumbprint of the key (`jkt`, RFC 7638 with SHA-256).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> AsymmetricAlgorithm {
        self.algorithm
    }

    /// The nonce of a server (RFC 9449 §8).
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }
}

/// A proof and the key that it names.
fn parse(text: &str) -> Result<(SignedJwt, PublicJwk), ProofError> {
    let jwt = SignedJwt::parse(text).map_err(|_| ProofError::Malformed)?;
    if jwt.header_text("typ") != Some("dpop+jwt") {
        return Err(ProofError::Malformed);
    }
    let key = jwt.header("jwk").and_then(Value::as_object).and_then(PublicJwk::parse);
    Ok((jwt, key.ok_or(ProofError::Malformed)?))
}

/// Scheme, host, port and path of a URL, written in one way (RFC 3986 §6.2.2, §6.2.3): scheme and host in lower case, without
/// the port of the scheme.
fn normalized(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = scheme.to_ascii_lowercase();
    let authority = authority.to_ascii_lowercase();
    let own_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let authority = authority.strip_suffix(own_port).unwrap_or(&authority);
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    Some(format!("{scheme}://{authority}{path}"))
}

/// The proofs of the last minutes, by which a second use is recognised. Its memory is bounded; while it is full, proofs are
/// refused.
pub struct ReplayCache {
    capacity: usize,
    seen: Mutex<Seen>,
}

/// Two periods, each as long as a proof may be good for: what was seen is remembered for one at least.
#[derive(Default)]
struct Seen {
    period: i64,
    current: HashSet<[u8; 16]>,
    previous: HashSet<[u8; 16]>,
}

impl ReplayCache {
    /// Proofs of one period that are remembered, by default: 5,000 a second, in about 20 MiB if there are so many.
    pub const DEFAULT_CAPACITY: usize = 450_000;

    /// A cache for so many proofs in 90 seconds.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, seen: Mutex::default() }
    }

    /// Notes that a proof is used.
    ///
    /// # Errors
    /// [`ProofError::Replayed`] when it was used before, [`ProofError::TooMany`] when the cache is full.
    pub fn check(&self, proof: &Proof, now: i64) -> Result<(), ProofError> {
        let hash = digest(&SHA256, format!("{}.{}", proof.thumbprint, proof.jti).as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_ref()[..16]);
        let period = now.div_euclid(MAX_AGE + MAX_AHEAD);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if period > seen.period {
            let current = std::mem::take(&mut seen.current);
            seen.previous = if period == seen.period + 1 { current } else { HashSet::new() };
            seen.period = period;
        }
        if seen.current.contains(&id) || seen.previous.contains(&id) {
            return Err(ProofError::Replayed);
        }
        if seen.current.len() >= self.capacity {
            return Err(ProofError::TooMany);
        }
        seen.current.insert(id);
        Ok(())
    }
}

impl Default for ReplayCache {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(jti: &str) -> Proof {
        let algorithm = AsymmetricAlgorithm::ES256;
        Proof { thumbprint: "key".to_owned(), algorithm, jti: jti.to_owned(), nonce: None }
    }

    #[test]
    fn urls_are_compared_as_the_rfc_says() {
        let same = "https://api.example/notes";
        for url in ["HTTPS://API.example:443/notes?x=1#y", "https://api.example/notes#z"] {
            assert_eq!(normalized(url), normalized(same), "{url}");
        }
        for url in [
            "http://api.example/notes",
            "https://api.example:8443/notes",
            "https://api.example/Notes",
            "https://api.example/notes/",
            "https://api.example",
            "https://me@api.example/notes",
            "/notes",
            "ftp://api.example/notes",
        ] {
            assert_ne!(normalized(url), normalized(same), "{url}");
        }
        assert_eq!(normalized("http://localhost:80"), normalized("http://localhost/"));
    }

    #[test]
    fn a_proof_counts_once_while_it_can_be_good_and_the_cache_is_bounded() {
        let cache = ReplayCache::new(2);
        assert_eq!(cache.check(&proof("a"), 1000), Ok(()));
        assert_eq!(cache.check(&proof("b"), 1000), Ok(()));
        assert_eq!(cache.check(&proof("c"), 1000), Err(ProofError::TooMany));
        for now in [1000, 1089] {
            assert_eq!(cache.check(&proof("a"), now), Err(ProofError::Replayed), "{now}");
        }
        // Two periods later both are forgotten: a proof of then is too old by itself.
        assert_eq!(cache.check(&proof("a"), 1000 + 2 * (MAX_AGE + MAX_AHEAD)), Ok(()));
    }
}
