//! Limits on attempts to guess, per account and per address (contract §7), shared by all replicas of one database.
//!
//! A try is taken **before** the password is checked, so parallel guesses cannot outrun it. A browser that the user has
//! signed in with before has a counter of its own and no other, so neither an attacker who uses up the account's nor one at
//! the same address can lock the user out there.
//!
//! Counters are found by a MAC of 128 bits. On PostgreSQL they are rows; with SQLite, which has one process, they are kept
//! in a cache of bounded size: whatever is sent as an address of e-mail, and from however many networks, it takes some
//! eight megabytes at most.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use foundation::time::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::unsync::Cache;

use crate::domain::ids::{BrowserId, UserId};
use crate::store::{self, SharedTries, Store, TryCounter};

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
    /// The second factors of a user.
    Factor(UserId),
    /// Codes that are mailed to an account. It need not exist.
    MailCode(String),
    /// Mails to an address.
    Mail(String),
    /// Mails that the requests of a network cause.
    MailsOfNetwork(u128),
    /// Authorization requests of a network that are stored until the user has signed in: the first 64 bits of its address,
    /// or all of an IPv4 address.
    StoredRequests(u128),
    /// Metadata documents of clients that the requests of a network have fetched.
    Documents(u128),
    /// User codes that a user types (RFC 8628 §5.1).
    UserCode(UserId),
    /// Requests of devices of a client.
    DevicesOfClient(String),
    /// Requests of devices of public clients in a network.
    DevicesOfNetwork(u128),
    /// Authorization requests that a confidential client pushes.
    PushedRequests(String),
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

    /// The counter of an address's stored authorization requests.
    pub fn stored_requests(ip: IpAddr) -> Self {
        Self::StoredRequests(network(ip))
    }

    /// The counter of metadata documents that have to be fetched for this address.
    pub fn documents(ip: IpAddr) -> Self {
        Self::Documents(network(ip))
    }

    /// The counters of a device's request to be signed in to a client. The address counts where the client does not prove
    /// who it is.
    pub fn device_requests(client_id: &str, unproven: Option<IpAddr>) -> Vec<Self> {
        let of_client = Self::DevicesOfClient(client_id.to_owned());
        let of_network = unproven.map(|ip| Self::DevicesOfNetwork(network(ip)));
        std::iter::once(of_client).chain(of_network).collect()
    }

    /// The counters of a mail to this address, which a request from this network causes.
    pub fn mail(email_key: &str, ip: IpAddr) -> [Self; 2] {
        [Self::Mail(email_key.to_owned()), Self::MailsOfNetwork(network(ip))]
    }

    /// The number of tries at once, and the time until one more.
    const fn quota(&self) -> (u32, Duration) {
        match self {
            Self::Account(_) | Self::KnownBrowser(..) | Self::MailCode(_) | Self::UserCode(_) => {
                (10, Duration::from_mins(1))
            }
            // Three codes of a million are good at once: with some 300 guesses a day, one in a thousand days is right.
            Self::Factor(_) => (5, Duration::from_mins(5)),
            Self::Mail(_) => (5, Duration::from_mins(10)),
            // Of devices' requests, which live for ten minutes, 50 of an address wait at once.
            Self::MailsOfNetwork(_) | Self::DevicesOfNetwork(_) | Self::Documents(_) => {
                (30, Duration::from_secs(30))
            }
            Self::Network(_, 56) => (200, Duration::from_millis(2_500)),
            Self::Network(_, 48) => (400, Duration::from_millis(1_250)),
            Self::Network(..) => (100, Duration::from_secs(5)),
            // With their lifetime of half an hour, up to 10,000 rows for each address.
            Self::StoredRequests(_) => (1_000, Duration::from_millis(200)),
            // With their lifetime of ten minutes, up to 7,000 of a client wait at once.
            Self::DevicesOfClient(_) => (1_000, Duration::from_millis(100)),
            // With their lifetime of 90 seconds, up to 19,000 rows for each app.
            Self::PushedRequests(_) => (10_000, Duration::from_millis(10)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Account(account) => format!("a{account}"),
            Self::KnownBrowser(account, browser) => format!("b{browser}{account}"),
            Self::Network(bits, prefix) => format!("n{prefix}/{bits}"),
            Self::Factor(user) => format!("f{user}"),
            Self::MailCode(account) => format!("c{account}"),
            Self::Mail(address) => format!("m{address}"),
            Self::MailsOfNetwork(bits) => format!("o{bits}"),
            Self::StoredRequests(bits) => format!("r{bits}"),
            Self::Documents(bits) => format!("i{bits}"),
            Self::UserCode(user) => format!("u{user}"),
            Self::DevicesOfClient(client_id) => format!("d{client_id}"),
            Self::DevicesOfNetwork(bits) => format!("e{bits}"),
            Self::PushedRequests(client_id) => format!("p{client_id}"),
        }
    }
}

/// The network that one customer certainly has: an IPv4 address, or the first 64 bits of an IPv6 address.
fn network(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() & (u128::MAX << 64),
    }
}

/// Counts tries.
#[derive(Debug)]
pub struct Throttle {
    key: hmac::Key,
    counters: Counters,
}

#[derive(Debug)]
enum Counters {
    InProcess(LocalTries),
    Shared(SharedTries),
}

/// Why no try could be taken.
#[derive(Debug, thiserror::Error)]
pub enum ThrottleError {
    /// A counter has none left.
    #[error("too many tries")]
    TooManyTries {
        /// The time until there is one more.
        retry_after: Duration,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Throttle {
    /// A throttle that counts where all processes of this store do, by keys that are MACs under `key`.
    pub fn new(store: &Store, key: hmac::Key) -> Self {
        let counters = match store.shared_tries() {
            Some(shared) => Counters::Shared(shared),
            None => Counters::InProcess(LocalTries::default()),
        };
        Self { key, counters }
    }

    /// Takes one try from each counter, or none from any.
    ///
    /// # Errors
    /// [`ThrottleError::TooManyTries`] when one of them has none left.
    pub async fn take(&self, counters: &[Counter], now: Timestamp) -> Result<(), ThrottleError> {
        let counters = self.keyed(counters);
        let refused = match &self.counters {
            Counters::InProcess(local) => local.take(&counters, now),
            Counters::Shared(shared) => shared.take(&counters, now).await?,
        };
        let Some(retry_after) = refused else { return Ok(()) };
        metrics::counter!("aa_throttled_total").increment(1);
        Err(ThrottleError::TooManyTries { retry_after })
    }

    /// Gives the tries back: they were right, or the password was not checked.
    pub async fn give_back(&self, counters: &[Counter]) -> store::Result<()> {
        let counters = self.keyed(counters);
        match &self.counters {
            Counters::InProcess(local) => local.give_back(&counters),
            Counters::Shared(shared) => shared.give_back(&counters).await?,
        }
        Ok(())
    }

    fn keyed(&self, counters: &[Counter]) -> Vec<TryCounter> {
        let keyed = |counter: &Counter| {
            let mac = hmac::sign(&self.key, counter.text().as_bytes());
            let key =
                mac.as_ref().iter().take(16).fold(0, |key, byte| (key << 8) | u128::from(*byte));
            let (burst, interval) = counter.quota();
            TryCounter { key, interval, burst }
        };
        counters.iter().map(keyed).collect()
    }
}

/// Counters in the memory of this process.
#[derive(Debug)]
struct LocalTries {
    /// The time at which each counter will be full again (the one number of the generic cell rate algorithm).
    full_at: Mutex<Cache<u128, Timestamp>>,
}

impl Default for LocalTries {
    fn default() -> Self {
        let cache = Cache::with_weighter(INITIAL_CAPACITY, CAPACITY as u64, UnitWeighter);
        Self { full_at: Mutex::new(cache) }
    }
}

impl LocalTries {
    fn take(&self, counters: &[TryCounter], now: Timestamp) -> Option<Duration> {
        let mut full_at = self.lock();
        let mut taken = Vec::with_capacity(counters.len());
        for counter in counters {
            let full =
                full_at.get(&counter.key).copied().unwrap_or(now).max(now) + counter.interval;
            let after = full.since(now);
            if after > counter.capacity() {
                return Some(after.saturating_sub(counter.capacity()));
            }
            taken.push((counter.key, full));
        }
        for (key, full) in taken {
            full_at.insert(key, full);
        }
        None
    }

    fn give_back(&self, counters: &[TryCounter]) {
        let mut full_at = self.lock();
        for counter in counters {
            if let Some(mut full) = full_at.get_mut(&counter.key) {
                *full = *full - counter.interval;
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

    fn throttle() -> Throttle {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        Throttle { key, counters: Counters::InProcess(LocalTries::default()) }
    }

    fn account(name: &str) -> Counter {
        Counter::Account(name.to_owned())
    }

    #[tokio::test]
    async fn ten_tries_then_one_a_minute() {
        let throttle = throttle();
        for _ in 0..10 {
            throttle.take(&[account("a")], at(0)).await.unwrap();
        }
        let refused = throttle.take(&[account("a")], at(0)).await.unwrap_err();
        let ThrottleError::TooManyTries { retry_after } = refused else { panic!("{refused}") };
        assert_eq!(retry_after, Duration::from_mins(1));
        throttle.take(&[account("a")], at(60)).await.unwrap();
        assert!(throttle.take(&[account("a")], at(60)).await.is_err());
        throttle.take(&[account("b")], at(0)).await.unwrap();
    }

    #[tokio::test]
    async fn a_known_browser_is_not_locked_out_by_attackers() {
        let throttle = throttle();
        while throttle.take(&[account("a")], at(0)).await.is_ok() {}
        throttle
            .take(&[Counter::KnownBrowser("a".into(), uuid::Uuid::nil().into())], at(0))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn right_tries_are_given_back_and_refused_ones_cost_nothing() {
        let throttle = throttle();
        for _ in 0..1000 {
            throttle.take(&[account("a")], at(0)).await.unwrap();
            throttle.give_back(&[account("a")]).await.unwrap();
        }
        while throttle.take(&[account("a")], at(0)).await.is_ok() {}
        let address = Counter::address("10.0.0.1".parse().unwrap());
        for _ in 0..1000 {
            assert!(
                throttle
                    .take(&[address.clone(), vec![account("a")]].concat(), at(0))
                    .await
                    .is_err()
            );
        }
        assert!(throttle.take(&address, at(0)).await.is_ok());
    }

    #[tokio::test]
    async fn addresses_of_one_ipv6_customer_count_together() {
        let of = |address: &str| Counter::address(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        let (one, other) = (of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert!(one[0] != other[0] && one[1..] == other[1..]);
        let far = of("2001:db8:0:ff00::1");
        assert!(one[1] != far[1] && one[2] == far[2]);
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        // A /48 has 65,536 networks, and not as many tries.
        let throttle = throttle();
        let mut tries = 0;
        for network in 0..65_536_u128 {
            let address = (0x2001_0db8_u128 << 96) | (network << 64);
            let counters = Counter::address(std::net::Ipv6Addr::from_bits(address).into());
            tries += u32::from(throttle.take(&counters, at(0)).await.is_ok());
        }
        assert_eq!(tries, 400);
    }

    #[tokio::test]
    async fn however_many_counters_are_sent_few_are_kept() {
        let throttle = throttle();
        for number in 0..300_000 {
            throttle.take(&[account(&format!("{number}@example.com"))], at(0)).await.unwrap();
        }
        let Counters::InProcess(kept) = &throttle.counters else { panic!("in process") };
        let kept = kept.lock();
        assert!(kept.len() <= CAPACITY && kept.len() > CAPACITY / 2, "{}", kept.len());
        // As quick_cache accounts for it: key, value, and what finds them.
        assert!(kept.memory_used().total() < 16_000_000, "{}", kept.memory_used().total());
    }
}
