//! The user of a session, and whether the provider's word about an email address counts.

use std::convert::Infallible;
use std::str::FromStr;

use serde_json::{Map, Value};

/// When an email address counts.
///
/// With some providers anybody can claim any address, or the administrator of any tenant can. An app that recognises
/// users by it would take one user for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailTrust {
    /// When this claim of the ID token is true: `email_verified` (OpenID Connect Core §5.1), or Entra's `xms_edov`.
    Claim(String),
    /// Always: this provider's addresses are known to be right.
    Always,
}

impl Default for EmailTrust {
    fn default() -> Self {
        Self::Claim("email_verified".to_owned())
    }
}

impl FromStr for EmailTrust {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "always" { Self::Always } else { Self::Claim(text.to_owned()) })
    }
}

impl EmailTrust {
    fn covers(&self, claims: &Map<String, Value>) -> bool {
        match self {
            Self::Always => true,
            // Some providers write booleans as strings, Entra also as a number.
            Self::Claim(name) => claims.get(name).is_some_and(|claim| match claim {
                Value::Bool(is_true) => *is_true,
                Value::String(text) => text == "true" || text == "1",
                Value::Number(number) => number.as_u64() == Some(1),
                _ => false,
            }),
        }
    }
}

/// The user of a session.
#[derive(Debug, Clone)]
pub struct User {
    /// Claims of the ID token, without an `email` that does not count.
    pub claims: Map<String, Value>,
}

impl User {
    /// The user with these claims of a validated ID token.
    pub fn new(mut claims: Map<String, Value>, trust: &EmailTrust) -> Self {
        if !trust.covers(&claims) {
            claims.remove("email");
        }
        Self { claims }
    }

    /// The claims that apps show to their front ends: `sub`, `name`, and `email` if it counts.
    pub fn profile(&self) -> Value {
        let names = ["sub", "name", "email"];
        let claims = names.map(|name| (name.to_owned(), self.claims.get(name).cloned()));
        Value::Object(claims.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_counts_when_the_provider_vouches_for_it() {
        let told = |trust: &str, claim: Value| {
            let mut claims = json!({ "sub": "ann", "email": "ann@example.com" });
            claims.as_object_mut().unwrap().extend(claim.as_object().unwrap().clone());
            let Value::Object(claims) = claims else { unreachable!() };
            User::new(claims, &trust.parse().unwrap()).profile().get("email").is_some()
        };
        for (trust, claim, expected) in [
            ("email_verified", json!({ "email_verified": true }), true),
            ("email_verified", json!({ "email_verified": "true" }), true),
            ("email_verified", json!({ "email_verified": false }), false),
            ("email_verified", json!({ "email_verified": "false" }), false),
            ("email_verified", json!({ "email_verified": ["true"] }), false),
            ("email_verified", json!({ "email_verified": null }), false),
            ("email_verified", json!({ "xms_edov": true }), false),
            ("email_verified", json!({}), false),
            ("xms_edov", json!({ "xms_edov": 1 }), true),
            ("xms_edov", json!({ "xms_edov": "1" }), true),
            ("xms_edov", json!({ "xms_edov": 0 }), false),
            ("xms_edov", json!({ "email_verified": true }), false),
            ("always", json!({}), true),
        ] {
            assert_eq!(told(trust, claim.clone()), expected, "{trust} {claim}");
        }
        assert_eq!("email_verified".parse(), Ok(EmailTrust::default()));
    }
}
