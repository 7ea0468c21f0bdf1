//! A map that is read without a lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use uuid::Uuid;

/// A map from ids in many parts: a change copies one part, and a reader takes no lock.
#[derive(Debug)]
pub(crate) struct Sharded<V> {
    shards: Box<[ArcSwap<Shard<V>>]>,
    len: AtomicUsize,
}

type Shard<V> = HashMap<Uuid, V, BuildHasherDefault<IdHasher>>;

const SHARDS: usize = 256;

impl<V> Default for Sharded<V> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| ArcSwap::from_pointee(Shard::default())).collect();
        Self { shards, len: AtomicUsize::new(0) }
    }
}

impl<V> Sharded<V> {
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub fn get<T>(&self, id: &Uuid, read: impl FnOnce(&V) -> Option<T>) -> Option<T> {
        if self.len() == 0 {
            return None;
        }
        self.shard_of(id).load().get(id).and_then(read)
    }

    fn shard_of(&self, id: &Uuid) -> &ArcSwap<Shard<V>> {
        &self.shards[usize::from(id.as_bytes()[15])]
    }

    pub fn each_id(&self, mut each: impl FnMut(&Uuid)) {
        for shard in &self.shards {
            shard.load().keys().for_each(&mut each);
        }
    }

    pub fn clear(&self) {
        for shard in &self.shards {
            shard.store(Arc::default());
        }
        self.len.store(0, Ordering::Release);
    }
}

impl<V: Clone> Sharded<V> {
    /// The caller sees to it that there is one writer at a time.
    pub fn insert_all(&self, entries: impl IntoIterator<Item = (Uuid, V)>) {
        let mut by_shard: HashMap<u8, Vec<(Uuid, V)>> = HashMap::new();
        for (id, value) in entries {
            by_shard.entry(id.as_bytes()[15]).or_default().push((id, value));
        }
        for (index, entries) in by_shard {
            let shard = &self.shards[usize::from(index)];
            let mut map = Shard::clone(&shard.load());
            let before = map.len();
            map.extend(entries);
            // First the number: a reader that sees none must not miss an entry.
            self.len.fetch_add(map.len() - before, Ordering::AcqRel);
            shard.store(Arc::new(map));
        }
    }

    pub fn retain(&self, keep: impl Fn(&V) -> bool) {
        for shard in &self.shards {
            let current = shard.load();
            if current.values().all(&keep) {
                continue;
            }
            let mut map = Shard::clone(&current);
            map.retain(|_, value| keep(value));
            self.len.fetch_sub(current.len() - map.len(), Ordering::AcqRel);
            shard.store(Arc::new(map));
        }
    }
}

/// Hashes an id by mixing its bytes. The ids are the authority's own: no attacker chooses them to collide.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
