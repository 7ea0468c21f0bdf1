//! PostgreSQL: two committers, families dealt to them by id, each with a connection of its own. All who wait for one
//! of them go into one statement.

use std::collections::HashMap;
use std::time::Duration;

use database::Error;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::{MAX_BATCH, ROTATE, RotatedRow, Rotation, Waiting, respond_all};

/// How many commit at once. More are slower: they share one log, and each of their batches is smaller.
pub(super) const COMMITTERS: usize = 2;
/// As long as there are no more than so few under way, each goes at once, in a statement of its own: that is faster than
/// one statement over arrays, but takes more of the processor.
const FEW: usize = 8;
/// So it is left after more have come at once, until so many times in a row there were few.
const CALM: u32 = 32;
/// A statement that takes longer is given up, and its connection with it: the server ends it after ten seconds.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a batch waits for rows that somebody else holds.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// A connection that was not used for so long is tried before it is trusted.
const STALE: Duration = Duration::from_secs(1);

/// The guard is that of [`ROTATE`], over arrays.
const ROTATE_BATCH: &str = "UPDATE families f SET generation = f.generation + 1, rotated_at = w.now, rotated_ip = w.ip,
         rotated_user_agent = w.user_agent, idle_expires_at = LEAST(f.expires_at, w.idle_expires_at)
     FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::uuid[], $6::bigint[], $7::bytea[],
                 $8::text[], $9::bigint[])
              AS w (now, ip, user_agent, idle_expires_at, family, generation, secret_hash, client_id, client_version)
          -- `OFFSET 0`: looked up for each of them, however many clients there are.
          CROSS JOIN LATERAL (SELECT outlives_sign_out FROM clients
                              WHERE client_id = w.client_id AND version = w.client_version AND enabled OFFSET 0) a,
          users u, browser_sessions i
     WHERE f.id = w.family AND f.generation = w.generation AND f.generation > 0
       AND f.secret_hash = w.secret_hash AND f.client_id = w.client_id
       AND f.ended_at IS NULL AND f.expires_at > w.now AND f.idle_expires_at > w.now
       AND u.id = f.user_id AND u.enabled AND u.epoch = f.user_epoch
       AND i.id = f.browser_session_id AND (i.ended_at IS NULL OR a.outlives_sign_out)
     RETURNING f.id, f.user_id, f.scope, f.audience, f.auth_time, f.amr, f.nonce, f.expires_at, f.idle_expires_at";

/// Commits what comes until nobody can ask any more.
pub(super) async fn commit_forever(pool: PgPool, mut queue: mpsc::Receiver<Waiting>) {
    let mut line = Line::new(&pool);
    let mut alone = JoinSet::new();
    let mut calm = CALM;
    let mut waiting = Vec::with_capacity(MAX_BATCH);
    loop {
        if waiting.is_empty() {
            if queue.recv_many(&mut waiting, MAX_BATCH).await == 0 {
                return;
            }
        } else {
            while waiting.len() < MAX_BATCH
                && let Ok(next) = queue.try_recv()
            {
                waiting.push(next);
            }
        }
        // Whoever hung up meanwhile loses nothing if the family stays where it is.
        waiting.retain(|waiting| !waiting.answer.is_closed());
        while alone.try_join_next().is_some() {}
        calm = if waiting.len() > FEW { 0 } else { calm.saturating_add(1) };
        if waiting.len() + alone.len() <= FEW && calm > CALM {
            for waiting in waiting.drain(..) {
                alone.spawn(rotate_alone(pool.clone(), waiting));
            }
            continue;
        }
        waiting = commit(&pool, &mut line, &mut alone, std::mem::take(&mut waiting)).await;
    }
}

/// One statement of its own, which nobody else waits for.
async fn rotate_alone(pool: PgPool, waiting: Waiting) {
    let wanted = &waiting.wanted;
    let rotated = sqlx::query_as::<_, RotatedRow>(ROTATE)
        .bind(wanted.now.millis())
        .bind(&wanted.ip)
        .bind(&wanted.user_agent)
        .bind(wanted.idle_expires_at.millis())
        .bind(wanted.family)
        .bind(i64::from(wanted.generation))
        .bind(wanted.secret_hash.as_bytes())
        .bind(&wanted.client_id)
        .bind(wanted.client_version)
        .fetch_optional(&pool)
        .await;
    let rotated = rotated.map(|row| row.map(|row| wanted.grant(row))).map_err(Error::from);
    waiting.respond(rotated);
}

/// Commits a batch, and gives back who has to wait for the next: a family is rotated once by a statement, so the second
/// of two tries of one family comes after the first.
async fn commit(
    pool: &PgPool,
    line: &mut Line,
    alone: &mut JoinSet<()>,
    all: Vec<Waiting>,
) -> Vec<Waiting> {
    let mut batch: HashMap<Uuid, Waiting> = HashMap::with_capacity(all.len());
    let mut later = Vec::new();
    for waiting in all {
        match batch.entry(waiting.wanted.family) {
            std::collections::hash_map::Entry::Vacant(place) => drop(place.insert(waiting)),
            std::collections::hash_map::Entry::Occupied(_) => later.push(waiting),
        }
    }
    match line.rotate_batch(batch.values().map(|waiting| &waiting.wanted)).await {
        Ok(rows) => {
            for row in rows {
                let Some(first) = batch.remove(&row.0) else { continue };
                // Nothing but a newer token can move the family from where it is now.
                let newest = first.wanted.generation;
                refuse(&mut later, |other| {
                    other.family == first.wanted.family && other.generation <= newest
                });
                let grant = first.wanted.grant(row);
                first.respond(Ok(Some(grant)));
            }
            for (_, first) in batch {
                refuse(&mut later, |other| other.is_duplicate_of(&first.wanted));
                first.respond(Ok(None));
            }
        }
        // Somebody else has one of the rows: each waits on its own, and holds up nobody else.
        Err(fault) if is_about_locks(&fault) => {
            for (_, waiting) in batch {
                alone.spawn(rotate_alone(pool.clone(), waiting));
            }
        }
        Err(fault) => respond_all(batch.into_values(), &fault.into()),
    }
    later
}

/// Tells those who cannot move their families any more.
fn refuse(later: &mut Vec<Waiting>, cannot: impl Fn(&Rotation) -> bool) {
    later.extract_if(.., |other| cannot(&other.wanted)).for_each(|other| other.respond(Ok(None)));
}

/// Leaves room in the pages of the table, so that a move stays in its page and touches no index.
pub(super) async fn leave_room(pool: &PgPool) -> sqlx::Result<()> {
    let roomy: bool = sqlx::query_scalar(
        "SELECT COALESCE(reloptions, '{}') @> '{fillfactor=85}' FROM pg_class WHERE oid = 'families'::regclass",
    )
    .fetch_one(pool)
    .await?;
    if !roomy {
        sqlx::query("ALTER TABLE families SET (fillfactor = 85)").execute(pool).await?;
    }
    Ok(())
}

/// Whether somebody else's lock was in the way: SQLSTATE `lock_not_available`, `deadlock_detected`.
fn is_about_locks(fault: &sqlx::Error) -> bool {
    fault
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03" || code == "40P01")
}

/// A committer's own connection.
struct Line {
    options: PgConnectOptions,
    open: Option<(PgConnection, Instant)>,
}

impl Line {
    fn new(pool: &PgPool) -> Self {
        let lock_timeout = format!("{}ms", LOCK_TIMEOUT.as_millis());
        let options = pool.connect_options().as_ref().clone().options([
            // A row that somebody else holds must not hold up everybody.
            ("lock_timeout", lock_timeout.as_str()),
            // One plan for ever: every table by its primary key, however old the statistics are.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
        ]);
        Self { options, open: None }
    }

    /// The rows of the families that rotated.
    async fn rotate_batch(
        &mut self,
        wanted: impl Iterator<Item = &Rotation>,
    ) -> sqlx::Result<Vec<RotatedRow>> {
        let mut all = Columns::default();
        wanted.for_each(|wanted| all.push(wanted));
        let rotated = tokio::time::timeout(PATIENCE, async {
            let connection = self.connection().await?;
            all.query().fetch_all(connection).await
        });
        let rotated = rotated.await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        if rotated.as_ref().is_err_and(|error| !is_about_locks(error)) {
            self.open = None;
        }
        rotated
    }

    async fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        if let Some((connection, used_at)) = &mut self.open
            && used_at.elapsed() > STALE
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

/// The parameters of [`ROTATE_BATCH`].
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
}

impl<'a> Columns<'a> {
    fn push(&mut self, wanted: &'a Rotation) {
        self.now.push(wanted.now.millis());
        self.ip.push(&wanted.ip);
        self.user_agent.push(&wanted.user_agent);
        self.idle_expires_at.push(wanted.idle_expires_at.millis());
        self.family.push(wanted.family);
        self.generation.push(i64::from(wanted.generation));
        self.secret_hash.push(wanted.secret_hash.as_bytes());
        self.client_id.push(&wanted.client_id);
        self.client_version.push(wanted.client_version);
    }

    fn query(
        &'a self,
    ) -> sqlx::query::QueryAs<'a, sqlx::Postgres, RotatedRow, sqlx::postgres::PgArguments> {
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
    }
}
