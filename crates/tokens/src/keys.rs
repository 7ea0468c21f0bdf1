use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::jws::Compact;
use crate::{Algorithm, Reject};

/// The keys that tokens may be signed with: each has an id and **one** algorithm.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: HashMap<String, Key>,
}

#[derive(Clone)]
struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

/// Why a JWKS could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not a JSON object with an array `keys` of objects.
    #[error("not a JSON Web Key Set")]
    Malformed,
    /// Two keys have the same `kid`, so a token would not name one of them.
    #[error("two keys have the id `{0}`")]
    DuplicateKeyId(String),
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517 §5).
    ///
    /// Keys that cannot check a token are left out, as the RFC asks: other types and curves, RSA below
    /// 2,048 bits, keys for encryption, keys without `kid`, and symmetric keys, which never belong there.
    ///
    /// # Errors
    /// [`KeySetError`]; an empty set is no error.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        let document: Value = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        let entries =
            document.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        let mut keys = HashMap::with_capacity(entries.len());
        for entry in entries {
            let entry = entry.as_object().ok_or(KeySetError::Malformed)?;
            if let Some((id, key)) = Key::from_jwk(entry)
                && keys.insert(id.clone(), key).is_some()
            {
                return Err(KeySetError::DuplicateKeyId(id));
            }
        }
        Ok(Self { keys })
    }

    /// Adds an HS256 secret under its key id, for closed set-ups (at least 32 bytes, RFC 7518 §3.2).
    ///
    /// # Errors
    /// [`KeySetError::Malformed`] for a shorter secret, [`KeySetError::DuplicateKeyId`] for a taken id.
    pub fn with_secret(mut self, key_id: &str, secret: &[u8]) -> Result<Self, KeySetError> {
        if secret.len() < 32 {
            return Err(KeySetError::Malformed);
        }
        let key = Key { algorithm: Algorithm::HS256, decoding: DecodingKey::from_secret(secret) };
        if self.keys.insert(key_id.to_owned(), key).is_some() {
            return Err(KeySetError::DuplicateKeyId(key_id.to_owned()));
        }
        Ok(self)
    }

    /// All keys of both; this set's win where both have an id.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut keys = other.keys.clone();
        keys.extend(self.keys.clone());
        Self { keys }
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether there is a key of this id.
    pub fn contains(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// The ids of all keys, sorted.
    pub fn key_ids(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self.keys.keys().map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }

    /// Decides whether the signature of a token holds.
    ///
    /// *Checks* that `alg` is allowed, that `kid` names a key here, that this key's one algorithm is `alg`,
    /// and the signature. *Does not check* any claim.
    ///
    /// # Errors
    /// The first [`Reject`] in that order.
    pub fn check(&self, token: &Compact<'_>, allowed: &[Algorithm]) -> Result<(), Reject> {
        if !allowed.contains(&token.algorithm) {
            return Err(Reject::AlgorithmNotAllowed);
        }
        let key =
            token.key_id.as_ref().and_then(|id| self.keys.get(id)).ok_or(Reject::UnknownKey)?;
        if key.algorithm != token.algorithm {
            return Err(Reject::AlgorithmMismatch);
        }
        let holds = jsonwebtoken::crypto::verify(
            token.signature,
            token.signing_input.as_bytes(),
            &key.decoding,
            key.algorithm.jsonwebtoken(),
        );
        if matches!(holds, Ok(true)) { Ok(()) } else { Err(Reject::BadSignature) }
    }
}

impl Key {
    /// `None` for a key that cannot check a token.
    fn from_jwk(jwk: &Map<String, Value>) -> Option<(String, Self)> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("use") && member("use") != Some("sig") {
            return None;
        }
        let (algorithm, decoding) = match (member("kty")?, member("crv")) {
            ("OKP", Some("Ed25519")) => {
                (Algorithm::EdDSA, DecodingKey::from_ed_components(member("x")?))
            }
            ("EC", Some("P-256")) => {
                (Algorithm::ES256, DecodingKey::from_ec_components(member("x")?, member("y")?))
            }
            ("RSA", None) => {
                let modulus = member("n")?;
                if URL_SAFE_NO_PAD.decode(modulus).ok()?.len() < 256 {
                    return None;
                }
                (Algorithm::RS256, DecodingKey::from_rsa_components(modulus, member("e")?))
            }
            _ => return None,
        };
        if jwk.contains_key("alg") && member("alg") != Some(algorithm.name()) {
            return None;
        }
        Some((member("kid")?.to_owned(), Self { algorithm, decoding: decoding.ok()? }))
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("key_ids", &self.key_ids()).finish()
    }
}
