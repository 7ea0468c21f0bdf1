//! PostgreSQL: two committers, each with its own connection. A family's id decides which of them rotates it. Rotations
//! that wait for the same committer go into one statement.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use database::Error;
use futures_util::FutureExt as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool};
use sqlx::query::QueryAs;
use sqlx::{ConnectOptions as _, Connection as _, FromRow as _, Postgres};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::pending::{MAX_BATCH, PendingRotation, RESTART_DELAY, respond_all};
use super::statement::{RotatedRow, Rotation};
use crate::domain::ids::FamilyId;

/// Committers per process. More are slower: they share one write-ahead log, and each of their batches is smaller.
pub(super) const COMMITTERS: usize = 2;
/// Rotations under way, at most, for each to have a statement of its own. That answers sooner than one statement over
/// arrays, but takes more CPU time.
const MAX_SINGLE: usize = 8;
/// Rounds with at most [`MAX_SINGLE`] rotations that must follow a larger one before single statements are used again.
const QUIET_ROUNDS: u32 = 32;
/// The time that a batch may take before it fails and its connection is closed. Longer than the `statement_timeout` of ten
/// seconds, at which the server cancels a statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(12);
/// The time that a batch waits for rows that another transaction has locked.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// Idle time after which a connection is tested before it is used.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// Rotates many families, at most once each. Its guard is that of [`ROTATE`](super::ROTATE), over arrays.
const ROTATE_BATCH: &str = "UPDATE families f SET generation = f.generation + 1, rotated_at = w.now, rotated_ip = w.ip,
         rotated_user_agent = w.user_agent, idle_expires_at = LEAST(f.expires_at, w.idle_expires_at)
     FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::uuid[], $6::bigint[], $7::bytea[],
                 $8::text[], $9::bigint[], $10::text[])
              AS w (now, ip, user_agent, idle_expires_at, family, generation, secret_hash, client_id, client_version,
                    dpop_jkt)
          -- `OFFSET 0`: looked up for each of them, however many clients there are.
          CROSS JOIN LATERAL (SELECT outlives_sign_out FROM clients
                              WHERE client_id = w.client_id AND version = w.client_version AND enabled OFFSET 0) a,
          users u, browser_sessions i
     WHERE f.id = w.family AND f.generation = w.generation AND f.generation > 0
       AND f.secret_hash = w.secret_hash AND f.client_id = w.client_id
       AND f.ended_at IS NULL AND f.expires_at > w.now AND f.idle_expires_at > w.now
       AND u.id = f.user_id AND u.enabled AND u.epoch = f.user_epoch
       AND i.id = f.browser_session_id AND (i.ended_at IS NULL OR a.outlives_sign_out)
       AND (f.dpop_jkt IS NULL OR f.dpop_jkt = w.dpop_jkt)
     RETURNING f.id, f.user_id, f.scope, f.audience, f.auth_time, f.amr, f.nonce, f.expires_at, f.idle_expires_at,
         f.user_epoch, f.resources";

/// Commits rotations until the queue is closed. A panic costs the batch it happens in, and nothing more.
pub(super) async fn commit_forever(pool: PgPool, mut queue: mpsc::Receiver<PendingRotation>) {
    while AssertUnwindSafe(commit_until_closed(&pool, &mut queue)).catch_unwind().await.is_err() {
        tracing::error!("a committer of refreshes has panicked; it starts anew");
        tokio::time::sleep(RESTART_DELAY).await;
    }
}

async fn commit_until_closed(pool: &PgPool, queue: &mut mpsc::Receiver<PendingRotation>) {
    let mut connection = BatchConnection::new(pool);
    let mut singles = JoinSet::new();
    let mut quiet_rounds = QUIET_ROUNDS;
    let mut pending = Vec::with_capacity(MAX_BATCH);
    loop {
        if pending.is_empty() {
            if queue.recv_many(&mut pending, MAX_BATCH).await == 0 {
                return;
            }
        } else {
            while pending.len() < MAX_BATCH
                && let Ok(next) = queue.try_recv()
            {
                pending.push(next);
            }
        }
        pending.retain(|pending| !pending.is_abandoned());
        while singles.try_join_next().is_some() {}
        quiet_rounds = if pending.len() > MAX_SINGLE { 0 } else { quiet_rounds.saturating_add(1) };
        if pending.len() + singles.len() <= MAX_SINGLE && quiet_rounds > QUIET_ROUNDS {
            for pending in pending.drain(..) {
                singles.spawn(rotate_single(pool.clone(), pending));
            }
            continue;
        }
        pending = commit(pool, &mut connection, &mut singles, std::mem::take(&mut pending)).await;
    }
}

/// Rotates one family by a statement of its own, which no other rotation waits for.
async fn rotate_single(pool: PgPool, pending: PendingRotation) {
    let rotation = &pending.rotation;
    let query = rotation.query::<Postgres>().try_map(|row| RotatedRow::from_row(&row));
    let rotated = query.fetch_optional(&pool).await;
    let rotated = rotated.map_err(Error::from);
    let grant = rotated.and_then(|row| row.map(|row| rotation.grant(row)).transpose());
    pending.respond(grant);
}

/// Commits a batch, and returns the rotations for the next one: a statement rotates a family at most once, so the second
/// of two rotations of one family comes after the first.
async fn commit(
    pool: &PgPool,
    connection: &mut BatchConnection,
    singles: &mut JoinSet<()>,
    all: Vec<PendingRotation>,
) -> Vec<PendingRotation> {
    let mut batch: HashMap<FamilyId, PendingRotation> = HashMap::with_capacity(all.len());
    let mut later = Vec::new();
    for pending in all {
        match batch.entry(pending.rotation.family) {
            Entry::Vacant(entry) => drop(entry.insert(pending)),
            Entry::Occupied(_) => later.push(pending),
        }
    }
    match connection.rotate_batch(batch.values().map(|pending| &pending.rotation)).await {
        Ok(rows) => {
            for row in rows {
                let Some(first) = batch.remove(&row.id) else { continue };
                // The family has a newer token now: rotations by this one or by older ones fail.
                let rotated = first.rotation.generation;
                reject(&mut later, |other| {
                    other.family == first.rotation.family && other.generation <= rotated
                });
                let grant = first.rotation.grant(row).map(Some);
                first.respond(grant);
            }
            for (_, first) in batch {
                reject(&mut later, |other| other.is_duplicate_of(&first.rotation));
                first.respond(Ok(None));
            }
        }
        // Another transaction has locked one of the rows: each rotation gets its own statement, so that only those of
        // the locked families wait.
        Err(fault) if is_lock_conflict(&fault) => {
            for (_, pending) in batch {
                singles.spawn(rotate_single(pool.clone(), pending));
            }
        }
        Err(fault) => respond_all(batch.into_values(), &fault.into()),
    }
    later
}

/// Responds to the rotations that are certain to fail, and removes them.
fn reject(later: &mut Vec<PendingRotation>, must_fail: impl Fn(&Rotation) -> bool) {
    let rejected = later.extract_if(.., |other| must_fail(&other.rotation));
    rejected.for_each(|other| other.respond(Ok(None)));
}

/// Recognises SQLSTATE `lock_not_available` and `deadlock_detected`.
fn is_lock_conflict(fault: &sqlx::Error) -> bool {
    fault
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03" || code == "40P01")
}

/// A committer's own connection, opened when needed, and when it was last used.
struct BatchConnection {
    options: PgConnectOptions,
    open: Option<(PgConnection, Instant)>,
}

impl BatchConnection {
    fn new(pool: &PgPool) -> Self {
        let lock_timeout = format!("{}ms", LOCK_TIMEOUT.as_millis());
        let options = pool.connect_options().as_ref().clone().options([
            // One locked row must not delay the whole batch.
            ("lock_timeout", lock_timeout.as_str()),
            // A fixed plan, with every table by its primary key, however old the statistics are.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
        ]);
        Self { options, open: None }
    }

    /// Rotates a batch, and returns the rows of the families that were rotated.
    async fn rotate_batch(
        &mut self,
        rotations: impl Iterator<Item = &Rotation>,
    ) -> sqlx::Result<Vec<RotatedRow>> {
        let mut columns = Columns::default();
        rotations.for_each(|rotation| columns.push(rotation));
        let rotated = tokio::time::timeout(STATEMENT_TIMEOUT, async {
            let connection = self.connection().await?;
            columns.query().fetch_all(connection).await
        });
        let rotated = rotated.await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        if rotated.as_ref().is_err_and(|error| !is_lock_conflict(error)) {
            self.open = None;
        }
        rotated
    }

    async fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        if let Some((connection, used_at)) = &mut self.open
            && used_at.elapsed() > STALE_AFTER
            && connection.ping().await.is_err()
        {
            self.open = None;
        }
        let connection = match self.open.take() {
            Some((connection, _)) => connection,
            None => self.options.connect().await?,
        };
        Ok(&mut self.open.insert((connection, now())).0)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this measures how long a connection was idle, not validity"
)]
fn now() -> Instant {
    Instant::now()
}

/// The parameters of [`ROTATE_BATCH`]: one array for each column.
#[derive(Default)]
struct Columns<'a> {
    now: Vec<i64>,
    ip: Vec<&'a str>,
    user_agent: Vec<&'a str>,
    idle_expires_at: Vec<i64>,
    family: Vec<Uuid>,
    generation: Vec<i64>,
    secret_hash: Vec<&'a [u8]>,
    client_id: Vec<&'a str>,
    client_version: Vec<i64>,
    dpop_jkt: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, rotation: &'a Rotation) {
        self.now.push(rotation.now.millis());
        self.ip.push(&rotation.ip);
        self.user_agent.push(&rotation.user_agent);
        self.idle_expires_at.push(rotation.idle_expires_at.millis());
        self.family.push(rotation.family.uuid());
        self.generation.push(i64::from(rotation.generation));
        self.secret_hash.push(rotation.secret_hash.as_bytes());
        self.client_id.push(&rotation.client_id);
        self.client_version.push(rotation.client_version);
        self.dpop_jkt.push(&rotation.dpop_jkt);
    }

    fn query(&'a self) -> QueryAs<'a, Postgres, RotatedRow, PgArguments> {
        sqlx::query_as(ROTATE_BATCH)
            .bind(&self.now)
            .bind(&self.ip)
            .bind(&self.user_agent)
            .bind(&self.idle_expires_at)
            .bind(&self.family)
            .bind(&self.generation)
            .bind(&self.secret_hash)
            .bind(&self.client_id)
            .bind(&self.client_version)
            .bind(&self.dpop_jkt)
    }
}
