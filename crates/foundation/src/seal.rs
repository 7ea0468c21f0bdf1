//! Secrets at rest: keys derived from a program's secret, and sealing under them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

/// A program's secret, from which a key for each purpose is derived (HKDF-SHA-256, RFC 5869).
#[derive(derive_more::Debug)]
#[debug("MasterSecret(…)")]
pub struct MasterSecret(Zeroizing<Vec<u8>>);

impl MasterSecret {
    /// The least length of a secret, in bytes.
    pub const MIN_BYTES: usize = 32;

    /// A secret of these bytes; `None` if they are fewer than 32.
    pub fn new(secret: Vec<u8>) -> Option<Self> {
        let secret = Zeroizing::new(secret);
        (secret.len() >= Self::MIN_BYTES).then_some(Self(secret))
    }

    /// The 32-byte key for one purpose. Keys for different purposes are independent.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"authority/v1")
            .extract(&self.0)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut_slice()))
            .expect("32 bytes are within what HKDF-SHA-256 gives");
        key
    }

    /// An HMAC-SHA-256 key for one purpose.
    pub fn mac_key(&self, purpose: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive(purpose).as_slice())
    }

    /// A [`Seal`] for one purpose.
    pub fn seal(&self, purpose: &str) -> Seal {
        Seal::new(&self.derive(purpose))
    }
}

/// Encrypts small secrets at rest: AES-256-GCM with a random nonce, bound to a context.
#[derive(derive_more::Debug)]
#[debug("Seal(…)")]
pub struct Seal(RandomizedNonceKey);

/// The sealed bytes cannot be decrypted with this key in this context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data cannot be decrypted: wrong secret, wrong place, or altered")]
pub struct UnsealError;

impl Seal {
    /// A seal with this key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key has the right length"))
    }

    /// Encrypts `plain`: nonce ‖ ciphertext ‖ tag. `context` is authenticated and has to be given again to decrypt.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(context), &mut body)
            .expect("small data can always be sealed");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        sealed
    }

    /// Decrypts the output of [`Seal::seal`] for the same context.
    pub fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(UnsealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(context), &mut body)
            .map_err(|_| UnsealError)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_whole_in_its_place_and_with_its_key() {
        let secret = MasterSecret::new(vec![7; 32]).unwrap();
        let seal = secret.seal("test");
        let sealed = seal.seal(b"row 1", b"private");
        assert_eq!(seal.unseal(b"row 1", &sealed).unwrap().as_slice(), b"private");
        assert_eq!(seal.unseal(b"row 2", &sealed), Err(UnsealError));
        assert_eq!(secret.seal("other").unseal(b"row 1", &sealed), Err(UnsealError));
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert_eq!(seal.unseal(b"row 1", &altered), Err(UnsealError), "byte {index}");
            assert_eq!(seal.unseal(b"row 1", &sealed[..index]), Err(UnsealError));
        }
        assert_ne!(sealed, seal.seal(b"row 1", b"private"), "the nonce is fresh");
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(MasterSecret::new(vec![1; 31]).is_none());
    }
}
