//! Rotation of refresh tokens: the compare-and-set that decides every race, with many of them in one commit.
//!
//! Requests that arrive during a commit go into the next one, so no request waits for a batch to fill. The rest of a
//! batch does not matter to its members: the guard decides each of them as if it had come alone
//! (`docs/decisions/0009`).

mod postgres;
mod sqlite;

use std::sync::{Arc, OnceLock};

use database::rusqlite::{self, Statement};
use database::{Db, Either, Error, Result};
use foundation::time::Timestamp;
use sqlx::{Database, Encode, Type, query::Query};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::grant::Grant;
use crate::domain::refresh_token::SecretHash;

/// Rotations in one commit, at most.
const MAX_BATCH: usize = 256;
/// Rotations that wait for their result, at most. Further ones fail with [`Error::Unavailable`].
pub const MAX_WAITING: usize = 4096;
/// Rotates one family, on either database. [`Rotation::query`] and [`Rotation::bind`] give its parameters.
///
/// Parameters first appear in the order of their numbers, because SQLite numbers them by first appearance.
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

/// The columns that a rotation returns, in this order.
#[derive(Debug, sqlx::FromRow)]
struct RotatedRow {
    id: Uuid,
    user_id: Uuid,
    scope: String,
    audience: String,
    auth_time: i64,
    amr: String,
    nonce: Option<String>,
    expires_at: i64,
    idle_expires_at: i64,
}

/// A request to rotate a family, made with its newest refresh token.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The family that the token belongs to.
    pub family: Uuid,
    /// The generation of the token.
    pub generation: u32,
    /// The hash of the secret in the token.
    pub secret_hash: SecretHash,
    /// The client that presents the token.
    pub client_id: String,
    /// The version of the client's metadata that the client was authenticated with.
    pub client_version: i64,
    /// When the family expires unless it is rotated again.
    pub idle_expires_at: Timestamp,
    /// The address of the caller.
    pub ip: String,
    /// The caller's `User-Agent`.
    pub user_agent: String,
    /// The time of the request.
    pub now: Timestamp,
}

impl Rotation {
    /// [`ROTATE`] with this rotation's parameters, for a connection of sqlx.
    pub fn query<'q, DB>(&'q self) -> Query<'q, DB, DB::Arguments>
    where
        DB: Database,
        i64: Encode<'q, DB> + Type<DB>,
        Uuid: Encode<'q, DB> + Type<DB>,
        &'q str: Encode<'q, DB> + Type<DB>,
        &'q [u8]: Encode<'q, DB> + Type<DB>,
    {
        sqlx::query(ROTATE)
            .bind(self.now.millis())
            .bind(self.ip.as_str())
            .bind(self.user_agent.as_str())
            .bind(self.idle_expires_at.millis())
            .bind(self.family)
            .bind(i64::from(self.generation))
            .bind(self.secret_hash.as_bytes())
            .bind(self.client_id.as_str())
            .bind(self.client_version)
    }

    /// Binds this rotation's parameters to [`ROTATE`], prepared on a connection of rusqlite.
    ///
    /// # Errors
    /// When the statement has other parameters.
    pub fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, self.now.millis())?;
        statement.raw_bind_parameter(2, self.ip.as_str())?;
        statement.raw_bind_parameter(3, self.user_agent.as_str())?;
        statement.raw_bind_parameter(4, self.idle_expires_at.millis())?;
        statement.raw_bind_parameter(5, &self.family.as_bytes()[..])?;
        statement.raw_bind_parameter(6, self.generation)?;
        statement.raw_bind_parameter(7, self.secret_hash.as_bytes())?;
        statement.raw_bind_parameter(8, self.client_id.as_str())?;
        statement.raw_bind_parameter(9, self.client_version)
    }

    /// Decides whether this rotation must fail because `other`, made no later than this one, has failed.
    fn is_duplicate_of(&self, other: &Self) -> bool {
        self.now >= other.now
            && self.family == other.family
            && self.generation == other.generation
            && self.secret_hash == other.secret_hash
            && self.client_id == other.client_id
            && self.client_version == other.client_version
    }

    fn grant(&self, row: RotatedRow) -> Grant {
        Grant {
            family: row.id,
            generation: self.generation + 1,
            user_id: row.user_id,
            scope: row.scope,
            audience: row.audience,
            auth_time: row.auth_time,
            amr: row.amr,
            nonce: row.nonce,
            expires_at: Timestamp::from_millis(row.expires_at),
            ends_at: Timestamp::from_millis(row.idle_expires_at),
        }
    }
}

fn unavailable(why: &str) -> Error {
    Error::Unavailable(why.into())
}

/// A rotation in the queue, and the channel for its result.
struct PendingRotation {
    rotation: Rotation,
    answer: oneshot::Sender<Result<Option<Grant>>>,
}

impl PendingRotation {
    fn respond(self, rotated: Result<Option<Grant>>) {
        // Sending fails when the client has disconnected, which changes nothing.
        let _ = self.answer.send(rotated);
    }

    /// Decides whether the request was dropped. Its family need not be rotated then.
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Logs a fault once and responds to every rotation of the batch with it.
fn respond_all(batch: impl ExactSizeIterator<Item = PendingRotation>, fault: &Error) {
    tracing::warn!(%fault, refreshes = batch.len(), "refreshes could not be committed");
    for pending in batch {
        pending.respond(Err(unavailable(&fault.to_string())));
    }
}

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
        let full = || unavailable("too many refreshes wait");
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
    fn queue_of(&self, family: Uuid) -> &mpsc::Sender<PendingRotation> {
        let queues = self.0.queues.get_or_init(|| self.0.start());
        &queues[usize::from(family.as_bytes()[15]) % queues.len()]
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
