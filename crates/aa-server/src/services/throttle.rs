//! Limits on attempts to guess, per account and per address (contract §7), in the memory of one process.
//!
//! A try is taken **before** the password is checked, so parallel guesses cannot outrun it, and given back when
//! it was right. A browser that the user has signed in with before has a counter of its own, so an attacker who
//! uses up the account's cannot lock the user out there.

use crate::domain::ids::BrowserId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foundation::time::Timestamp;

/// Above so many counters, those that are full again are dropped.
const PRUNE_ABOVE: usize = 100_000;

/// What tries are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Counter {
    /// An account, from browsers it does not know. It need not exist.
    Account(String),
    /// An account, from a browser it knows.
    KnownBrowser(String, BrowserId),
    /// An address; of IPv6 the first 64 bits.
    Address(IpAddr),
}

impl Counter {
    /// The counter of an address.
    pub fn address(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) => {
                let network = v6.to_bits() & !u128::from(u64::MAX);
                Self::Address(IpAddr::V6(network.into()))
            }
            v4 @ IpAddr::V4(_) => Self::Address(v4),
        }
    }

    /// How many tries at once, and how long until one more.
    const fn quota(&self) -> (u32, Duration) {
        match self {
            Self::Account(_) | Self::KnownBrowser(..) => (10, Duration::from_mins(1)),
            Self::Address(_) => (100, Duration::from_secs(5)),
        }
    }
}

/// Counts tries.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When each counter will be full again (the generic cell rate algorithm's one number).
    full_at: Mutex<HashMap<Counter, Timestamp>>,
}

/// Too many tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyTries {
    /// How long until there is one more.
    pub retry_after: Duration,
}

impl Throttle {
    /// Takes one try from each counter, or none from any.
    ///
    /// # Errors
    /// [`TooManyTries`] when one of them has none left.
    pub fn take(&self, counters: &[Counter], now: Timestamp) -> Result<(), TooManyTries> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() > PRUNE_ABOVE {
            full_at.retain(|_, at| *at > now);
        }
        for counter in counters {
            let (burst, interval) = counter.quota();
            let full = full_at.get(counter).copied().unwrap_or(now).max(now);
            let after = (full + interval).since(now);
            if after > interval * burst {
                return Err(TooManyTries { retry_after: after.saturating_sub(interval * burst) });
            }
        }
        for counter in counters {
            let (_, interval) = counter.quota();
            let full = full_at.entry(counter.clone()).or_insert(now);
            *full = (*full).max(now) + interval;
        }
        Ok(())
    }

    /// Gives the tries back: they were right.
    pub fn give_back(&self, counters: &[Counter]) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        for counter in counters {
            if let Some(full) = full_at.get_mut(counter) {
                *full = *full - counter.quota().1;
            }
        }
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
    fn a_known_browser_is_not_locked_out_by_strangers() {
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
            assert!(throttle.take(&[address.clone(), account("a")], at(0)).is_err());
        }
        assert!(throttle.take(&[address], at(0)).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let one = Counter::address("2001:db8::1".parse().unwrap());
        assert_eq!(one, Counter::address("2001:db8::ffff".parse().unwrap()));
        assert_ne!(one, Counter::address("2001:db8:0:1::1".parse().unwrap()));
        let mapped = Counter::address("::ffff:10.0.0.1".parse().unwrap());
        assert_eq!(mapped, Counter::address("10.0.0.1".parse().unwrap()));
    }
}
