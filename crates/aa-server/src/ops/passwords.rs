//! Hashing passwords, in a bounded pool (SPEC §7): 19 MiB and some 13 ms each must not become anybody's lever.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// How long somebody waits for a turn before they are told to come back.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many may wait for each that is being hashed.
const QUEUE_PER_PERMIT: usize = 32;

/// Hashes and checks passwords: Argon2id, 19 MiB, two passes, one lane.
#[derive(Debug, Clone)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Everybody's turn is taken, and too many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at this moment")]
pub struct Busy;

impl Hasher {
    /// A pool that hashes so many at once.
    pub fn new(permits: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(permits)),
            waiting: Arc::new(Semaphore::new(permits * (QUEUE_PER_PERMIT + 1))),
        }
    }

    /// Hashes a password with a salt of 16 random bytes, in PHC form.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: SecretString, salt: [u8; 16]) -> Result<String, Busy> {
        self.in_turn(move || {
            Argon2::default()
                .hash_password_with_salt(password.expose_secret().as_bytes(), &salt)
                .expect("the parameters are fixed and valid")
                .to_string()
        })
        .await
    }

    /// Whether a password is the one that was hashed. Without a hash it takes as long, and is not.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Busy> {
        self.in_turn(move || {
            let password = password.expose_secret().as_bytes();
            if let Some(hash) = hash {
                Argon2::default().verify_password(password, hash.as_str()).is_ok()
            } else {
                let _ = Argon2::default().hash_password_with_salt(password, &[0; 16]);
                false
            }
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let _place = self.waiting.try_acquire().map_err(|_| Busy)?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_nothing_else() {
        let hasher = Hasher::new(1);
        let hash = hasher.hash("tangerine lamp".into(), [1; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify("tangerine lamp".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("tangerine lamq".into(), Some(hash)).await.unwrap());
        assert!(!hasher.verify("tangerine lamp".into(), None).await.unwrap());
        assert!(!hasher.verify("x".into(), Some("broken".into())).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_pool_says_so_at_once() {
        let hasher = Hasher::new(1);
        let places: Vec<_> =
            (0..=QUEUE_PER_PERMIT).map(|_| hasher.waiting.try_acquire().unwrap()).collect();
        assert_eq!(hasher.verify("x".into(), None).await, Err(Busy));
        drop(places);
        assert_eq!(hasher.verify("x".into(), None).await, Ok(false));
    }
}
