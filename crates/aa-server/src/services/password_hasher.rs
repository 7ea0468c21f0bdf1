//! Hashing passwords, in bounded threads of their own (SPEC §7): 19 MiB and some 13 ms each must not become anybody's
//! lever. A thread keeps its memory for the next password, and gives it back when none comes.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, oneshot};
use zeroize::Zeroize as _;

/// How long somebody waits for a turn before they are told to come back.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many may wait for each that is being hashed.
const QUEUE_PER_PERMIT: usize = 32;
/// How long a thread keeps its memory while no password comes.
const MEMORY_KEPT: Duration = Duration::from_secs(30);
/// The bytes of a hash.
const HASH_BYTES: usize = 32;

/// Hashes and checks passwords: Argon2id, 19 MiB, two passes, one lane.
#[derive(Clone)]
pub struct PasswordHasher {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Thread>>>,
}

/// Everybody's turn is taken, and too many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at this moment")]
pub struct Busy;

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

/// The way to a thread that waits for work.
#[derive(Clone)]
struct Thread(mpsc::Sender<Work>);

/// What Argon2 fills. What is left in it tells of the last password.
#[derive(Default)]
struct Memory(Vec<Block>);

impl Memory {
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        self.0.resize(self.0.len().max(count), Block::new());
        &mut self.0[..count]
    }

    fn give_back(&mut self) {
        self.0.zeroize();
        self.0 = Vec::new();
    }

    /// `None` for parameters that cannot be.
    fn hash(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        bytes: usize,
    ) -> Option<Output> {
        let mut hash = [0; Output::MAX_LENGTH];
        let hash = hash.get_mut(..bytes)?;
        let blocks = self.blocks(argon2.params().block_count());
        argon2.hash_password_into_with_memory(password, salt, hash, blocks).ok()?;
        Output::new(hash).ok()
    }

    /// In PHC form.
    fn hash_new(&mut self, password: &[u8], salt: &[u8]) -> Option<PasswordHash> {
        let argon2 = Argon2::default();
        Some(PasswordHash {
            algorithm: Algorithm::default().ident(),
            version: Some(Version::default().into()),
            params: ParamsString::try_from(argon2.params()).ok()?,
            hash: self.hash(&argon2, password, salt, HASH_BYTES),
            salt: Some(Salt::new(salt).ok()?),
        })
    }

    /// Whether a password has this hash, by the parameters that stand in it.
    fn verify(&mut self, password: &[u8], known: &str) -> Option<bool> {
        let known = PasswordHash::new(known).ok()?;
        let algorithm = Algorithm::try_from(known.algorithm.as_str()).ok()?;
        let version = Version::try_from(known.version?).ok()?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&known).ok()?);
        let (salt, expected) = (known.salt.as_ref()?, known.hash?);
        // Compares in constant time.
        Some(self.hash(&argon2, password, salt, expected.len())? == expected)
    }
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("turns", &self.turns.available_permits())
            .finish_non_exhaustive()
    }
}

impl PasswordHasher {
    /// A pool that hashes so many at once.
    pub fn new(permits: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(permits)),
            waiting: Arc::new(Semaphore::new(permits * (QUEUE_PER_PERMIT + 1))),
            idle: Arc::default(),
        }
    }

    /// Hashes a password with a salt of 16 random bytes, in PHC form.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: SecretString, salt: [u8; 16]) -> Result<String, Busy> {
        self.in_turn(move |memory| {
            let hash = memory.hash_new(password.expose_secret().as_bytes(), &salt);
            hash.expect("the parameters are fixed and valid").to_string()
        })
        .await
    }

    /// Whether a password is the one that was hashed. Without a hash it takes as long, and is not.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Busy> {
        self.in_turn(move |memory| {
            let password = password.expose_secret().as_bytes();
            if let Some(hash) = hash {
                memory.verify(password, &hash).unwrap_or(false)
            } else {
                let _ = memory.hash_new(password, &[0; 16]);
                false
            }
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let _place = self.waiting.try_acquire().map_err(|_| Busy)?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let (answer, answered) = oneshot::channel();
        // Whoever has a turn finds a thread that waits for work, or makes one. The last one still has its memory.
        let thread = self.idle().pop().unwrap_or_else(Thread::start);
        let (idle, again) = (Arc::clone(&self.idle), thread.clone());
        let work: Work = Box::new(move |memory| {
            let result = work(memory);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(again);
            drop(turn);
            // Nobody may be there any more.
            let _ = answer.send(result);
        });
        thread.0.send(work).map_err(|_| Busy)?;
        answered.await.map_err(|_| Busy)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Thread {
    fn start() -> Self {
        let (sender, receiver) = mpsc::channel::<Work>();
        let work = move || {
            let mut memory = Memory::default();
            loop {
                match receiver.recv_timeout(MEMORY_KEPT) {
                    Ok(work) => work(&mut memory),
                    Err(RecvTimeoutError::Timeout) => memory.give_back(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let named = std::thread::Builder::new().name("passwords".to_owned());
        named.spawn(work).expect("the system gives a thread");
        Self(sender)
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher as _;

    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_nothing_else() {
        let password_hasher = PasswordHasher::new(1);
        let hash = password_hasher.hash("tangerine lamp".into(), [1; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(password_hasher.verify("tangerine lamp".into(), Some(hash.clone())).await.unwrap());
        assert!(!password_hasher.verify("tangerine lamq".into(), Some(hash)).await.unwrap());
        assert!(!password_hasher.verify("tangerine lamp".into(), None).await.unwrap());
        for broken in ["broken", "", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0"] {
            assert!(!password_hasher.verify("x".into(), Some(broken.into())).await.unwrap());
        }
    }

    #[tokio::test]
    async fn what_a_hash_says_of_itself_counts() {
        let password_hasher = PasswordHasher::new(1);
        let made = |params| {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_with_salt(b"tangerine lamp", &[2; 16]).unwrap().to_string()
        };
        // Larger and smaller ones in turn, in the same memory.
        for (memory, passes) in [(8 * 1024, 1), (32 * 1024, 3), (1024, 1)] {
            let hash = made(Params::new(memory, passes, 1, None).unwrap());
            assert!(
                password_hasher.verify("tangerine lamp".into(), Some(hash.clone())).await.unwrap()
            );
            assert!(!password_hasher.verify("tangerine lamb".into(), Some(hash)).await.unwrap());
        }
        let ours = password_hasher.hash("tangerine lamp".into(), [2; 16]).await.unwrap();
        assert_eq!(ours, made(Params::default()), "as the library would have done it");
        assert_eq!(password_hasher.idle().len(), 1, "one thread did all of it");
    }

    #[tokio::test]
    async fn a_full_pool_says_so_at_once() {
        let password_hasher = PasswordHasher::new(1);
        let places: Vec<_> = (0..=QUEUE_PER_PERMIT)
            .map(|_| password_hasher.waiting.try_acquire().unwrap())
            .collect();
        assert_eq!(password_hasher.verify("x".into(), None).await, Err(Busy));
        drop(places);
        assert_eq!(password_hasher.verify("x".into(), None).await, Ok(false));
    }
}
