use std::time::Duration;

use crate::jws::Compact;
use crate::{Algorithm, Claims, KeySet, Reject};

/// Verifies application tokens for one audience, given keys and the time: no clock, no network.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuer: String,
    audience: String,
    algorithms: Vec<Algorithm>,
    leeway_secs: i64,
}

impl Verifier {
    /// A verifier for tokens from `issuer` for `audience`, both compared exactly.
    ///
    /// Allows EdDSA, ES256 and RS256, with a leeway of 30 seconds.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            algorithms: vec![Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256],
            leeway_secs: 30,
        }
    }

    /// Allows exactly these algorithms. HS256 is allowed only if named here.
    #[must_use]
    pub fn algorithms(mut self, algorithms: &[Algorithm]) -> Self {
        self.algorithms = algorithms.to_vec();
        self
    }

    /// Sets the tolerated clock difference for `exp` and `nbf`: whole seconds, at most five minutes.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway_secs = i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX).min(300);
        self
    }

    /// The accepted issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The accepted audience.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Verifies `token` at `now` (Unix seconds) (contract §3, `docs/contract.md#3-the-application-token`).
    ///
    /// *Checks*, in this order: size; compact form without duplicate members; no `crit`; `typ` is `at+jwt`;
    /// `alg` is allowed; `kid` names a key whose one algorithm is `alg`; the signature; every required claim
    /// with its JSON type; `iss`; `aud`; `exp`; `nbf` (RFC 9068 §4, RFC 8725 §3).
    /// *Does not check* scopes ([`crate::Scope::contains`]), whether its session has ended since, or a proof of the key that it
    /// is bound to ([`Claims::cnf`]).
    ///
    /// # Errors
    /// The first [`Reject`] in that order.
    pub fn verify(&self, token: &str, keys: &KeySet, now: i64) -> Result<Claims, Reject> {
        let token =
            Compact::parse_with_known_headers(token, |header| keys.expected_header(header))?;
        if !token.media_type().is_some_and(is_access_token_type) {
            return Err(Reject::WrongType);
        }
        keys.check(&token, &self.algorithms)?;
        let claims = Claims::parse(&token.payload()?)?;
        self.check_claims(&claims, now)?;
        Ok(claims)
    }

    /// Checks the claims that must be checked at every use of a token, even if its signature has been checked.
    pub(crate) fn check_claims(&self, claims: &Claims, now: i64) -> Result<(), Reject> {
        if claims.iss != self.issuer {
            return Err(Reject::WrongIssuer);
        }
        if !claims.aud.contains(&self.audience) {
            return Err(Reject::WrongAudience);
        }
        if self.has_expired(claims, now) {
            return Err(Reject::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(self.leeway_secs)) {
            return Err(Reject::NotYetValid);
        }
        Ok(())
    }

    pub(crate) fn has_expired(&self, claims: &Claims, now: i64) -> bool {
        now >= claims.exp.saturating_add(self.leeway_secs)
    }
}

/// True for `at+jwt` in any case, with or without the prefix `application/` (RFC 7515 §4.1.9, RFC 9068 §2.1).
fn is_access_token_type(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("at+jwt")
        || media_type.eq_ignore_ascii_case("application/at+jwt")
}
