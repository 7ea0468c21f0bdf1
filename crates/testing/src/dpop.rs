//! The key of a client, and the DPoP proofs that it makes (RFC 9449).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// An ES256 key.
#[derive(Debug)]
pub struct Key(EcdsaKeyPair);

impl Key {
    /// A new key.
    pub fn generate() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("a key");
        Self(EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref()).expect("the key just made"))
    }

    /// The public key (RFC 7517).
    pub fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    /// The thumbprint (RFC 7638 with SHA-256), in base64url.
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        hash(&format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]))
    }

    /// The header of a good proof (RFC 9449 §4.2).
    pub fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() })
    }

    /// A JWT with this header and these claims, whatever they are.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let input = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.0.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A proof with these claims.
    pub fn proof(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

/// The SHA-256 of a text, in base64url: the `ath` of an access token.
pub fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}
