use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::Algorithm;
use crate::jws::Header;

/// A parsed private key that signs tokens. Its `Debug` shows only the id.
pub struct SigningKey {
    id: String,
    pair: Pair,
    /// The encoded header of application tokens.
    access_token_header: String,
}

/// The media type of application tokens (RFC 9068 §2.1).
const ACCESS_TOKEN: &str = "at+jwt";

enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(Box<EcdsaKeyPair>),
    /// The padding is RS256's or PS256's. A key is for one of the two.
    Rsa(Algorithm, Box<RsaKeyPair>),
    Hs256(Box<hmac::Key>),
}

/// A failure to make, read or use a signing key.
#[derive(Debug, thiserror::Error)]
#[error("the {0} key could not be {1}")]
pub struct SignError(Algorithm, &'static str);

impl SigningKey {
    /// Generates a private key: PKCS#8, or 32 random bytes for HS256.
    ///
    /// RSA (2,048 bits) takes 70 to 400 ms: do not call it on an async thread.
    ///
    /// # Errors
    /// [`SignError`] when the system's random source fails.
    pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, SignError> {
        let random = SystemRandom::new();
        let failed = SignError(algorithm, "made");
        let private = match algorithm {
            Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8v1(&random)
                .map(|document| document.as_ref().to_vec())
                .map_err(|_| failed)?,
            Algorithm::ES256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map(|document| document.as_ref().to_vec())
                    .map_err(|_| failed)?
            }
            Algorithm::RS256 | Algorithm::PS256 => {
                let pair = rsa::KeyPair::generate(KeySize::Rsa2048)
                    .map_err(|_| SignError(algorithm, "made"))?;
                pair.as_der().map_err(|_| failed)?.as_ref().to_vec()
            }
            Algorithm::HS256 => {
                let mut secret = vec![0; 32];
                aws_lc_rs::rand::fill(&mut secret).map_err(|_| failed)?;
                secret
            }
        };
        Ok(Zeroizing::new(private))
    }

    /// Parses a private key made by [`SigningKey::generate`]. The key id is the RFC 7638 thumbprint of the
    /// public key (for HS256, a hash of the secret's hash).
    ///
    /// # Errors
    /// [`SignError`] when `private` is not such a key.
    pub fn from_private(algorithm: Algorithm, private: &[u8]) -> Result<Self, SignError> {
        let failed = |_| SignError(algorithm, "read");
        let pair = match algorithm {
            Algorithm::EdDSA => Pair::EdDsa(Ed25519KeyPair::from_pkcs8(private).map_err(failed)?),
            Algorithm::ES256 => Pair::Es256(Box::new(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private)
                    .map_err(failed)?,
            )),
            Algorithm::RS256 | Algorithm::PS256 => {
                Pair::Rsa(algorithm, Box::new(RsaKeyPair::from_pkcs8(private).map_err(failed)?))
            }
            Algorithm::HS256 if private.len() >= 32 => {
                Pair::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, private)))
            }
            Algorithm::HS256 => return Err(SignError(algorithm, "read")),
        };
        let thumbprint = match pair.public_members() {
            Some(members) => digest(&SHA256, members.to_string().as_bytes()),
            None => digest(&SHA256, digest(&SHA256, private).as_ref()),
        };
        let id = URL_SAFE_NO_PAD.encode(thumbprint);
        let access_token_header = Header::encode(ACCESS_TOKEN, algorithm, &id);
        Ok(Self { id, pair, access_token_header })
    }

    /// The key id (`kid`).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The algorithm of this key.
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::EdDsa(_) => Algorithm::EdDSA,
            Pair::Es256(_) => Algorithm::ES256,
            Pair::Rsa(algorithm, _) => algorithm,
            Pair::Hs256(_) => Algorithm::HS256,
        }
    }

    /// The public key as a JWK (RFC 7517 §4); `None` for HS256, which has no public part.
    pub fn public_jwk(&self) -> Option<Value> {
        let mut jwk = self.pair.public_members()?;
        jwk["kid"] = json!(self.id);
        jwk["alg"] = json!(self.algorithm().name());
        jwk["use"] = json!("sig");
        Some(jwk)
    }

    /// Signs `claims` as a compact JWS with `typ`, `alg` and `kid` in its header.
    ///
    /// # Errors
    /// [`SignError`] when the claims cannot be written as JSON, or signing fails.
    pub fn sign(&self, media_type: &str, claims: &impl Serialize) -> Result<String, SignError> {
        let failed = || SignError(self.algorithm(), "used");
        let claims = serde_json::to_vec(claims).map_err(|_| failed())?;
        let mut token =
            String::with_capacity(self.access_token_header.len() + claims.len() * 4 / 3 + 400);
        if media_type == ACCESS_TOKEN {
            token.push_str(&self.access_token_header);
        } else {
            token.push_str(&Header::encode(media_type, self.algorithm(), &self.id));
        }
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.pair.sign(token.as_bytes()).ok_or_else(failed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl Pair {
    /// The members that RFC 7638 §3.2 hashes, in the order it hashes them.
    fn public_members(&self) -> Option<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::EdDsa(pair) => Some(
                json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref()) }),
            ),
            Self::Es256(pair) => {
                // SEC 1 §2.3.3, uncompressed: 0x04 ‖ x ‖ y.
                let point = pair.public_key().as_ref();
                let (x, y) = (point.get(1..33)?, point.get(33..65)?);
                Some(json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) }))
            }
            Self::Rsa(_, pair) => {
                let public = pair.public_key();
                let n = encode(public.modulus().big_endian_without_leading_zero());
                let e = encode(public.exponent().big_endian_without_leading_zero());
                Some(json!({ "e": e, "kty": "RSA", "n": n }))
            }
            Self::Hs256(_) => None,
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::EdDsa(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Self::Es256(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Rsa(algorithm, pair) => {
                let padding = match algorithm {
                    Algorithm::PS256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::Hs256(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}
