//! Signals between the replicas of a program (PostgreSQL's `LISTEN` and `NOTIFY`).

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::{Db, Either, Result};

/// Signals of other replicas. On SQLite there are none.
///
/// A signal can be lost, when a connection breaks or a pooler is in between, so what it tells of must be looked for at
/// intervals too.
#[derive(Debug)]
pub struct Signals {
    db: Db,
    channel: &'static str,
    listener: Option<PgListener>,
}

/// The pause after the server could not be listened to.
const RETRY: Duration = Duration::from_secs(1);

impl Db {
    /// Signals on this channel. The connection, one beside the pool, is made by the first [`Signals::next`].
    pub fn signals(&self, channel: &'static str) -> Signals {
        Signals { db: self.clone(), channel, listener: None }
    }

    /// Sends a signal to every replica that listens. Does nothing on SQLite.
    pub async fn signal(&self, channel: &'static str) -> Result<()> {
        let Either::Postgres(pool) = &self.0 else { return Ok(()) };
        sqlx::query("SELECT pg_notify($1, '')").bind(channel).execute(pool).await?;
        Ok(())
    }
}

impl Signals {
    /// Waits for a signal. Returns too when the connection was lost, because one may have been missed then.
    ///
    /// Can be dropped and called again without losing a signal.
    pub async fn next(&mut self) {
        let Either::Postgres(pool) = &self.db.0 else { return std::future::pending().await };
        if self.listener.is_none() {
            let options = (*pool.connect_options()).clone();
            let one = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
            let connected = async {
                let mut listener = PgListener::connect_with(&one).await?;
                listener.listen(self.channel).await?;
                Ok::<_, sqlx::Error>(listener)
            };
            match connected.await {
                Ok(listener) => self.listener = Some(listener),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
            return;
        }
        if let Some(listener) = &mut self.listener
            && listener.try_recv().await.is_err()
        {
            self.listener = None;
        }
    }
}
