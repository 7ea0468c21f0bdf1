//! Nonces for DPoP proofs (RFC 9449 §8), and the proofs that were used.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::seal::MasterSecret;
use foundation::time::Timestamp;
use tokens::dpop::{Proof, ProofError, ReplayCache};

/// The time for which a nonce is given out, in seconds. It is accepted for as long again.
const NONCE_PERIOD: i64 = 180;
/// Bytes of the MAC in a nonce.
const MAC_BYTES: usize = 16;

/// Makes and accepts nonces without keeping any: a nonce is the number of its period and a MAC under the server's secret, so
/// that every replica accepts what another has made.
#[derive(derive_more::Debug)]
#[debug("Dpop(…)")]
pub struct Dpop {
    /// One for each line of the secret, the newest first.
    keys: Vec<hmac::Key>,
    used: ReplayCache,
}

impl Dpop {
    /// For these secrets, newest first.
    pub fn new(secrets: &[MasterSecret]) -> Self {
        let keys = secrets.iter().map(|secret| secret.mac_key("dpop-nonce")).collect();
        Self { keys, used: ReplayCache::default() }
    }

    /// The nonce of this moment.
    pub fn nonce(&self, now: Timestamp) -> String {
        let period = now.secs().div_euclid(NONCE_PERIOD).to_be_bytes();
        let mac = hmac::sign(&self.keys[0], &period);
        URL_SAFE_NO_PAD.encode([&period[..], &mac.as_ref()[..MAC_BYTES]].concat())
    }

    /// Whether this is a nonce of the present period, or of one beside it.
    pub fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((period, mac)) = bytes.split_first_chunk::<8>() else { return false };
        let distance = i64::from_be_bytes(*period).abs_diff(now.secs().div_euclid(NONCE_PERIOD));
        distance <= 1
            && self.keys.iter().any(|key| {
                let expected = hmac::sign(key, period);
                subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..MAC_BYTES], mac).into()
            })
    }

    /// Notes that a proof is used at this replica.
    ///
    /// # Errors
    /// [`ProofError::Replayed`], [`ProofError::TooMany`].
    pub fn use_once(&self, proof: &Proof, now: Timestamp) -> Result<(), ProofError> {
        self.used.check(proof, now.secs())
    }
}
