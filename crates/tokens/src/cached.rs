use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::keys::KeySetId;
use crate::{Claims, KeySet, Reject, Verifier, jws};

/// A [`Verifier`] that remembers which tokens it has accepted, so that the signature of one that comes again is not
/// checked again. It decides exactly as the verifier does.
///
/// What it remembers is found by the whole token, compared byte by byte; issuer, audience, `exp` and `nbf` are
/// looked at every time. It counts under the very [`KeySet`] it was checked with alone: when keys change, everything
/// is checked again. Only accepted tokens are remembered, so whoever sends rubbish pushes nothing out.
///
/// Clones share the memory.
#[derive(Clone)]
pub struct CachedVerifier {
    verifier: Verifier,
    memory: Arc<Memory>,
}

struct Memory {
    tokens: Cache<Box<str>, Accepted, Bytes, BuildHasherDefault<OfSignature>>,
    /// The set of keys that was last asked with.
    keys: AtomicU64,
    inserted: AtomicU64,
}

#[derive(Clone)]
struct Accepted {
    keys: KeySetId,
    claims: Arc<Claims>,
}

/// After so many insertions, what has expired is removed.
const SWEEP_EVERY: u64 = 4096;

impl CachedVerifier {
    /// How much is remembered if nothing else is said: some 20,000 tokens.
    pub const DEFAULT_BYTES: u64 = 32 << 20;

    /// A verifier that remembers tokens, with their claims, in about `bytes` of memory (0: none at all).
    pub fn new(verifier: Verifier, bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX))
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are given");
        let lifecycle = DefaultLifecycle::default();
        let tokens = Cache::with_options(options, Bytes, BuildHasherDefault::default(), lifecycle);
        let (keys, inserted) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { verifier, memory: Arc::new(Memory { tokens, keys, inserted }) }
    }

    /// The verifier that decides.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.memory.tokens.len()
    }

    /// Whether no token is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much they take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.memory.tokens.weight()
    }

    /// Decides whether `token` is good at `now` (Unix seconds), as [`Verifier::verify`] does.
    ///
    /// # Errors
    /// The [`Reject`] that the verifier answers with.
    pub fn verify(&self, token: &str, keys: &KeySet, now: i64) -> Result<Arc<Claims>, Reject> {
        let Memory { tokens, .. } = &*self.memory;
        if token.len() <= jws::MAX_TOKEN_BYTES
            && let Some(known) = tokens.get(token)
            && known.keys == keys.id()
        {
            return match self.verifier.judge(&known.claims, now) {
                Ok(()) => Ok(known.claims),
                Err(reject) => {
                    tokens.remove(token);
                    Err(reject)
                }
            };
        }
        let claims = Arc::new(self.verifier.verify(token, keys, now)?);
        self.remember(token, Accepted { keys: keys.id(), claims: Arc::clone(&claims) }, now);
        Ok(claims)
    }

    fn remember(&self, token: &str, accepted: Accepted, now: i64) {
        let Memory { tokens, keys, inserted } = &*self.memory;
        if keys.swap(accepted.keys.0, Ordering::Relaxed) != accepted.keys.0 {
            tokens.clear();
        }
        if inserted.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            tokens.retain(|_, known| !self.verifier.has_expired(&known.claims, now));
        }
        tokens.insert(token.into(), accepted);
    }
}

impl fmt::Debug for CachedVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedVerifier").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// What a token of usual size takes, with its claims.
const TYPICAL_BYTES: u64 = 1600;

/// Weighs what is remembered by the memory it takes.
#[derive(Clone)]
struct Bytes;

impl Weighter<Box<str>, Accepted> for Bytes {
    fn weight(&self, token: &Box<str>, _: &Accepted) -> u64 {
        // Claims are what the token encodes, taken apart: their texts are shorter than its, and each has a head of its
        // own. The cache's places for both come to some hundred bytes.
        const HEADS: usize = 24 * 8;
        (2 * token.len() + size_of::<Claims>() + size_of::<Accepted>() + HEADS + 100) as u64
    }
}

/// Finds a token by a part of its signature, which no two good tokens share. Somebody may send tokens that only look
/// alike: they are not remembered, so nothing becomes slower by them.
#[derive(Default)]
struct OfSignature(u64);

impl Hasher for OfSignature {
    fn write(&mut self, bytes: &[u8]) {
        // The last characters hold few random bits (the high end of Ed25519's second number).
        let part = bytes.len().checked_sub(40).and_then(|start| bytes.get(start..start + 16));
        let (one, other) = part.unwrap_or(&[0; 16]).split_at(8);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let mixed = u128::from(word(one) ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(word(other) ^ 0xd6e8_feb8_6659_fd93);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
        let folded = mixed as u64 ^ (mixed >> 64) as u64;
        self.0 ^= folded;
    }

    fn write_u8(&mut self, _: u8) {
        // The end mark of a text.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
