//! One bit for each id that may be in a map, so that most ids need no look into it.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// A set of ids that sometimes has others too, and never misses one.
#[derive(Debug)]
pub(crate) struct IdFilter(Box<[AtomicU64]>);

/// The number of bits is two to the power of this: 128 KiB. With 10,000 ids, one of a hundred others is taken for one.
const BITS: u32 = 20;

impl Default for IdFilter {
    fn default() -> Self {
        Self((0..1 << (BITS - 6)).map(|_| AtomicU64::new(0)).collect())
    }
}

impl IdFilter {
    fn place(id: &Uuid) -> (usize, u64) {
        let (_, random) = id.as_u64_pair();
        let bit = random.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
        (usize::try_from(bit >> 6).unwrap_or(0), 1 << (bit & 63))
    }

    /// Whether the id may be in the set.
    pub fn may_have(&self, id: &Uuid) -> bool {
        let (word, bit) = Self::place(id);
        self.0[word].load(Ordering::Acquire) & bit != 0
    }

    /// Adds an id. The caller does so before it adds the id to its map, and is the only writer.
    pub fn add(&self, id: &Uuid) {
        let (word, bit) = Self::place(id);
        self.0[word].fetch_or(bit, Ordering::AcqRel);
    }

    /// Forgets all ids but those that `each` names. A reader beside it sees each of these all the time.
    pub fn rebuild(&self, each: impl FnOnce(&mut dyn FnMut(&Uuid))) {
        let mut words = vec![0; self.0.len()];
        each(&mut |id| {
            let (word, bit) = Self::place(id);
            words[word] |= bit;
        });
        for (known, word) in self.0.iter().zip(words) {
            known.store(word, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_until_it_is_left_out() {
        const MIX: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        let ids: Vec<Uuid> =
            (0..20_000_u128).map(|number| Uuid::from_u128(number.wrapping_mul(MIX))).collect();
        let (kept, others) = ids.split_at(10_000);
        let filter = IdFilter::default();
        assert!(!ids.iter().any(|id| filter.may_have(id)));
        for id in &ids {
            filter.add(id);
        }
        assert!(ids.iter().all(|id| filter.may_have(id)));
        filter.rebuild(|add| kept.iter().for_each(add));
        assert!(kept.iter().all(|id| filter.may_have(id)));
        let mistaken = others.iter().filter(|id| filter.may_have(id)).count();
        assert!(mistaken < 200, "{mistaken}");
    }
}
