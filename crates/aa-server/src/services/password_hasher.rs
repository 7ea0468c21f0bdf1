//! Password hashing with bounded concurrency (contract §7): a hash takes 19 MiB and about 13 ms, so requests must not be
//! able to start any number of them, and no account may take all of them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// The time that a request waits for its account's turn, and again for a permit.
const WAIT_TIMEOUT: Duration = Duration::from_secs(3);
/// Requests that wait, at most, for each permit.
const QUEUE_PER_PERMIT: usize = 32;
/// Turns that all accounts share: two that have the same one wait for each other.
const TURNS: usize = 1_024;
/// How much less urgent hashing is than answering other requests, in steps of `nice`.
const NICENESS: i32 = 10;

/// Hashes and verifies passwords on threads of low priority: Argon2id, 19 MiB, two passes, one lane.
///
/// The `zeroize` feature of `argon2` wipes the digests it derives from a password. A [`SecretString`] is wiped when it
/// is dropped.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    /// One for each hash that is being computed.
    permits: Arc<Semaphore>,
    /// Places for requests, those that wait for a permit included.
    queue: Arc<Semaphore>,
    /// Of one permit each: an account's passwords are hashed one after the other.
    turns: Arc<[Arc<Semaphore>]>,
    /// Random, so that no address can be chosen for having another's turn.
    turn_of: RandomState,
}

/// Too many requests wait, or this one has waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at this moment")]
pub struct Busy;

impl PasswordHasher {
    /// A hasher that computes up to `permits` hashes at once.
    pub fn new(permits: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            queue: Arc::new(Semaphore::new(permits * (QUEUE_PER_PERMIT + 1))),
            turns: (0..TURNS).map(|_| Arc::new(Semaphore::new(1))).collect(),
            turn_of: RandomState::new(),
        }
    }

    /// Hashes the password of an account, named by its address as addresses are compared, with 16 random bytes of salt.
    /// Returns the PHC string.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(
        &self,
        account: &str,
        password: SecretString,
        salt: [u8; 16],
    ) -> Result<String, Busy> {
        self.in_turn(account, move || hash(&password, &salt)).await
    }

    /// Verifies the password of an account against a PHC string, with the parameters that the string names. Without a
    /// string it takes as long, and the result is `false`; it is `false` too for one that cannot be read.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(
        &self,
        account: &str,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, Busy> {
        self.in_turn(account, move || {
            let Some(known) = hash else {
                std::hint::black_box(self::hash(&password, &[0; 16]));
                return false;
            };
            // Compares in constant time.
            Argon2::default()
                .verify_password(password.expose_secret().as_bytes(), known.as_str())
                .is_ok()
        })
        .await
    }

    fn turn(&self, account: &str) -> &Arc<Semaphore> {
        let hash = usize::try_from(self.turn_of.hash_one(account) >> 32).unwrap_or_default();
        &self.turns[hash % TURNS]
    }

    /// As [`do_in_turn`](Self::do_in_turn), and counts what is not done.
    async fn in_turn<T: Send + 'static>(
        &self,
        account: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let done = self.do_in_turn(account, work).await;
        if done.is_err() {
            metrics::counter!("aa_password_hashes_busy_total").increment(1);
        }
        done
    }

    /// Does the work when no other of this account is being done, and one of the permits is free.
    async fn do_in_turn<T: Send + 'static>(
        &self,
        account: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let turn = acquire(self.turn(account)).await?;
        // Who waits for a turn has no place in the queue: one account cannot fill it.
        let _place = self.queue.try_acquire().map_err(|_| Busy)?;
        let permit = acquire(&self.permits).await?;
        let (done, result) = oneshot::channel();
        // Turn and permit are released when the work ends, which it does even if this future is dropped.
        let thread = thread::Builder::new().name("password-hash".to_owned()).spawn(move || {
            let _held = (turn, permit);
            // Of this thread alone, on Linux. Elsewhere and where it is forbidden, the priority stays.
            let _ = rustix::process::nice(NICENESS);
            drop(done.send(work()));
        });
        thread.map_err(|_| Busy)?;
        result.await.map_err(|_| Busy)
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Busy> {
    let permit = timeout(WAIT_TIMEOUT, Arc::clone(semaphore).acquire_owned()).await;
    permit.map_err(|_| Busy)?.map_err(|_| Busy)
}

fn hash(password: &SecretString, salt: &[u8; 16]) -> String {
    Argon2::default()
        .hash_password_with_salt(password.expose_secret().as_bytes(), salt)
        .expect("the parameters are fixed and valid")
        .to_string()
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Params, Version};
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_nothing_else() {
        let password_hasher = PasswordHasher::new(1);
        let hash = password_hasher.hash("ann", "tangerine lamp".into(), [1; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(
            password_hasher
                .verify("ann", "tangerine lamp".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!password_hasher.verify("ann", "tangerine lamq".into(), Some(hash)).await.unwrap());
        assert!(!password_hasher.verify("ann", "tangerine lamp".into(), None).await.unwrap());
        for broken in ["broken", "", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0"] {
            assert!(!password_hasher.verify("ann", "x".into(), Some(broken.into())).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_hash_is_verified_with_its_own_parameters() {
        let password_hasher = PasswordHasher::new(1);
        let made = |params| {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_with_salt(b"tangerine lamp", &[2; 16]).unwrap().to_string()
        };
        for (memory, passes) in [(8 * 1024, 1), (32 * 1024, 3), (1024, 1)] {
            let hash = made(Params::new(memory, passes, 1, None).unwrap());
            assert!(
                password_hasher
                    .verify("ann", "tangerine lamp".into(), Some(hash.clone()))
                    .await
                    .unwrap()
            );
            assert!(
                !password_hasher.verify("ann", "tangerine lamb".into(), Some(hash)).await.unwrap()
            );
        }
        let ours = password_hasher.hash("ann", "tangerine lamp".into(), [2; 16]).await.unwrap();
        assert_eq!(ours, made(Params::default()));
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once() {
        let password_hasher = PasswordHasher::new(1);
        let waiting: Vec<_> =
            (0..=QUEUE_PER_PERMIT).map(|_| password_hasher.queue.try_acquire().unwrap()).collect();
        assert_eq!(password_hasher.verify("ann", "x".into(), None).await, Err(Busy));
        drop(waiting);
        assert_eq!(password_hasher.verify("ann", "x".into(), None).await, Ok(false));
    }

    /// An account that does not wait for Ann's turn.
    fn with_another_turn(password_hasher: &PasswordHasher) -> &'static str {
        let is_other = |account: &&str| {
            !Arc::ptr_eq(password_hasher.turn(account), password_hasher.turn("ann"))
        };
        ["bo", "cy", "di", "ed"].into_iter().find(is_other).unwrap()
    }

    #[tokio::test]
    async fn requests_that_wait_for_their_accounts_turn_are_in_no_others_way() {
        let password_hasher = PasswordHasher::new(2);
        let other = with_another_turn(&password_hasher);
        let turn = password_hasher.turn("ann").try_acquire().unwrap();
        let mut waiting: Vec<_> =
            (0..200).map(|_| Box::pin(password_hasher.verify("ann", "x".into(), None))).collect();
        assert!(waiting.iter_mut().all(|request| request.now_or_never().is_none()));
        assert_eq!(password_hasher.verify(other, "x".into(), None).await, Ok(false));
        drop((turn, waiting));
        assert_eq!(password_hasher.verify("ann", "x".into(), None).await, Ok(false));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_account_is_given_one_hash_at_a_time() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        let password_hasher = PasswordHasher::new(4);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            password_hasher.in_turn("ann", move || {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::sleep(Duration::from_millis(5));
                running.fetch_sub(1, SeqCst);
            })
        };
        let all = futures_util::future::join_all((0..20).map(|_| work())).await;
        assert!(all.into_iter().all(|result| result.is_ok()));
        assert_eq!(most.load(SeqCst), 1);
        // Two accounts meet here, or the test would not end.
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let meet = |account| {
            let barrier = Arc::clone(&barrier);
            password_hasher.in_turn(account, move || {
                barrier.wait();
            })
        };
        let other = with_another_turn(&password_hasher);
        let (one, other) = tokio::join!(meet("ann"), meet(other));
        assert_eq!((one, other), (Ok(()), Ok(())));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hashing_is_less_urgent_than_answering() {
        // Field 19 of proc(5)'s stat, counted after the name in parentheses.
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
            fields.nth(16).unwrap().parse::<i32>().unwrap()
        };
        let here = nice();
        let there = PasswordHasher::new(1).in_turn("ann", nice).await.unwrap();
        assert_eq!(there, (here + NICENESS).min(19));
        assert_eq!(nice(), here);
    }
}
