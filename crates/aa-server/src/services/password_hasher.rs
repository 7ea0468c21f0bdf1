//! Password hashing with bounded concurrency (contract §7): a hash takes 19 MiB and about 13 ms, so requests must not be
//! able to start any number of them.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// The time that a request waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(3);
/// Requests that wait, at most, for each permit.
const QUEUE_PER_PERMIT: usize = 32;

/// Hashes and verifies passwords on the runtime's blocking threads: Argon2id, 19 MiB, two passes, one lane.
///
/// The `zeroize` feature of `argon2` wipes the digests it derives from a password. A [`SecretString`] is wiped when it
/// is dropped.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    /// One for each hash that is being computed.
    permits: Arc<Semaphore>,
    /// One for each request, those that wait included.
    queue: Arc<Semaphore>,
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
        }
    }

    /// Hashes a password with 16 random bytes of salt. Returns the PHC string.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: SecretString, salt: [u8; 16]) -> Result<String, Busy> {
        self.with_permit(move || hash(&password, &salt)).await
    }

    /// Verifies a password against a PHC string, with the parameters that the string names. Without a string it takes as
    /// long, and the result is `false`; it is `false` too for one that cannot be read.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Busy> {
        self.with_permit(move || {
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

    async fn with_permit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let _place = self.queue.try_acquire().map_err(|_| Busy)?;
        let permit =
            tokio::time::timeout(PERMIT_TIMEOUT, Arc::clone(&self.permits).acquire_owned());
        let permit = permit.await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        // The permit is released when the work ends, which it does even if this future is dropped.
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| Busy)
    }
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
    async fn a_hash_is_verified_with_its_own_parameters() {
        let password_hasher = PasswordHasher::new(1);
        let made = |params| {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_with_salt(b"tangerine lamp", &[2; 16]).unwrap().to_string()
        };
        for (memory, passes) in [(8 * 1024, 1), (32 * 1024, 3), (1024, 1)] {
            let hash = made(Params::new(memory, passes, 1, None).unwrap());
            assert!(
                password_hasher.verify("tangerine lamp".into(), Some(hash.clone())).await.unwrap()
            );
            assert!(!password_hasher.verify("tangerine lamb".into(), Some(hash)).await.unwrap());
        }
        let ours = password_hasher.hash("tangerine lamp".into(), [2; 16]).await.unwrap();
        assert_eq!(ours, made(Params::default()));
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once() {
        let password_hasher = PasswordHasher::new(1);
        let waiting: Vec<_> =
            (0..=QUEUE_PER_PERMIT).map(|_| password_hasher.queue.try_acquire().unwrap()).collect();
        assert_eq!(password_hasher.verify("x".into(), None).await, Err(Busy));
        drop(waiting);
        assert_eq!(password_hasher.verify("x".into(), None).await, Ok(false));
    }
}
