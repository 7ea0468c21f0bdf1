//! What became of a change whose COMMIT was not answered (`docs/contract.md#rule-10`).
//!
//! When the connection breaks in that moment, a token may have been used up although the answer was never received. A
//! task finds out, however long the database stays away. If the request still waits, it answers as if nothing had
//! happened. If it does not, the task undoes what the lost answer has cost, so that an honest retry is not taken for theft.

use std::sync::Arc;
use std::time::Duration;

use foundation::time::Timestamp;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::ids::{EventId, FamilyId};
use crate::domain::refresh_token::{RefreshToken, SecretHash};
use crate::store::{self, Family, Store};

/// The time that a request waits for the task.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The number of times that the task asks the database.
const MAX_TRIES: usize = 6_000;
/// Time between two tries.
const INTERVAL: Duration = Duration::from_millis(100);
/// Changes looked after at once, per process. Further ones are faults like any other.
static PERMITS: Semaphore = Semaphore::const_new(256);

/// A change that may have been made.
pub(super) enum Change {
    /// A delegation token was redeemed, in the transaction that writes this event.
    Redemption {
        /// The family.
        family: FamilyId,
        /// The id of the event.
        event: EventId,
    },
    /// A family was rotated.
    Rotation {
        /// The family.
        family: FamilyId,
        /// The hash of the secret in its tokens.
        secret_hash: SecretHash,
        /// The generation after the rotation.
        generation: u32,
        /// The caller of the request.
        caller: Caller,
        /// The time of the rotation.
        rotated_at: Timestamp,
    },
}

/// The knowledge about a change.
pub(super) enum Fate {
    /// The change was made; the family after it.
    Committed(Box<Family>),
    /// The change was not made, and will not be.
    NotCommitted,
    /// The database does not tell in time.
    Unknown,
}

impl Change {
    /// The rotation of a family by this token.
    pub(super) fn rotation(token: &RefreshToken, caller: &Caller, now: Timestamp) -> Self {
        Self::Rotation {
            family: token.family,
            secret_hash: token.secret.hash(),
            generation: token.generation + 1,
            caller: caller.clone(),
            rotated_at: now,
        }
    }

    /// Finds out whether the change was made.
    pub(super) async fn fate(self, authority: &Arc<Authority>) -> Fate {
        let Ok(permit) = PERMITS.try_acquire() else { return Fate::Unknown };
        let (tell, mut told) = oneshot::channel();
        let shared = Arc::clone(authority);
        authority.runtime.spawn(async move {
            let _permit = permit;
            if let Some(family) = self.find_out(&shared.store, tell).await {
                self.undo(&shared, &family).await;
            }
        });
        let told = if let Ok(told) = timeout(REQUEST_TIMEOUT, &mut told).await {
            told.ok()
        } else {
            told.close();
            told.try_recv().ok()
        };
        match told {
            Some(Some(family)) => Fate::Committed(Box::new(family)),
            Some(None) => Fate::NotCommitted,
            None => Fate::Unknown,
        }
    }

    /// Asks the database until it answers, and tells the request. Returns the family if the change was made and the
    /// request does not wait any more.
    async fn find_out(
        &self,
        store: &Store,
        tell: oneshot::Sender<Option<Family>>,
    ) -> Option<Family> {
        for _ in 0..MAX_TRIES {
            match self.committed(store).await {
                Ok(found) => return tell.send(found).err().flatten(),
                Err(_) => sleep(INTERVAL).await,
            }
        }
        None
    }

    /// Returns the family if the change was made and nothing came after it.
    async fn committed(&self, store: &Store) -> store::Result<Option<Family>> {
        match self {
            Self::Redemption { family, event } => {
                let family = store.settled_family(*family).await?;
                let written = store.has_event(*event).await?;
                Ok(family.filter(|family| written && family.state.generation == 1))
            }
            Self::Rotation { family, secret_hash, generation, caller, rotated_at } => {
                let family = store.settled_family(*family).await?;
                Ok(family.filter(|family| {
                    family.secret_hash == *secret_hash
                        && family.state.generation == *generation
                        && family.state.rotated_at == *rotated_at
                        && family.rotated_ip == caller.ip
                        && family.rotated_user_agent == caller.user_agent
                }))
            }
        }
    }

    /// Makes a delegation token redeemable again; lets the grace of a refresh token begin anew.
    async fn undo(&self, authority: &Authority, family: &Family) {
        let undone = match self {
            Self::Redemption { .. } => authority.store.undo_redemption(family).await,
            Self::Rotation { .. } => authority.store.renew_grace(family, authority.now()).await,
        };
        match undone {
            Ok(()) => {
                info!(family = %family.id, "the answer to a token request was lost; it can be sent again");
            }
            Err(error) => {
                warn!(%error, family = %family.id, "the answer to a token request was lost");
            }
        }
    }
}
