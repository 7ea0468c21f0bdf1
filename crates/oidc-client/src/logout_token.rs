//! Validation of logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.6).

use foundation::time::Timestamp;
use serde_json::Value;
use tokens::jws::Compact;

use crate::id_token::LEEWAY;
use crate::provider::{Provider, ProviderError};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The longest life of a logout token that is accepted, in seconds: one that was caught cannot be used much later.
const MAX_LIFE: i64 = 600;

/// A validated logout token: it names a session, a user, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// The user: the `sub` of ID tokens.
    pub sub: Option<String>,
    /// The session: the `sid` of ID tokens.
    pub sid: Option<String>,
    /// The time of its issue. Sessions that began later are not meant.
    pub issued_at: Timestamp,
}

impl Provider {
    /// Validates a logout token.
    ///
    /// *Checks* the signature, `typ` (if it is there, as older providers leave it out), `iss`, `aud`, `iat`, `exp`, the
    /// event, that there is a `sub` or `sid`, and that there is no `nonce`, so that no ID token passes for one. *Does not
    /// check* whether `jti` was seen before: the same token ends nothing that began after it.
    ///
    /// # Errors
    /// [`ProviderError::InvalidResponse`]; or another when the provider's keys cannot be had.
    pub async fn validate_logout_token(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<LogoutToken, ProviderError> {
        let invalid =
            |what: &str| ProviderError::InvalidResponse(format!("the logout token's {what}"));
        let token = Compact::parse(text).map_err(|reject| invalid(&reject.to_string()))?;
        if token.media_type().is_some_and(|media_type| {
            !["logout+jwt", "application/logout+jwt", "JWT"].contains(&media_type)
        }) {
            return Err(invalid("type is another"));
        }
        let claims = self.verified_claims(&token, now).await?;
        let claims = claims.map_err(|reject| invalid(&reject.to_string()))?;
        let text = |name: &str| {
            let text = claims.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let number = |name: &str| claims.get(name).and_then(Value::as_i64);
        let client_id = self.config.client_id.as_str();
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => one == client_id,
            Some(Value::Array(many)) => many.iter().any(|one| one == client_id),
            _ => false,
        };
        let event = claims.get("events").and_then(|events| events.get(EVENT));
        let (sub, sid) = (text("sub"), text("sid"));
        let issued_at = number("iat").ok_or_else(|| invalid("time of issue is missing"))?;
        // Early versions had no `exp`; a token without one counts for a while.
        let exp = match claims.get("exp") {
            Some(exp) => exp.as_i64().ok_or_else(|| invalid("end cannot be read"))?,
            None => i64::MAX,
        };
        let exp = exp.min(issued_at.saturating_add(MAX_LIFE));
        if text("iss").as_deref() != Some(self.config.issuer.as_str()) {
            Err(invalid("issuer is another"))
        } else if !audience {
            Err(invalid("audience is another"))
        } else if issued_at > now.secs() + LEEWAY || exp + LEEWAY <= now.secs() {
            Err(invalid("time is over or has not come"))
        } else if !event.is_some_and(Value::is_object) {
            Err(invalid("event is missing"))
        } else if claims.contains_key("nonce") {
            Err(invalid("nonce is there"))
        } else if sub.is_none() && sid.is_none() {
            Err(invalid("subject and session are missing"))
        } else {
            let issued_at = Timestamp::from_millis(issued_at.saturating_mul(1000));
            Ok(LogoutToken { sub, sid, issued_at })
        }
    }
}
