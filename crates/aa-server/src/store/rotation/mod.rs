//! Rotation of refresh tokens: the compare-and-set that decides every race, with many of them in one commit.
//!
//! Requests that arrive during a commit go into the next one, so no request waits for a batch to fill. The rest of a
//! batch does not matter to its members: the guard decides each of them as if it had come alone
//! (`docs/decisions/0009`).

mod pending;
mod postgres;
mod sqlite;
mod statement;

use std::sync::{Arc, OnceLock};

use database::{Db, Either, Error, Result};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::pending::{PendingRotation, unavailable};
use super::family::Grant;
use crate::domain::ids::FamilyId;

pub use self::statement::{ROTATE, Rotation};

/// Rotations that wait for their result, at most. Further ones fail with
/// [`Error::Busy`].
pub const MAX_WAITING: usize = 4096;

/// The queues of the committers. These start with the first rotation and end when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct RotationQueue(Arc<Queues>);

#[derive(Debug)]
struct Queues {
    db: Db,
    runtime: Handle,
    permits: Semaphore,
    queues: OnceLock<Vec<mpsc::Sender<PendingRotation>>>,
}

impl RotationQueue {
    /// Queues a rotation and waits for its result.
    pub(super) async fn rotate(&self, rotation: Rotation) -> Result<Option<Grant>> {
        let full = || Error::Busy("too many refreshes wait");
        let _permit = self.0.permits.try_acquire().map_err(|_| full())?;
        let (answer, answered) = oneshot::channel();
        let queue = self.queue_of(rotation.family);
        queue.try_send(PendingRotation { rotation, answer }).map_err(|_| full())?;
        // No timeout here: committers limit how long a statement may take, and always respond.
        answered.await.unwrap_or_else(|_| Err(unavailable("the refresh was given up")))
    }

    /// Rotations that wait for their result.
    pub(super) fn waiting(&self) -> usize {
        MAX_WAITING - self.0.permits.available_permits()
    }

    /// Queues for this database. Committers will run in the current runtime.
    ///
    /// # Panics
    /// Outside a runtime.
    pub(super) fn new(db: &Db) -> Self {
        let runtime = Handle::current();
        let permits = Semaphore::new(MAX_WAITING);
        Self(Arc::new(Queues { db: db.clone(), runtime, permits, queues: OnceLock::new() }))
    }

    /// The queue of a family. It is always the same one, so that two committers never wait for each other's rows.
    fn queue_of(&self, family: FamilyId) -> &mpsc::Sender<PendingRotation> {
        let queues = self.0.queues.get_or_init(|| self.0.start());
        &queues[usize::from(family.uuid().as_bytes()[15]) % queues.len()]
    }
}

impl Queues {
    fn start(&self) -> Vec<mpsc::Sender<PendingRotation>> {
        let committers = match self.db.write() {
            Either::Sqlite(_) => 1,
            Either::Postgres(_) => postgres::COMMITTERS,
        };
        (0..committers)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(MAX_WAITING);
                match self.db.write() {
                    Either::Sqlite(pool) => {
                        sqlite::start(pool.clone(), self.runtime.clone(), receiver);
                    }
                    Either::Postgres(pool) => {
                        self.runtime.spawn(postgres::commit_forever(pool.clone(), receiver));
                    }
                }
                sender
            })
            .collect()
    }
}
