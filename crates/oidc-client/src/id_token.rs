//! Validation of ID tokens.

use std::time::Duration;

use foundation::time::Timestamp;
use serde_json::{Map, Value};
use tokens::jws::Compact;
use tokens::{Algorithm, Reject};

use crate::metadata::METADATA_MAX_AGE;
use crate::provider::{Provider, ProviderError};

/// Signature algorithms that are accepted.
const ALLOWED: [Algorithm; 4] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// Least time between two fetches of the keys that ID tokens with unknown keys cause.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(30);
/// Accepted difference between the provider's clock and this one, in seconds.
pub(crate) const LEEWAY: i64 = 60;

impl Provider {
    /// The claims of a token that a key of the provider has signed. An unknown key makes the keys be fetched again.
    pub(crate) async fn verified_claims(
        &self,
        token: &Compact<'_>,
        now: Timestamp,
    ) -> Result<Result<Map<String, Value>, Reject>, ProviderError> {
        let discovery = self.discovery(now, METADATA_MAX_AGE).await?;
        let mut checked = discovery.keys.check(token, &ALLOWED);
        if checked == Err(Reject::UnknownKey) {
            let discovery = self.discovery(now, UNKNOWN_KEY_INTERVAL).await?;
            checked = discovery.keys.check(token, &ALLOWED);
        }
        Ok(checked.and_then(|()| token.claims()))
    }

    /// Validates an ID token (OpenID Connect Core §3.1.3.7).
    ///
    /// Checks the signature, `iss`, `aud`, `azp`, `exp`, `nonce`, and that there is a `sub`. Does not check `iat`,
    /// `auth_time`, `acr` and `at_hash`.
    pub(crate) async fn validate_id_token(
        &self,
        text: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Map<String, Value>, ProviderError> {
        let invalid = |what: &str| ProviderError::InvalidResponse(format!("the ID token's {what}"));
        let token = Compact::parse(text).map_err(|reject| invalid(&reject.to_string()))?;
        let claims = self.verified_claims(&token, now).await?;
        let claims = claims.map_err(|reject| invalid(&reject.to_string()))?;
        let is =
            |name: &str, expected: &str| claims.get(name).and_then(Value::as_str) == Some(expected);
        let client_id = self.config.client_id.as_str();
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => one == client_id,
            // With several audiences, `azp` has to name this client.
            Some(Value::Array(many)) => {
                many.iter().any(|one| one == client_id) && (many.len() == 1 || is("azp", client_id))
            }
            _ => false,
        };
        let exp = claims.get("exp").and_then(Value::as_i64);
        if !is("iss", &self.config.issuer) {
            Err(invalid("issuer is another"))
        } else if !audience || (claims.contains_key("azp") && !is("azp", client_id)) {
            Err(invalid("audience is another"))
        } else if exp.is_none_or(|exp| exp + LEEWAY <= now.secs()) {
            Err(invalid("time is over"))
        } else if !is("nonce", nonce) {
            Err(invalid("nonce is another"))
        } else if claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
            Err(invalid("subject is missing"))
        } else {
            Ok(claims)
        }
    }
}
