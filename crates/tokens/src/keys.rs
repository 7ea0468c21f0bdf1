use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::jws::{Compact, Header};
use crate::{Algorithm, Reject};

/// A set of keys to check tokens with; each has an id and exactly **one** algorithm.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: BTreeMap<String, Key>,
    id: KeySetId,
}

/// The identity of a key set: shared by its clones, different for any other set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeySetId(pub(crate) u64);

impl Default for KeySetId {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Clone)]
struct Key {
    material: KeyMaterial,
    /// The members or the secret that the key was made from, to compare keys.
    #[cfg_attr(
        not(feature = "fetch"),
        expect(dead_code, reason = "only fetched sets are compared")
    )]
    source: Zeroizing<String>,
    /// The header of application tokens signed with this key, as the authority encodes it, and decoded.
    expected_header: (String, Header),
}

/// A parsed key.
#[derive(Clone)]
enum KeyMaterial {
    Ed25519(VerifyingKey),
    Other(Algorithm, DecodingKey),
}

/// The reason that a key set could not be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The JWKS is not a JSON object with an array `keys` of objects, or a secret is too short.
    #[error("not a JSON Web Key Set")]
    Malformed,
    /// Two keys have the same id.
    #[error("two keys have the id `{0}`")]
    DuplicateKeyId(String),
}

impl KeySet {
    /// Parses a JSON Web Key Set (RFC 7517 §5).
    ///
    /// Keys that cannot check a token are ignored, as the RFC asks: other types and curves, RSA below
    /// 2,048 bits, keys for encryption, keys without `kid`, and symmetric keys, which must not be published.
    ///
    /// # Errors
    /// [`KeySetError`]; a set without usable keys is not an error.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        let document: Value = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        let entries =
            document.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        let mut keys = BTreeMap::new();
        for entry in entries {
            let entry = entry.as_object().ok_or(KeySetError::Malformed)?;
            if let Some((id, key)) = Key::from_jwk(entry)
                && keys.insert(id.clone(), key).is_some()
            {
                return Err(KeySetError::DuplicateKeyId(id));
            }
        }
        Ok(Self { keys, id: KeySetId::default() })
    }

    /// Adds an HS256 secret of at least 32 bytes (RFC 7518 §3.2), for closed deployments.
    ///
    /// # Errors
    /// [`KeySetError::Malformed`] for a shorter secret, [`KeySetError::DuplicateKeyId`] for an id already in the set.
    pub fn with_secret(mut self, key_id: &str, secret: &[u8]) -> Result<Self, KeySetError> {
        if secret.len() < 32 {
            return Err(KeySetError::Malformed);
        }
        let material = KeyMaterial::Other(Algorithm::HS256, DecodingKey::from_secret(secret));
        let key = Key::new(key_id, material, URL_SAFE_NO_PAD.encode(secret));
        self.id = KeySetId::default();
        if self.keys.insert(key_id.to_owned(), key).is_some() {
            return Err(KeySetError::DuplicateKeyId(key_id.to_owned()));
        }
        Ok(self)
    }

    /// The keys of both sets; where both have an id, the key of `self`.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut keys = other.keys.clone();
        keys.extend(self.keys.clone());
        Self { keys, id: KeySetId::default() }
    }

    pub(crate) fn id(&self) -> KeySetId {
        self.id
    }

    /// True if `other` has the same keys under the same ids.
    #[cfg(feature = "fetch")]
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let same = |(id, key): (&String, &Key)| {
            other.keys.get(id).is_some_and(|found| found.source == key.source)
        };
        self.keys.len() == other.keys.len() && self.keys.iter().all(same)
    }

    /// The decoded header for this encoded text, if it is the expected header of one of the keys.
    pub(crate) fn expected_header(&self, encoded: &str) -> Option<&Header> {
        let mut expected = self.keys.values().map(|key| &key.expected_header);
        expected.find(|(text, _)| text == encoded).map(|(_, header)| header)
    }

    /// True if the set has no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// True if the set has a key with this id.
    pub fn contains(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// The ids of all keys, sorted.
    pub fn key_ids(&self) -> Vec<&str> {
        self.keys.keys().map(String::as_str).collect()
    }

    /// Checks the signature of a token.
    ///
    /// *Checks* that `alg` is allowed, that `kid` names a key here, that this key's one algorithm is `alg`,
    /// and the signature. *Does not check* any claim.
    ///
    /// # Errors
    /// The first [`Reject`] in that order.
    pub fn check(&self, token: &Compact<'_>, allowed: &[Algorithm]) -> Result<(), Reject> {
        let algorithm = token.algorithm();
        if !allowed.contains(&algorithm) {
            return Err(Reject::AlgorithmNotAllowed);
        }
        let key = token.key_id().and_then(|id| self.keys.get(id)).ok_or(Reject::UnknownKey)?;
        if key.material.algorithm() != algorithm {
            return Err(Reject::AlgorithmMismatch);
        }
        if key.material.verifies(token) { Ok(()) } else { Err(Reject::BadSignature) }
    }
}

impl KeyMaterial {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDSA,
            Self::Other(algorithm, _) => *algorithm,
        }
    }

    fn verifies(&self, token: &Compact<'_>) -> bool {
        let message = token.signing_input.as_bytes();
        match self {
            // Weak keys are not admitted, so for signatures by the key's owner this is as strict as `verify_strict`.
            Self::Ed25519(key) => token
                .short_signature
                .is_some_and(|bytes| key.verify(message, &Signature::from_bytes(&bytes)).is_ok()),
            Self::Other(algorithm, key) => {
                let algorithm = algorithm.jsonwebtoken();
                let valid = jsonwebtoken::crypto::verify(token.signature, message, key, algorithm);
                matches!(valid, Ok(true))
            }
        }
    }
}

impl Key {
    /// Parses a JWK (RFC 7517 §4); `None` for a key that cannot check a token.
    fn from_jwk(jwk: &Map<String, Value>) -> Option<(String, Self)> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("use") && member("use") != Some("sig") {
            return None;
        }
        let material = match (member("kty")?, member("crv")) {
            ("OKP", Some("Ed25519")) => {
                let point: [u8; 32] = URL_SAFE_NO_PAD.decode(member("x")?).ok()?.try_into().ok()?;
                let key = VerifyingKey::from_bytes(&point).ok().filter(|key| !key.is_weak())?;
                KeyMaterial::Ed25519(key)
            }
            ("EC", Some("P-256")) => {
                let key = DecodingKey::from_ec_components(member("x")?, member("y")?).ok()?;
                KeyMaterial::Other(Algorithm::ES256, key)
            }
            ("RSA", None) => {
                let modulus = member("n")?;
                if URL_SAFE_NO_PAD.decode(modulus).ok()?.len() < 256 {
                    return None;
                }
                let key = DecodingKey::from_rsa_components(modulus, member("e")?).ok()?;
                // Without `alg`, an RSA key is for RS256 here: a key has one algorithm.
                let algorithm = match member("alg") {
                    Some("PS256") => Algorithm::PS256,
                    _ => Algorithm::RS256,
                };
                KeyMaterial::Other(algorithm, key)
            }
            _ => return None,
        };
        if jwk.contains_key("alg") && member("alg") != Some(material.algorithm().name()) {
            return None;
        }
        let id = member("kid")?;
        let source: Vec<&str> =
            ["kty", "alg", "x", "y", "n", "e"].into_iter().filter_map(member).collect();
        Some((id.to_owned(), Self::new(id, material, source.join(" "))))
    }

    fn new(id: &str, material: KeyMaterial, source: String) -> Self {
        let (media_type, algorithm) = ("at+jwt", material.algorithm());
        let header = Header {
            algorithm,
            key_id: Some(id.to_owned()),
            media_type: Some(media_type.to_owned()),
        };
        let expected_header = (Header::encode(media_type, algorithm, id), header);
        Self { material, source: source.into(), expected_header }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("key_ids", &self.key_ids()).finish()
    }
}
