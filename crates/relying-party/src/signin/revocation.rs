//! Refresh tokens that the provider is told of because their session has ended here.
//!
//! A token is kept in the store, sealed, from before the provider is asked until it has answered: a provider that is
//! away and a restart only delay it.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tracing::{error, info, warn};

use super::{RelyingParty, SESSION_TTL};
use crate::ProviderError;
use crate::session::{IdHash, PendingRevocation, StoreError};

/// Interval at which what is due is tried again.
pub const REVOCATION_INTERVAL: Duration = Duration::from_secs(10);
/// Time that a sign-out waits for the provider.
const SIGN_OUT_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_hours(1);
/// Revocations of one round.
const BATCH: u16 = 100;

impl RelyingParty {
    /// Revokes a refresh token at the provider. `false` means that the provider could not be told yet: the token is kept
    /// and tried again, by this process or another one, until it is told or the token has expired.
    pub async fn revoke(&self, refresh_token: SecretString) -> bool {
        let id = IdHash::of(refresh_token.expose_secret());
        let now = self.now();
        let pending = PendingRevocation {
            sealed: self.revocations.seal(id.as_bytes(), refresh_token.expose_secret().as_bytes()),
            id,
            failures: 0,
            next_try_at: now + FIRST_PAUSE,
            expires_at: now + SESSION_TTL,
        };
        if let Err(error) = self.store.keep_revocation(&pending).await {
            error!(%error, "a revocation could not be kept; if the provider is away too, the token lives on");
        }
        let asked = self.provider.revoke(&refresh_token, now);
        match tokio::time::timeout(SIGN_OUT_TIMEOUT, asked).await {
            Ok(Ok(())) => {
                if let Err(error) = self.store.remove_revocation(&pending.id).await {
                    warn!(%error, "a revocation that was made is made again");
                }
                true
            }
            Ok(Err(error)) => {
                warn!(%error, "the provider could not be told of a sign-out; it is tried again");
                false
            }
            Err(_) => {
                warn!("the provider is slow to take a sign-out; it is tried again");
                false
            }
        }
    }

    /// Tries the revocations that are due, and returns how many were made. To be called every [`REVOCATION_INTERVAL`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry_revocations(&self) -> Result<usize, StoreError> {
        let mut made = 0;
        for mut pending in self.store.due_revocations(self.now(), BATCH).await? {
            let unsealed = self.revocations.unseal(pending.id.as_bytes(), &pending.sealed).ok();
            let Some(token) = unsealed.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
            else {
                warn!("a revocation was sealed under another secret, and cannot be made");
                self.store.remove_revocation(&pending.id).await?;
                continue;
            };
            match self.provider.revoke(&token.into(), self.now()).await {
                Ok(()) => {
                    self.store.remove_revocation(&pending.id).await?;
                    made += 1;
                }
                Err(error) => {
                    let pause = pause_after(pending.failures);
                    pending.failures += 1;
                    pending.next_try_at = self.now() + pause;
                    self.store.keep_revocation(&pending).await?;
                    warn!(%error, failures = pending.failures, "the provider could not be told of a sign-out");
                    if matches!(error, ProviderError::Unavailable(_)) {
                        // It is away for the others too.
                        break;
                    }
                }
            }
        }
        if made > 0 {
            info!(made, "the provider has been told of earlier sign-outs");
        }
        Ok(made)
    }
}

/// The pause after a failure, if so many were before it.
fn pause_after(failures: i64) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX).min(16);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let pauses: Vec<u64> =
            [0, 1, 2, 8, 9, 99, i64::MAX].map(|n| pause_after(n).as_secs()).into();
        assert_eq!(pauses, [10, 20, 40, 2_560, 3_600, 3_600, 3_600]);
    }
}
