//! Signing keys: rows that all replicas share, their private parts sealed under the server's secret.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foundation::seal::{MasterSecret, Seal};
use foundation::time::Timestamp;
use serde_json::{Value, json};
use tokens::{Algorithm, KeySet, SigningKey};
use tracing::warn;
use zeroize::Zeroizing;

use crate::store::{self, KeyRow, Store};

/// The algorithms that have a key from the start. HS256 keys are made for one audience, on demand.
pub const PUBLISHED: [Algorithm; 4] =
    [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::PS256];
/// The time for which a new key is announced, in the JWKS, before it signs.
pub const ANNOUNCED_AHEAD: Duration = Duration::from_mins(10);
/// The interval at which replicas read the keys.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(15);
/// The time for which caches may keep the JWKS (`max-age`, RFC 9111 §5.2.2.1).
pub const JWKS_MAX_AGE: Duration = Duration::from_mins(1);
/// The longest interval at which verifiers are told to fetch the JWKS (`docs/integrating.md`), with a failed try.
const VERIFIER_INTERVAL: Duration = Duration::from_mins(6);

// A key that is not in a verifier's copy of the JWKS cannot sign yet.
const _: () = assert!(
    RELOAD_INTERVAL.as_secs() + JWKS_MAX_AGE.as_secs() + VERIFIER_INTERVAL.as_secs()
        < ANNOUNCED_AHEAD.as_secs()
);

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database did not answer, or not well.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A private key cannot be opened with any of the server's secrets.
    #[error("the key {0} cannot be opened with the server's secret")]
    Unseal(String),
    /// A key cannot be made or read.
    #[error(transparent)]
    Sign(#[from] tokens::SignError),
    /// There is none for this.
    #[error("there is no {algorithm} key for {audience}")]
    None {
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// The audience asked for.
        audience: String,
    },
}

/// The keys of this moment, and what seals them.
#[derive(derive_more::Debug)]
#[debug("Keyring(…)")]
pub struct Keyring {
    seals: Vec<Seal>,
    ring: RwLock<Arc<Ring>>,
}

#[derive(Default)]
struct Ring {
    keys: Vec<Key>,
    jwks: Value,
    public: KeySet,
}

struct Key {
    signing: SigningKey,
    audience: String,
    signs_from: Timestamp,
    retires_at: Option<Timestamp>,
}

impl Keyring {
    /// A keyring without keys yet, for these secrets, newest first.
    pub fn new(secrets: &[MasterSecret]) -> Self {
        Self {
            seals: secrets.iter().map(|secret| secret.seal("signing-keys")).collect(),
            ring: RwLock::default(),
        }
    }

    /// Reads the keys again: other replicas may have made some, and some may have retired.
    ///
    /// A key that cannot be opened is left out and reported, while another one of its algorithm can be.
    ///
    /// # Errors
    /// [`KeyError`]; the keys known stay. [`KeyError::Unseal`] when none of the keys of a published algorithm can be opened.
    pub async fn reload(&self, store: &Store, now: Timestamp) -> Result<(), KeyError> {
        let rows = store.keys(now).await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            match self.open(row) {
                Ok(key) => keys.push(key),
                Err(error @ KeyError::Unseal(_)) => {
                    warn!(%error, algorithm = row.algorithm, audience = row.audience, "a signing key is left out");
                }
                Err(error) => return Err(error),
            }
        }
        for algorithm in PUBLISHED {
            let lost = rows.iter().find(|row| row.algorithm == algorithm.name());
            if let Some(lost) = lost
                && !keys.iter().any(|key| key.serves(algorithm, ""))
            {
                return Err(KeyError::Unseal(lost.kid.clone()));
            }
        }
        let public: Vec<Value> = keys.iter().filter_map(|key| key.signing.public_jwk()).collect();
        let jwks = json!({ "keys": public });
        let public = KeySet::from_jwks(jwks.to_string().as_bytes()).unwrap_or_default();
        let ring = Ring { keys, jwks, public };
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    fn open(&self, row: &KeyRow) -> Result<Key, KeyError> {
        let algorithm: Algorithm =
            row.algorithm.parse().map_err(|_| store::Error::Inconsistent {
                table: "signing_keys",
                column: "algorithm",
                row: row.kid.clone(),
            })?;
        let (_, private) = self.unseal(row).ok_or_else(|| KeyError::Unseal(row.kid.clone()))?;
        Ok(Key {
            signing: SigningKey::from_private(algorithm, &private)?,
            audience: row.audience.clone(),
            signs_from: row.signs_from,
            retires_at: row.retires_at,
        })
    }

    /// The private part of a key, and which line of the secret has opened it, from 0; `None` if none does.
    fn unseal(&self, row: &KeyRow) -> Option<(usize, Zeroizing<Vec<u8>>)> {
        self.seals.iter().enumerate().find_map(|(line, seal)| {
            let private = seal.unseal(row.kid.as_bytes(), &row.private_key).ok()?;
            Some((line, Zeroizing::new(private.to_vec())))
        })
    }

    /// The line of the secret that a key is sealed under, from 0; `None` if it is none of them.
    pub fn line_of(&self, row: &KeyRow) -> Option<usize> {
        self.unseal(row).map(|(line, _)| line)
    }

    /// The private part of a key that an older line of the secret has opened, sealed under the newest. `None` if there is
    /// nothing to do.
    pub fn resealed(&self, row: &KeyRow) -> Option<Vec<u8>> {
        let (line, private) = self.unseal(row)?;
        (line > 0).then(|| self.seal(&row.kid, &private))
    }

    /// Encrypts a private key for the database, under the newest of the server's secrets.
    pub fn seal(&self, kid: &str, private: &[u8]) -> Vec<u8> {
        self.seals[0].seal(kid.as_bytes(), private)
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The JSON Web Key Set to publish: no private part, and no HS256.
    pub fn jwks(&self) -> Value {
        self.ring().jwks.clone()
    }

    /// The public keys, to check what was signed here.
    pub fn public_keys(&self) -> KeySet {
        self.ring().public.clone()
    }

    /// Whether a key of this algorithm signs by now. Keys of HS256 are made for one audience each: there any key will do.
    pub fn is_ready(&self, algorithm: Algorithm, now: Timestamp) -> bool {
        let ring = self.ring();
        ring.keys.iter().any(|key| {
            (algorithm == Algorithm::HS256 || key.signing.algorithm() == algorithm)
                && key.signs(now)
        })
    }

    /// Whether there is a key of this algorithm for this audience.
    pub fn has(&self, algorithm: Algorithm, audience: &str) -> bool {
        self.ring().keys.iter().any(|key| key.serves(algorithm, audience))
    }

    /// The newest key of an algorithm that signs by now.
    ///
    /// Taken before anything is changed in the database, so that a missing key is a fault that uses no token up.
    ///
    /// # Errors
    /// [`KeyError::None`] when there is none.
    pub fn signer(
        &self,
        algorithm: Algorithm,
        audience: &str,
        now: Timestamp,
    ) -> Result<Signer, KeyError> {
        let ring = self.ring();
        let key =
            ring.keys.iter().position(|key| key.serves(algorithm, audience) && key.signs(now));
        match key {
            Some(key) => Ok(Signer { ring, key }),
            None => Err(KeyError::None { algorithm, audience: audience.to_owned() }),
        }
    }
}

/// A key that signs, whatever is reloaded meanwhile.
#[derive(derive_more::Debug)]
#[debug("Signer(…)")]
pub struct Signer {
    ring: Arc<Ring>,
    key: usize,
}

impl Signer {
    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.ring.keys[self.key].signing.algorithm()
    }

    /// Signs claims.
    ///
    /// # Errors
    /// [`KeyError::Sign`] when the claims cannot be serialized.
    pub fn sign(
        &self,
        media_type: &str,
        claims: &impl serde::Serialize,
    ) -> Result<String, KeyError> {
        Ok(self.ring.keys[self.key].signing.sign(media_type, claims)?)
    }
}

impl Key {
    fn signs(&self, now: Timestamp) -> bool {
        self.signs_from <= now && self.retires_at.is_none_or(|at| at > now)
    }

    fn serves(&self, algorithm: Algorithm, audience: &str) -> bool {
        self.signing.algorithm() == algorithm
            && (algorithm != Algorithm::HS256 || self.audience == audience)
    }
}
