use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::keys::KeySetId;
use crate::{Claims, KeySet, Reject, Verifier, jws};

/// A [`Verifier`] with a cache of accepted tokens: the signature of a cached token is not checked again. Its
/// decisions are exactly those of the verifier.
///
/// The cache's key is the whole token, compared byte by byte. Issuer, audience, `exp` and `nbf` are checked at every
/// use. An entry is valid only for the [`KeySet`] that the token was checked with: when the keys change, every token
/// is checked again. Rejected tokens are not cached, so sending many of them evicts nothing.
///
/// Clones share the cache.
#[derive(Clone)]
pub struct CachedVerifier {
    verifier: Verifier,
    cache: Arc<TokenCache>,
}

struct TokenCache {
    tokens: Cache<Box<str>, CachedToken, MemoryWeighter, BuildHasherDefault<SignatureHasher>>,
    /// The id of the key set used by the last insertion.
    keys: AtomicU64,
    inserted: AtomicU64,
}

#[derive(Clone)]
struct CachedToken {
    keys: KeySetId,
    claims: Arc<Claims>,
}

/// The number of insertions after which expired tokens are removed.
const SWEEP_EVERY: u64 = 4096;

impl CachedVerifier {
    /// The default size of the cache in bytes: enough for some 20,000 tokens.
    pub const DEFAULT_BYTES: u64 = 32 << 20;

    /// A verifier with a cache of tokens and their claims of about `bytes` in all; 0 disables the cache.
    pub fn new(verifier: Verifier, bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(
                usize::try_from(bytes / TYPICAL_TOKEN_BYTES).unwrap_or(usize::MAX),
            )
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are given");
        let lifecycle = DefaultLifecycle::default();
        let tokens =
            Cache::with_options(options, MemoryWeighter, BuildHasherDefault::default(), lifecycle);
        let (keys, inserted) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { verifier, cache: Arc::new(TokenCache { tokens, keys, inserted }) }
    }

    /// The verifier without the cache.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The number of cached tokens.
    pub fn len(&self) -> usize {
        self.cache.tokens.len()
    }

    /// True if no token is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The estimated size of the cached tokens, in bytes.
    pub fn bytes(&self) -> u64 {
        self.cache.tokens.weight()
    }

    /// Verifies `token` at `now` (Unix seconds), as [`Verifier::verify`] does.
    ///
    /// # Errors
    /// The [`Reject`] that [`Verifier::verify`] would return.
    pub fn verify(&self, token: &str, keys: &KeySet, now: i64) -> Result<Arc<Claims>, Reject> {
        let TokenCache { tokens, .. } = &*self.cache;
        if token.len() <= jws::MAX_TOKEN_BYTES
            && let Some(cached) = tokens.get(token)
            && cached.keys == keys.id()
        {
            return match self.verifier.check_claims(&cached.claims, now) {
                Ok(()) => Ok(cached.claims),
                Err(reject) => {
                    tokens.remove(token);
                    Err(reject)
                }
            };
        }
        let claims = Arc::new(self.verifier.verify(token, keys, now)?);
        self.insert(token, CachedToken { keys: keys.id(), claims: Arc::clone(&claims) }, now);
        Ok(claims)
    }

    fn insert(&self, token: &str, accepted: CachedToken, now: i64) {
        let TokenCache { tokens, keys, inserted } = &*self.cache;
        if keys.swap(accepted.keys.0, Ordering::Relaxed) != accepted.keys.0 {
            tokens.clear();
        }
        if inserted.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            tokens.retain(|_, cached| !self.verifier.has_expired(&cached.claims, now));
        }
        tokens.insert(token.into(), accepted);
    }
}

impl fmt::Debug for CachedVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedVerifier").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// The size of a cached token of typical length with its claims.
const TYPICAL_TOKEN_BYTES: u64 = 1600;

/// Weighs a cached token by the bytes of memory it takes.
#[derive(Clone)]
struct MemoryWeighter;

impl Weighter<Box<str>, CachedToken> for MemoryWeighter {
    fn weight(&self, token: &Box<str>, _: &CachedToken) -> u64 {
        // The strings of the claims are together shorter than the token; each allocation has some overhead of its
        // own, and so has the cache's entry.
        const ALLOCATIONS: usize = 24 * 8;
        const ENTRY: usize = 100;
        let fixed = size_of::<Claims>() + size_of::<CachedToken>() + ALLOCATIONS + ENTRY;
        (2 * token.len() + fixed) as u64
    }
}

/// Hashes a token by 16 characters of its signature, which differ between accepted tokens. Forged tokens made to
/// collide are not cached, so they slow nothing down.
#[derive(Default)]
struct SignatureHasher(u64);

impl Hasher for SignatureHasher {
    fn write(&mut self, bytes: &[u8]) {
        // The last characters are not used: they encode the high bytes of Ed25519's S, which vary less.
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
        // The terminator that `str` adds to its hash.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
