//! The assertions that clients authenticate by (`private_key_jwt`: RFC 7523 §3, OpenID Connect Core §9).

use std::time::Duration;

use foundation::time::Timestamp;
use serde_json::Value;
use tokens::signed::{AsymmetricAlgorithm, PublicJwk, SignedJwt};

/// `client_assertion_type` (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Keys in a client's JWKS, at most.
pub const MAX_KEYS: usize = 50;

/// The time for which an assertion may be good from now on. Its `jti` is remembered for so long.
const MAX_LIFE: Duration = Duration::from_mins(10);
/// The difference between the clocks of a client and the authority that is tolerated.
const LEEWAY: Duration = Duration::from_secs(30);
/// Bytes of a `jti`, at most.
const MAX_JTI: usize = 256;

/// Why an assertion is refused, for the operator; the client is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// The text is no JWT with an asymmetric signature.
    #[error("the assertion cannot be read: {0}")]
    Malformed(tokens::Reject),
    /// A claim is missing or wrong.
    #[error("the claim `{0}` of the assertion is missing or wrong")]
    Claim(&'static str),
}

/// A parsed assertion. **It proves nothing** until [`ClientAssertion::check`] has passed, the signature is verified, and its
/// `jti` is recorded.
#[derive(Debug, Clone)]
pub struct ClientAssertion(SignedJwt);

impl ClientAssertion {
    /// Parses an assertion.
    ///
    /// # Errors
    /// [`AssertionError::Malformed`], also for an algorithm with a shared secret (`client_secret_jwt`);
    /// [`AssertionError::Claim`] when it names no client.
    pub fn parse(text: &str) -> Result<Self, AssertionError> {
        let assertion = Self(SignedJwt::parse(text).map_err(AssertionError::Malformed)?);
        assertion.0.claim_text("sub").ok_or(AssertionError::Claim("sub"))?;
        Ok(assertion)
    }

    /// The client identifier that it names (`sub`).
    pub fn client_id(&self) -> &str {
        self.0.claim_text("sub").unwrap_or_default()
    }

    /// The identifier of its key (`kid`), if it names one.
    pub fn key_id(&self) -> Option<&str> {
        self.0.header_text("kid")
    }

    /// Whether one of these keys has signed it: one with its `kid` if it names one, else any.
    pub fn is_signed_by_one_of(&self, keys: &[PublicJwk]) -> bool {
        let named = |key: &&PublicJwk| self.key_id().is_none_or(|id| key.id() == Some(id));
        keys.iter().filter(named).any(|key| self.0.is_signed_by(key))
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> AsymmetricAlgorithm {
        self.0.algorithm()
    }

    /// Whether `aud` is the issuer, as text, and nothing else (FAPI 2.0 Security Profile §5.3.2.1).
    pub fn is_for_the_issuer_alone(&self, issuer: &str) -> bool {
        self.0.claim_text("aud") == Some(issuer)
    }

    /// Checks the claims, and returns `jti` and the time until which it must not be accepted again.
    ///
    /// *Checks* `iss` and `sub` (both the client), `aud` (each of its values is one of `audiences`: an assertion that is good
    /// elsewhere too could be passed on from there), `exp` (at most ten minutes ahead), `iat` and `nbf` where they are there,
    /// and the form of `jti`. *Does not check* the signature, or whether the `jti` was seen before.
    ///
    /// # Errors
    /// [`AssertionError::Claim`] for the first wrong claim.
    pub fn check(
        &self,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<(&str, Timestamp), AssertionError> {
        let wrong = AssertionError::Claim;
        let is_ours = |value: &Value| value.as_str().is_some_and(|aud| audiences.contains(&aud));
        if self.0.claim_text("iss") != Some(self.client_id()) {
            return Err(wrong("iss"));
        }
        let for_us = match self.0.claim("aud") {
            Some(Value::Array(values)) => !values.is_empty() && values.iter().all(is_ours),
            Some(value) => is_ours(value),
            None => false,
        };
        if !for_us {
            return Err(wrong("aud"));
        }
        let time = |name| self.0.claim_time(name).map_err(|_| wrong(name));
        let (earliest, latest) = ((now - LEEWAY).secs(), (now + LEEWAY).secs());
        let exp = time("exp")?.ok_or(wrong("exp"))?;
        if exp <= earliest || exp > latest + MAX_LIFE.as_secs().cast_signed() {
            return Err(wrong("exp"));
        }
        if time("iat")?.is_some_and(|iat| iat > latest || iat > exp) {
            return Err(wrong("iat"));
        }
        if time("nbf")?.is_some_and(|nbf| nbf > latest) {
            return Err(wrong("nbf"));
        }
        let jti = self.0.claim_text("jti").ok_or(wrong("jti"))?;
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(wrong("jti"));
        }
        // One second more: `exp` was cut to whole seconds.
        Ok((jti, Timestamp::from_millis((exp + 1) * 1000) + LEEWAY))
    }
}
