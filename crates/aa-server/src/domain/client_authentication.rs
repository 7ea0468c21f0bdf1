//! The way in which a client authenticates itself, as its metadata say.

use tokens::signed::parse_jwks;
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

    /// The one way in which it authenticates itself (RFC 7591 §2).
    pub fn authenticates_by(&self) -> ClientAuthentication {
        match self.kind {
            ClientType::Public => ClientAuthentication::None,
            _ if self.jwks.is_some() || self.jwks_uri.is_some() => {
                ClientAuthentication::PrivateKeyJwt
            }
            _ => ClientAuthentication::ClientSecret,
        }
    }
}
