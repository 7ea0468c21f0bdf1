//! Consumers of the log of ends whose place is in the database: whichever replica is first moves them forward.

use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::{EndRecord, NewDelivery, Result, Store, outbox};
use crate::domain::event::EndKind;
use crate::domain::ids::{FamilyId, UserId};

/// Sessions that one end makes a consumer tell of, at most.
const MAX_SESSIONS: i64 = 10_000;

/// A session of a client that an end concerns.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EndedSession {
    /// The client.
    pub client_id: String,
    /// The user.
    pub user_id: UserId,
    /// The family; `None` for all of the user at that client.
    pub family_id: Option<FamilyId>,
}

impl Store {
    /// The serial up to which a consumer has taken the log of ends.
    pub async fn end_consumer(&self, name: &str) -> Result<i64> {
        let row = optional!(
            self.db.read(),
            (i64,),
            "SELECT serial FROM end_consumers WHERE name = $1",
            name
        )?;
        Ok(row.map_or(0, |(serial,)| serial))
    }

    /// Moves a consumer forward and adds its deliveries, both or neither. `false` when another replica was faster.
    pub async fn advance_end_consumer(
        &self,
        name: &str,
        (from, to): (i64, i64),
        deliveries: &[NewDelivery<'_>],
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let moved = execute!(
            tx.on(),
            "UPDATE end_consumers SET serial = $1 WHERE name = $2 AND serial = $3",
            to,
            name,
            from
        )?;
        if moved == 0 {
            return Ok(false);
        }
        for delivery in deliveries {
            outbox::enqueue(&mut tx, delivery, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// The redeemed sessions that an end concerns, as their clients know them. None for the end of a client, which is told
    /// nothing more, and of everything.
    pub async fn sessions_of_end(&self, end: &EndRecord) -> Result<Vec<EndedSession>> {
        match end.kind {
            EndKind::Client | EndKind::Everything => Ok(Vec::new()),
            EndKind::Family => {
                all!(
                    self.db.read(),
                    EndedSession,
                    "SELECT client_id, user_id, id AS family_id FROM families WHERE id = $1 AND generation > 0",
                    end.family_id
                )
            }
            EndKind::BrowserSession => {
                all!(
                    self.db.read(),
                    EndedSession,
                    "SELECT f.client_id, f.user_id, f.id AS family_id
                     FROM families f JOIN clients a ON a.client_id = f.client_id
                     WHERE f.user_id = $1 AND f.browser_session_id = $2 AND f.generation > 0
                       AND NOT a.outlives_sign_out AND f.ended_at IS NULL AND f.expires_at > $3 LIMIT $4",
                    end.user_id,
                    end.browser_session_id,
                    end.ended_at,
                    MAX_SESSIONS
                )
            }
            EndKind::Browser => {
                all!(
                    self.db.read(),
                    EndedSession,
                    "SELECT client_id, user_id, id AS family_id FROM families
                     WHERE user_id = $1 AND browser_id = $2 AND generation > 0 AND ended_at = $3 LIMIT $4",
                    end.user_id,
                    end.browser_id,
                    end.ended_at,
                    MAX_SESSIONS
                )
            }
            // If some of the user's sessions stay, the others are told of one by one.
            EndKind::User => {
                all!(
                    self.db.read(),
                    EndedSession,
                    "SELECT DISTINCT f.client_id, f.user_id, CASE WHEN $5 THEN f.id END AS family_id
                     FROM families f JOIN clients a ON a.client_id = f.client_id
                     WHERE f.user_id = $1 AND f.user_epoch = $2 AND f.generation > 0 AND f.ended_at IS NULL
                       AND f.expires_at > $3 AND (a.outlives_sign_out OR EXISTS (
                           SELECT 1 FROM browser_sessions i WHERE i.id = f.browser_session_id AND i.ended_at IS NULL))
                     LIMIT $4",
                    end.user_id,
                    end.user_epoch,
                    end.ended_at,
                    MAX_SESSIONS,
                    end.kept_browser_session_id.is_some()
                )
            }
        }
    }
}
