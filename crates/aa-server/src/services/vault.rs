//! Encrypts what the database or a browser keeps for the authority, under the newest line of the server's secret; what was
//! encrypted under an older line can still be read.

use foundation::seal::{MasterSecret, Seal, UnsealError};
use zeroize::Zeroizing;

/// Encrypts for one purpose.
#[derive(derive_more::Debug)]
#[debug("Vault(…)")]
pub struct Vault(Vec<Seal>);

impl Vault {
    /// A vault for this purpose under these secrets, newest first. There is at least one.
    pub fn new(secrets: &[MasterSecret], purpose: &str) -> Self {
        Self(secrets.iter().map(|secret| secret.seal(purpose)).collect())
    }

    /// Encrypts. The context has to be given again to decrypt.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        self.0[0].seal(context, plain)
    }

    /// Decrypts.
    ///
    /// # Errors
    /// When it was altered, belongs to another context, or was encrypted under none of the secrets.
    pub fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        self.0.iter().find_map(|seal| seal.unseal(context, sealed).ok()).ok_or(UnsealError)
    }

    /// The line of the secret, from 0, under which something was encrypted.
    pub fn line_of(&self, context: &[u8], sealed: &[u8]) -> Option<usize> {
        self.0.iter().position(|seal| seal.unseal(context, sealed).is_ok())
    }
}
