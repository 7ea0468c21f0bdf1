//! The way in which a client authenticates itself, as its metadata say.

use tokens::signed::{AsymmetricAlgorithm, parse_jwks};
use url::Url;

use super::client::{ClientMetadata, ClientType};
use super::client_assertion::MAX_KEYS;
use super::redirect_uri;

/// The way in which a client authenticates itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// By a secret, in the header or the body (`client_secret_basic`, `client_secret_post`).
    ClientSecret,
    /// By assertions that it signs (`private_key_jwt`).
    PrivateKeyJwt,
    /// Not at all (`none`).
    None,
}

impl ClientMetadata {
    /// Checks `jwks` and `jwks_uri`.
    ///
    /// # Errors
    /// A text that names the member and says what to change.
    pub(super) fn check_keys(&self) -> Result<(), String> {
        match (&self.jwks, &self.jwks_uri) {
            (None, None) => Ok(()),
            _ if self.kind == ClientType::Public => {
                Err("jwks, jwks_uri: a public app does not authenticate itself".to_owned())
            }
            (Some(_), Some(_)) => Err("jwks, jwks_uri: one of the two".to_owned()),
            (Some(jwks), None) => {
                let keys = parse_jwks(jwks, MAX_KEYS).ok_or(format!(
                    "jwks: a JSON Web Key Set of at most {MAX_KEYS} keys is needed"
                ))?;
                let declared = jwks["keys"].as_array().map_or(0, Vec::len);
                if keys.is_empty() || keys.len() < declared {
                    return Err("jwks: public keys alone, of RSA (2,048 bits at least), P-256 or Ed25519, for signatures".to_owned());
                }
                Ok(())
            }
            (None, Some(uri)) => match Url::parse(uri) {
                Ok(url) if url.fragment().is_some() || !url.username().is_empty() => {
                    Err(format!("jwks_uri: `{uri}` has a fragment or a user name"))
                }
                Ok(url)
                    if url.scheme() == "https"
                        || (url.scheme() == "http" && redirect_uri::is_loopback_literal(&url)) =>
                {
                    Ok(())
                }
                _ => Err(format!("jwks_uri: `{uri}` is not https")),
            },
        }
    }

    /// Whether it does not authenticate itself.
    pub fn is_public(&self) -> bool {
        self.authenticates_by() == ClientAuthentication::None
    }

    /// The one way in which it authenticates itself (RFC 7591 §2).
    pub fn authenticates_by(&self) -> ClientAuthentication {
        match self.kind {
            ClientType::Public => ClientAuthentication::None,
            _ if self.jwks.is_some() || self.jwks_uri.is_some() => {
                ClientAuthentication::PrivateKeyJwt
            }
            ClientType::Agent => ClientAuthentication::None,
            _ => ClientAuthentication::ClientSecret,
        }
    }

    /// Whether it is registered as the FAPI 2.0 Security Profile demands (§5.3.2.1, §5.3.2.2): it authenticates by its keys, pushes
    /// its requests, and has tokens that are bound to a key. Then it is held to what the profile demands beyond that.
    pub fn follows_fapi2(&self) -> bool {
        self.authenticates_by() == ClientAuthentication::PrivateKeyJwt
            && self.par
            && self.dpop_bound_access_tokens
    }

    /// Whether it may sign assertions and proofs with this algorithm (FAPI 2.0 Security Profile §5.4.1).
    pub fn may_sign_with(&self, algorithm: AsymmetricAlgorithm) -> bool {
        algorithm != AsymmetricAlgorithm::RS256 || !self.follows_fapi2()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokens::{Algorithm, SigningKey};

    use super::*;

    fn key() -> serde_json::Value {
        let private = SigningKey::generate(Algorithm::ES256).unwrap();
        SigningKey::from_private(Algorithm::ES256, &private).unwrap().public_jwk().unwrap()
    }

    #[test]
    fn keys_that_cannot_be_used_are_refused_at_registration() {
        let service = ClientMetadata::named("app", "App", ClientType::Service);
        let with_keys = |jwks| ClientMetadata { jwks: Some(jwks), ..service.clone() };
        let with_uri =
            |uri: &str| ClientMetadata { jwks_uri: Some(uri.to_owned()), ..service.clone() };
        let good = with_keys(json!({ "keys": [key()] }));
        assert_eq!(good.check(), Ok(()));
        assert_eq!(good.authenticates_by(), ClientAuthentication::PrivateKeyJwt);
        assert_eq!(service.authenticates_by(), ClientAuthentication::ClientSecret);
        let mut private = key();
        private["d"] = json!("AA");
        let many = vec![key(); MAX_KEYS + 1];
        for jwks in [
            json!({}),
            json!({ "keys": [] }),
            json!({ "keys": [key(), private] }),
            json!({ "keys": [{ "kty": "oct", "k": "AA" }] }),
            json!({ "keys": many }),
        ] {
            assert!(with_keys(jwks.clone()).check().unwrap_err().starts_with("jwks"), "{jwks}");
        }
        for uri in [
            "http://app.example/jwks",
            "https://app.example/#jwks",
            "https://u@app.example/",
            "/jwks",
        ] {
            assert!(with_uri(uri).check().unwrap_err().starts_with("jwks_uri"), "{uri}");
        }
        assert_eq!(with_uri("https://app.example/jwks").check(), Ok(()));
        let both =
            ClientMetadata { jwks_uri: with_uri("https://app.example/").jwks_uri, ..good.clone() };
        assert!(both.check().unwrap_err().contains("one of the two"));
        let mut public = ClientMetadata { kind: ClientType::Public, ..good };
        public.redirect_uris = vec!["https://app.example/cb".to_owned()];
        assert!(public.check().unwrap_err().contains("public"));
    }

    #[test]
    fn a_client_with_keys_pushed_requests_and_bound_tokens_signs_without_rs256() {
        let mut client = ClientMetadata::named("app", "App", ClientType::Confidential);
        client.jwks = Some(json!({ "keys": [key()] }));
        client.par = true;
        client.dpop_bound_access_tokens = true;
        assert!(client.follows_fapi2());
        let allowed = AsymmetricAlgorithm::ALL.map(|algorithm| client.may_sign_with(algorithm));
        assert_eq!(allowed, [false, true, true, true]);
        type Change = fn(&mut ClientMetadata);
        let changes: [Change; 3] = [
            |client| client.jwks = None,
            |client| client.par = false,
            |client| client.dpop_bound_access_tokens = false,
        ];
        for change in changes {
            let mut other = client.clone();
            change(&mut other);
            assert!(!other.follows_fapi2() && other.may_sign_with(AsymmetricAlgorithm::RS256));
        }
    }
}
