//! Signing keys: rows that all replicas share, their private parts sealed under the server's secret.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::seal::{MasterSecret, Seal};
use foundation::time::Timestamp;
use serde_json::{Value, json};
use tokens::{Algorithm, KeySet, SigningKey};

use super::Caller;
use crate::app::App;
use crate::store::{self, KeyRow, NewKey, Store};

/// The algorithms that have a key from the start. HS256 keys are made for one audience, on demand.
const PUBLISHED: [Algorithm; 3] = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];
/// How long a new key is published before it signs: verifiers fetch every five minutes.
pub const PUBLISHED_AHEAD: Duration = Duration::from_mins(10);
/// How long a key stays once another signs: longer than any application token lives, and an ID token counts.
const KEPT_AFTER: Duration = Duration::from_hours(24);

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
pub struct Signer {
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

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// A signer without keys yet, for these secrets, newest first.
    pub fn new(secrets: &[MasterSecret]) -> Self {
        Self {
            seals: secrets.iter().map(|secret| secret.seal("signing-keys")).collect(),
            ring: RwLock::default(),
        }
    }

    /// Reads the keys again: other replicas may have made some, and some may have retired.
    ///
    /// # Errors
    /// [`KeyError`]; the keys known stay.
    pub async fn reload(&self, store: &Store, now: Timestamp) -> Result<(), KeyError> {
        let keys: Vec<Key> = store
            .keys(now)
            .await?
            .into_iter()
            .map(|row| self.open(row))
            .collect::<Result<_, _>>()?;
        let public: Vec<Value> = keys.iter().filter_map(|key| key.signing.public_jwk()).collect();
        let jwks = json!({ "keys": public });
        let public = KeySet::from_jwks(jwks.to_string().as_bytes()).unwrap_or_default();
        let ring = Ring { keys, jwks, public };
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    fn open(&self, row: KeyRow) -> Result<Key, KeyError> {
        let algorithm: Algorithm =
            row.algorithm.parse().map_err(|_| store::Error::Inconsistent {
                table: "signing_keys",
                column: "algorithm",
                row: row.kid.clone(),
            })?;
        let private = self
            .seals
            .iter()
            .find_map(|seal| seal.unseal(row.kid.as_bytes(), &row.private_key).ok())
            .ok_or_else(|| KeyError::Unseal(row.kid.clone()))?;
        Ok(Key {
            signing: SigningKey::from_private(algorithm, &private)?,
            audience: row.audience,
            signs_from: Timestamp::from_millis(row.signs_from),
            retires_at: row.retires_at.map(Timestamp::from_millis),
        })
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

    /// Whether something can be signed.
    pub fn is_ready(&self) -> bool {
        !self.ring().keys.is_empty()
    }

    /// Whether there is a key of this algorithm for this audience.
    pub fn has(&self, algorithm: Algorithm, audience: &str) -> bool {
        self.ring().keys.iter().any(|key| key.serves(algorithm, audience))
    }

    /// Signs claims with the newest key of the algorithm that signs by now.
    ///
    /// # Errors
    /// [`KeyError::None`] when there is none; [`KeyError::Sign`].
    pub fn sign(
        &self,
        algorithm: Algorithm,
        audience: &str,
        media_type: &str,
        claims: &impl serde::Serialize,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        let ring = self.ring();
        let key = ring
            .keys
            .iter()
            .find(|key| {
                key.serves(algorithm, audience)
                    && key.signs_from <= now
                    && key.retires_at.is_none_or(|at| at > now)
            })
            .ok_or_else(|| KeyError::None { algorithm, audience: audience.to_owned() })?;
        Ok(key.signing.sign(media_type, claims)?)
    }
}

impl Key {
    fn serves(&self, algorithm: Algorithm, audience: &str) -> bool {
        self.signing.algorithm() == algorithm
            && (algorithm != Algorithm::HS256 || self.audience == audience)
    }
}

/// Makes the first key of each algorithm where there is none, and reads them. Two replicas make one.
///
/// # Errors
/// [`KeyError`].
pub async fn ensure(app: &App) -> Result<(), KeyError> {
    app.signer.reload(&app.store, app.now()).await?;
    let missing: Vec<_> =
        PUBLISHED.into_iter().filter(|algorithm| !app.signer.has(*algorithm, "")).collect();
    for algorithm in &missing {
        add(app, *algorithm, "", 1, app.now(), &Caller::operator()).await?;
    }
    if !missing.is_empty() {
        app.signer.reload(&app.store, app.now()).await?;
    }
    Ok(())
}

/// Makes a new key of every published algorithm. It is published at once, signs in ten minutes (on every
/// replica alike), and the ones before it go a day after that: no request is lost.
///
/// # Errors
/// [`KeyError`].
pub async fn rotate(app: &App, caller: &Caller) -> Result<Vec<String>, KeyError> {
    let rows = app.store.keys(app.now()).await?;
    let mut made = Vec::new();
    for algorithm in PUBLISHED {
        let slots = rows.iter().filter(|row| row.algorithm == algorithm.name());
        let slot = slots.map(|row| row.slot).max().unwrap_or(0) + 1;
        let signs_from = app.now() + PUBLISHED_AHEAD;
        made.push(add(app, algorithm, "", slot, signs_from, caller).await?.id().to_owned());
    }
    app.signer.reload(&app.store, app.now()).await?;
    Ok(made)
}

/// An HS256 secret, as the operator hands it to the API of its audience. Shown once.
#[derive(Debug)]
pub struct AudienceSecret {
    /// Its key id.
    pub kid: String,
    /// Base64url.
    pub secret: secrecy::SecretString,
}

/// Makes the HS256 secret of an audience; it signs from now on. An earlier one stays for a day.
///
/// # Errors
/// [`KeyError`].
pub async fn add_audience_secret(
    app: &App,
    audience: &str,
    caller: &Caller,
) -> Result<AudienceSecret, KeyError> {
    let rows = app.store.keys(app.now()).await?;
    let slots = rows.iter().filter(|row| row.algorithm == "HS256" && row.audience == audience);
    let slot = slots.map(|row| row.slot).max().unwrap_or(0) + 1;
    let private = SigningKey::generate(Algorithm::HS256)?;
    let key = keep(app, Algorithm::HS256, &private, audience, slot, app.now(), caller).await?;
    app.signer.reload(&app.store, app.now()).await?;
    Ok(AudienceSecret {
        kid: key.id().to_owned(),
        secret: URL_SAFE_NO_PAD.encode(private.as_slice()).into(),
    })
}

async fn add(
    app: &App,
    algorithm: Algorithm,
    audience: &str,
    slot: i64,
    signs_from: Timestamp,
    caller: &Caller,
) -> Result<SigningKey, KeyError> {
    // RSA takes a while.
    let private = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm))
        .await
        .expect("making a key does not panic")?;
    keep(app, algorithm, &private, audience, slot, signs_from, caller).await
}

async fn keep(
    app: &App,
    algorithm: Algorithm,
    private: &[u8],
    audience: &str,
    slot: i64,
    signs_from: Timestamp,
    caller: &Caller,
) -> Result<SigningKey, KeyError> {
    let key = SigningKey::from_private(algorithm, private)?;
    let sealed = app.signer.seals[0].seal(key.id().as_bytes(), private);
    let row = NewKey {
        kid: key.id(),
        algorithm: algorithm.name(),
        audience,
        slot,
        private_key: &sealed,
        signs_from,
    };
    let event = app
        .event("key.made", "operator", caller)
        .detail(json!({ "kid": key.id(), "algorithm": algorithm, "audience": audience }));
    let retire = (slot > 1).then_some(signs_from + KEPT_AFTER);
    app.store.add_key(&row, retire, event, app.now()).await?;
    Ok(key)
}
