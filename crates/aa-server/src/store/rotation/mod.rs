//! Moving families on: the compare-and-set that decides every race between refreshes, many of them in one commit.
//!
//! Whoever comes while a commit is under way goes into the next one, so nobody waits for company. What a batch holds
//! does not matter to its members: each is decided by the same guard as if it came alone (`docs/decisions/0009`).

mod postgres;
mod sqlite;

use std::sync::{Arc, OnceLock};

use database::{Db, Either, Error, Result};
use foundation::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::{Grant, Store};
use crate::domain::refresh_token::SecretHash;

/// The most that go into one commit.
const MAX_BATCH: usize = 256;
/// The most that wait for an answer. More are told to come back.
pub const MAX_WAITING: usize = 4096;
/// One statement for one move, as either database does it. Its parameters stand in the order of their numbers, as rusqlite counts them.
pub const ROTATE: &str =
    "UPDATE families SET generation = generation + 1, rotated_at = $1, rotated_ip = $2,
         rotated_user_agent = $3,
         idle_expires_at = CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END
     WHERE id = $5 AND generation = $6 AND generation > 0 AND secret_hash = $7 AND client_id = $8
       AND ended_at IS NULL AND expires_at > $1 AND idle_expires_at > $1
       AND EXISTS (SELECT 1 FROM users u
                   WHERE u.id = families.user_id AND u.enabled AND u.epoch = families.user_epoch)
       AND EXISTS (SELECT 1 FROM clients a JOIN browser_sessions i ON i.id = families.browser_session_id
                   WHERE a.client_id = families.client_id AND a.enabled AND a.version = $9
                     AND (i.ended_at IS NULL OR a.outlives_sign_out))
     RETURNING id, user_id, scope, audience, auth_time, amr, nonce, expires_at, idle_expires_at";

/// The columns of `RETURNING`, in its order.
type RotatedRow = (Uuid, Uuid, String, String, i64, String, Option<String>, i64, i64);

/// A family is to be rotated on by the newest of its refresh tokens.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The family that the token names.
    pub family: Uuid,
    /// The generation that the token is of.
    pub generation: u32,
    /// Of the secret that the token carries.
    pub secret_hash: SecretHash,
    /// The app that presents it.
    pub client_id: String,
    /// The version of the app's registration that was looked at.
    pub client_version: i64,
    /// Until when the next move has to come.
    pub idle_expires_at: Timestamp,
    /// Where from.
    pub ip: String,
    /// By what.
    pub user_agent: String,
    /// When.
    pub now: Timestamp,
}

impl Rotation {
    /// Whether this one cannot succeed where the other, of the same moment or before, did not.
    fn is_duplicate_of(&self, other: &Self) -> bool {
        self.now >= other.now
            && self.family == other.family
            && self.generation == other.generation
            && self.secret_hash == other.secret_hash
            && self.client_id == other.client_id
            && self.client_version == other.client_version
    }

    fn grant(&self, row: RotatedRow) -> Grant {
        let (family, user_id, scope, audience, auth_time, amr, nonce, expires_at, ends_at) = row;
        Grant {
            family,
            generation: self.generation + 1,
            user_id,
            scope,
            audience,
            auth_time,
            amr,
            nonce,
            expires_at: Timestamp::from_millis(expires_at),
            ends_at: Timestamp::from_millis(ends_at),
        }
    }
}

impl Store {
    /// Sets up the table of families for rotation, where the schema alone cannot: once for a database.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prepare_for_moves(&self) -> Result<()> {
        match self.db.write() {
            Either::Sqlite(_) => Ok(()),
            Either::Postgres(pool) => Ok(postgres::leave_room(pool).await?),
        }
    }

    /// Moves a family on to the next generation, if it stands where the token says and all it hangs on is live, the
    /// app's registration as it was looked at included. `None` when not; nothing is changed then.
    ///
    /// Dropping the future leaves no half-done move: it takes place or does not.
    ///
    /// # Errors
    /// [`Error::Unavailable`], also when too many wait: nothing has been changed that a retry would not find.
    pub async fn rotate(&self, wanted: Rotation) -> Result<Option<Grant>> {
        let full = || unavailable("too many refreshes wait");
        let _place = self.rotations.0.places.try_acquire().map_err(|_| full())?;
        let (answer, answered) = oneshot::channel();
        let queue = self.rotations.queue_of(wanted.family);
        queue.try_send(Waiting { wanted, answer }).map_err(|_| full())?;
        // Committers have patience of their own with the database, and answer in any case.
        answered.await.unwrap_or_else(|_| Err(unavailable("the refresh was given up")))
    }
}

fn unavailable(why: &str) -> Error {
    Error::Unavailable(why.into())
}

/// Somebody who waits for a move.
struct Waiting {
    wanted: Rotation,
    answer: oneshot::Sender<Result<Option<Grant>>>,
}

impl Waiting {
    fn respond(self, rotated: Result<Option<Grant>>) {
        // Nobody may be there any more: the client hung up.
        let _ = self.answer.send(rotated);
    }
}

/// Tells everybody that there was a fault, and the operator which.
fn respond_all(batch: impl ExactSizeIterator<Item = Waiting>, fault: &Error) {
    tracing::warn!(%fault, refreshes = batch.len(), "refreshes could not be committed");
    for waiting in batch {
        waiting.respond(Err(unavailable(&fault.to_string())));
    }
}

/// The way to the committers, which start when there is something to commit and end with the last clone.
#[derive(Debug, Clone)]
pub(super) struct RotationQueue(Arc<Queues>);

#[derive(Debug)]
struct Queues {
    db: Db,
    runtime: Handle,
    places: Semaphore,
    queues: OnceLock<Vec<mpsc::Sender<Waiting>>>,
}

impl RotationQueue {
    /// Must be called within the runtime that the committers shall run in.
    pub(super) fn new(db: &Db) -> Self {
        let runtime = Handle::current();
        let places = Semaphore::new(MAX_WAITING);
        Self(Arc::new(Queues { db: db.clone(), runtime, places, queues: OnceLock::new() }))
    }

    /// A family is always committed by the same committer, so that no two wait for each other's rows.
    fn queue_of(&self, family: Uuid) -> &mpsc::Sender<Waiting> {
        let queues = self.0.queues.get_or_init(|| self.0.start());
        &queues[usize::from(family.as_bytes()[15]) % queues.len()]
    }
}

impl Queues {
    fn start(&self) -> Vec<mpsc::Sender<Waiting>> {
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
