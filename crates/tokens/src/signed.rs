//! JWTs that are signed with a private key of their sender: the assertions that clients authenticate by (RFC 7523 §3),
//! and DPoP proofs (RFC 9449).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::jws::MAX_TOKEN_BYTES;
use crate::{Reject, strict_json};

/// A signature algorithm with a private key (RFC 7518 §3.1, RFC 8037 §3.1). Algorithms with a shared secret and `none` have
/// no variant, so they cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsymmetricAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    RS256,
    /// RSA PSS with SHA-256.
    PS256,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl AsymmetricAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDSA];

    /// The name in a JOSE header (`alg`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A parsed JWT. **Its content is not authenticated** until [`SignedJwt::is_signed_by`] is true.
#[derive(Clone)]
pub struct SignedJwt {
    text: String,
    algorithm: AsymmetricAlgorithm,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl SignedJwt {
    /// Parses a JWT.
    ///
    /// *Checks* size (8 KiB), three non-empty parts, strict base64url without padding, header and claims that are one JSON
    /// object each without duplicate members, an asymmetric `alg`, the absence of `crit`. *Does not check* the signature or
    /// any claim.
    ///
    /// # Errors
    /// The [`Reject`] for the first fault found.
    pub fn parse(text: &str) -> Result<Self, Reject> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Reject::TooLarge);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts[..] else { return Err(Reject::Malformed) };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Reject::Malformed);
        if decode(signature)?.is_empty() {
            return Err(Reject::Malformed);
        }
        let header = strict_json::parse_object(&decode(header)?)?;
        if header.contains_key("crit") {
            return Err(Reject::Critical);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Reject::Malformed)?;
        let algorithm =
            AsymmetricAlgorithm::from_name(algorithm).ok_or(Reject::AlgorithmNotAllowed)?;
        let claims = strict_json::parse_object(&decode(payload)?)?;
        Ok(Self { text: text.to_owned(), algorithm, header, claims })
    }

    /// The `alg` of the header.
    pub fn algorithm(&self) -> AsymmetricAlgorithm {
        self.algorithm
    }

    /// A member of the header.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.header.get(name)
    }

    /// A member of the header that is text.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(Value::as_str)
    }

    /// A claim.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// A claim that is text.
    pub fn claim_text(&self, name: &str) -> Option<&str> {
        self.claim(name).and_then(Value::as_str)
    }

    /// A claim that is a time in seconds since 1970 (`NumericDate`, RFC 7519 §2), cut to whole seconds.
    ///
    /// # Errors
    /// [`Reject::InvalidClaim`] when the claim is no such number.
    pub fn claim_time(&self, name: &'static str) -> Result<Option<i64>, Reject> {
        let Some(value) = self.claim(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds));
        #[expect(clippy::cast_possible_truncation, reason = "it is in range, and cut on purpose")]
        seconds.map(|seconds| Some(seconds as i64)).ok_or(Reject::InvalidClaim(name))
    }

    /// Whether the signature is by the private part of this key, with an algorithm that the key is for.
    pub fn is_signed_by(&self, key: &PublicJwk) -> bool {
        let Some((input, signature)) = self.text.rsplit_once('.') else { return false };
        key.verifies(self.algorithm, input.as_bytes(), signature)
    }
}

impl fmt::Debug for SignedJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedJwt").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A public key as a JSON Web Key (RFC 7517 §4).
#[derive(Clone)]
pub struct PublicJwk {
    id: Option<String>,
    /// The one algorithm that the key is for, if it says so.
    only: Option<AsymmetricAlgorithm>,
    material: Material,
    /// The members that make the key what it is, in the order of their names (RFC 7638 §3).
    #[cfg(feature = "dpop")]
    canonical: String,
}

#[derive(Clone)]
enum Material {
    Rsa(DecodingKey),
    P256(DecodingKey),
    Ed25519(Box<VerifyingKey>),
}

impl PublicJwk {
    /// Parses a key. `None` for one that cannot check a signature here: another type or curve, RSA below 2,048 bits or above
    /// 8,192, a key for encryption, a weak key, one with a private part.
    pub fn parse(jwk: &Map<String, Value>) -> Option<Self> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        let decoded = |name: &str| URL_SAFE_NO_PAD.decode(member(name)?).ok();
        if jwk.contains_key("d") || jwk.contains_key("k") {
            return None;
        }
        if jwk.contains_key("use") && member("use") != Some("sig") {
            return None;
        }
        let material = match (member("kty")?, member("crv")) {
            ("RSA", None) => {
                if !(256..=1024).contains(&decoded("n")?.len()) {
                    return None;
                }
                Material::Rsa(DecodingKey::from_rsa_components(member("n")?, member("e")?).ok()?)
            }
            ("EC", Some("P-256")) => {
                if decoded("x")?.len() != 32 || decoded("y")?.len() != 32 {
                    return None;
                }
                Material::P256(DecodingKey::from_ec_components(member("x")?, member("y")?).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                let point: [u8; 32] = decoded("x")?.try_into().ok()?;
                let key = VerifyingKey::from_bytes(&point).ok().filter(|key| !key.is_weak())?;
                Material::Ed25519(Box::new(key))
            }
            _ => return None,
        };
        let only = match jwk.get("alg") {
            None => None,
            Some(name) => Some(AsymmetricAlgorithm::from_name(name.as_str()?)?),
        };
        Some(Self {
            id: member("kid").map(str::to_owned),
            only,
            material,
            #[cfg(feature = "dpop")]
            canonical: {
                let named = |name| Some((name, member(name)?));
                let members: std::collections::BTreeMap<&str, &str> =
                    ["crv", "e", "kty", "n", "x", "y"].into_iter().filter_map(named).collect();
                serde_json::to_string(&members).ok()?
            },
        })
    }

    /// The `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The thumbprint (RFC 7638 with SHA-256), in base64url.
    #[cfg(feature = "dpop")]
    pub fn thumbprint(&self) -> String {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.canonical.as_bytes());
        URL_SAFE_NO_PAD.encode(hash)
    }

    fn verifies(&self, algorithm: AsymmetricAlgorithm, input: &[u8], signature: &str) -> bool {
        if self.only.is_some_and(|only| only != algorithm) {
            return false;
        }
        let (key, algorithm) = match (&self.material, algorithm) {
            (Material::Rsa(key), AsymmetricAlgorithm::RS256) => {
                (key, jsonwebtoken::Algorithm::RS256)
            }
            (Material::Rsa(key), AsymmetricAlgorithm::PS256) => {
                (key, jsonwebtoken::Algorithm::PS256)
            }
            (Material::P256(key), AsymmetricAlgorithm::ES256) => {
                (key, jsonwebtoken::Algorithm::ES256)
            }
            (Material::Ed25519(key), AsymmetricAlgorithm::EdDSA) => {
                let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
                return Signature::from_slice(&signature)
                    .is_ok_and(|signature| key.verify(input, &signature).is_ok());
            }
            _ => return false,
        };
        matches!(jsonwebtoken::crypto::verify(signature, input, key, algorithm), Ok(true))
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicJwk").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys of a JSON Web Key Set that [`PublicJwk::parse`] accepts, at most `most` of them; `None` when it is no such set, or
/// a larger one.
pub fn parse_jwks(document: &Value, most: usize) -> Option<Vec<PublicJwk>> {
    let entries = document.get("keys")?.as_array()?;
    if entries.len() > most {
        return None;
    }
    let objects: Option<Vec<_>> = entries.iter().map(Value::as_object).collect();
    Some(objects?.into_iter().filter_map(PublicJwk::parse).collect())
}
