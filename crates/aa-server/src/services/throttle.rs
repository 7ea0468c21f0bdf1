//! Limits on attempts to guess, per account and per address (contract §7), in the memory of one process.
//!
//! A try is taken **before** the password is checked, so parallel guesses cannot outrun it. A browser that the user has
//! signed in with before has a counter of its own and no other, so neither an attacker who uses up the account's nor one at
//! the same address can lock the user out there.
//!
//! Counters are found by a hash of 128 bits and kept in a cache of bounded size: whatever is sent as an address of e-mail,
//! and from however many networks, it takes some eight megabytes at most.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use foundation::time::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::unsync::Cache;

use crate::domain::ids::BrowserId;

/// Counters that are remembered.
const CAPACITY: usize = 100_000;
/// Counters that there is room for from the start.
const INITIAL_CAPACITY: usize = 1_024;

/// A key that tries are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Counter {
    /// An account, from browsers it does not know. It need not exist.
    Account(String),
    /// An account, from a browser it knows.
    KnownBrowser(String, BrowserId),
    /// A network: the bits of its address, and how many of them count.
    Network(u128, u8),
}

impl Counter {
    /// The counters of an address: its own, and of IPv6 those of the networks that one customer may have, /64, /56 and /48.
    pub fn address(ip: IpAddr) -> Vec<Self> {
        let (bits, prefixes) = match ip.to_canonical() {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), &[128][..]),
            IpAddr::V6(v6) => (v6.to_bits(), &[64, 56, 48][..]),
        };
        let network = |prefix: &u8| Self::Network(bits & (u128::MAX << (128 - prefix)), *prefix);
        prefixes.iter().map(network).collect()
    }

    /// The number of tries at once, and the time until one more.
    const fn quota(&self) -> (u32, Duration) {
        match self {
            Self::Account(_) | Self::KnownBrowser(..) => (10, Duration::from_mins(1)),
            Self::Network(_, 56) => (200, Duration::from_millis(2_500)),
            Self::Network(_, 48) => (400, Duration::from_millis(1_250)),
            Self::Network(..) => (100, Duration::from_secs(5)),
        }
    }

    fn key(&self) -> u128 {
        let text = match self {
            Self::Account(account) => format!("a{account}"),
            Self::KnownBrowser(account, browser) => format!("b{browser}{account}"),
            Self::Network(bits, prefix) => format!("n{prefix}/{bits}"),
        };
        let hash = digest(&SHA256, text.as_bytes());
        hash.as_ref().iter().take(16).fold(0, |key, byte| (key << 8) | u128::from(*byte))
    }
}

/// Counts tries.
#[derive(Debug)]
pub struct Throttle {
    /// The time at which each counter will be full again (the one number of the generic cell rate algorithm).
    full_at: Mutex<Cache<u128, Timestamp>>,
}

impl Default for Throttle {
    fn default() -> Self {
        let cache = Cache::with_weighter(INITIAL_CAPACITY, CAPACITY as u64, UnitWeighter);
        Self { full_at: Mutex::new(cache) }
    }
}

/// Too many tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyTries {
    /// The time until there is one more.
    pub retry_after: Duration,
}

impl Throttle {
    /// Takes one try from each counter, or none from any.
    ///
    /// # Errors
    /// [`TooManyTries`] when one of them has none left.
    pub fn take(&self, counters: &[Counter], now: Timestamp) -> Result<(), TooManyTries> {
        let mut full_at = self.lock();
        let mut taken = Vec::with_capacity(counters.len());
        for counter in counters {
            let ((burst, interval), key) = (counter.quota(), counter.key());
            let full = full_at.get(&key).copied().unwrap_or(now).max(now) + interval;
            let after = full.since(now);
            if after > interval * burst {
                return Err(TooManyTries { retry_after: after.saturating_sub(interval * burst) });
            }
            taken.push((key, full));
        }
        for (key, full) in taken {
            full_at.insert(key, full);
        }
        Ok(())
    }

    /// Gives the tries back: they were right, or the password was not checked.
    pub fn give_back(&self, counters: &[Counter]) {
        let mut full_at = self.lock();
        for counter in counters {
            if let Some(mut full) = full_at.get_mut(&counter.key()) {
                *full = *full - counter.quota().1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cache<u128, Timestamp>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn account(name: &str) -> Counter {
        Counter::Account(name.to_owned())
    }

    #[test]
    fn ten_tries_then_one_a_minute() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            throttle.take(&[account("a")], at(0)).unwrap();
        }
        let refused = throttle.take(&[account("a")], at(0)).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_mins(1));
        throttle.take(&[account("a")], at(60)).unwrap();
        assert!(throttle.take(&[account("a")], at(60)).is_err());
        throttle.take(&[account("b")], at(0)).unwrap();
    }

    #[test]
    fn a_known_browser_is_not_locked_out_by_attackers() {
        let throttle = Throttle::default();
        while throttle.take(&[account("a")], at(0)).is_ok() {}
        throttle
            .take(&[Counter::KnownBrowser("a".into(), uuid::Uuid::nil().into())], at(0))
            .unwrap();
    }

    #[test]
    fn right_tries_are_given_back_and_refused_ones_cost_nothing() {
        let throttle = Throttle::default();
        for _ in 0..1000 {
            throttle.take(&[account("a")], at(0)).unwrap();
            throttle.give_back(&[account("a")]);
        }
        while throttle.take(&[account("a")], at(0)).is_ok() {}
        let address = Counter::address("10.0.0.1".parse().unwrap());
        for _ in 0..1000 {
            assert!(throttle.take(&[address.clone(), vec![account("a")]].concat(), at(0)).is_err());
        }
        assert!(throttle.take(&address, at(0)).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_customer_count_together() {
        let of = |address: &str| Counter::address(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        let (one, other) = (of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert!(one[0] != other[0] && one[1..] == other[1..]);
        let far = of("2001:db8:0:ff00::1");
        assert!(one[1] != far[1] && one[2] == far[2]);
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        // A /48 has 65,536 networks, and not as many tries.
        let throttle = Throttle::default();
        let tries = (0..65_536_u128).filter(|network| {
            let address = (0x2001_0db8_u128 << 96) | (network << 64);
            throttle
                .take(&Counter::address(std::net::Ipv6Addr::from_bits(address).into()), at(0))
                .is_ok()
        });
        assert_eq!(tries.count(), 400);
    }

    #[test]
    fn however_many_counters_are_sent_few_are_kept() {
        let throttle = Throttle::default();
        for number in 0..300_000 {
            throttle.take(&[account(&format!("{number}@example.com"))], at(0)).unwrap();
        }
        let kept = throttle.lock();
        assert!(kept.len() <= CAPACITY && kept.len() > CAPACITY / 2, "{}", kept.len());
        // As quick_cache accounts for it: key, value, and what finds them.
        assert!(kept.memory_used().total() < 16_000_000, "{}", kept.memory_used().total());
    }
}
