//! The log of ends, for its readers. `store/ends.rs` writes it.

use database::{all, execute, optional};
use foundation::time::Timestamp;
use tokio::sync::futures::Notified;

use super::{Error, Result, Store};
use crate::domain::event::{EndKind, EndReason};
use crate::domain::ids::{BrowserId, BrowserSessionId, FamilyId, UserId};

/// The channel on which replicas tell each other that the log has new positions.
pub const ENDS_CHANNEL: &str = "aa_ends";
/// Families that are read for one end, at most: one browser has some dozen.
const MAX_FAMILIES_OF_END: i64 = 100_000;

/// An end in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRecord {
    /// The position in the log, which is the cursor for [`Store::ends_after`].
    pub serial: i64,
    /// The time of the end.
    pub ended_at: Timestamp,
    /// The kind of thing that ended; it tells which of the ids are set.
    pub kind: EndKind,
    /// The family, of [`EndKind::Family`].
    pub family_id: Option<FamilyId>,
    /// The browser session, of [`EndKind::BrowserSession`] and [`EndKind::Family`].
    pub browser_session_id: Option<BrowserSessionId>,
    /// The browser; not set for a user or client.
    pub browser_id: Option<BrowserId>,
    /// The user; not set for a client.
    pub user_id: Option<UserId>,
    /// The client, of [`EndKind::Client`] and [`EndKind::Family`].
    pub client_id: Option<String>,
    /// The epoch of the user that ended; 0 for other kinds.
    pub user_epoch: i64,
    /// The browser session that stays when the user's epoch ends.
    pub kept_browser_session_id: Option<BrowserSessionId>,
    /// The reason.
    pub reason: EndReason,
    /// More about it for people, as JSON.
    pub detail: Option<String>,
}

#[derive(sqlx::FromRow)]
struct EndRow {
    serial: i64,
    ended_at: Timestamp,
    kind: String,
    family_id: Option<FamilyId>,
    browser_session_id: Option<BrowserSessionId>,
    browser_id: Option<BrowserId>,
    user_id: Option<UserId>,
    client_id: Option<String>,
    user_epoch: i64,
    kept_browser_session_id: Option<BrowserSessionId>,
    reason: String,
    detail: Option<String>,
}

impl EndRow {
    fn read(self) -> Result<EndRecord> {
        let unreadable =
            |column| Error::Inconsistent { table: "ends", column, row: self.serial.to_string() };
        Ok(EndRecord {
            serial: self.serial,
            ended_at: self.ended_at,
            kind: self.kind.parse().map_err(|_| unreadable("kind"))?,
            family_id: self.family_id,
            browser_session_id: self.browser_session_id,
            browser_id: self.browser_id,
            user_id: self.user_id,
            client_id: self.client_id,
            user_epoch: self.user_epoch,
            kept_browser_session_id: self.kept_browser_session_id,
            reason: EndReason::from_stored(&self.reason).ok_or_else(|| unreadable("reason"))?,
            detail: self.detail,
        })
    }
}

impl Store {
    /// Reads up to `limit` ends after this serial, oldest first. A reader that keeps the serial of the last one as its
    /// cursor misses none, in whatever order their transactions commit. 0 begins with the oldest that is kept. Fewer
    /// than `limit` means that there are no more for now.
    ///
    /// Writes when there are new ends, so call it in a spawned task, as [`database::Db::begin`].
    ///
    /// # Errors
    /// [`Error::Inconsistent`] for an end of a kind or reason that this version does not know.
    pub async fn ends_after(&self, cursor: i64, limit: u32) -> Result<Vec<EndRecord>> {
        self.assign_serials(limit).await?;
        let rows = all!(
            self.db.read(),
            EndRow,
            "SELECT serial, ended_at, kind, family_id, browser_session_id, browser_id, user_id, client_id,
                 user_epoch, kept_browser_session_id, reason, detail
             FROM ends WHERE serial > $1 ORDER BY serial LIMIT $2",
            cursor,
            i64::from(limit)
        )?;
        rows.into_iter().map(EndRow::read).collect()
    }

    /// Assigns serials to committed ends that have none. The lock on the counter is held until the commit, so a serial
    /// is visible only after every smaller one is.
    async fn assign_serials(&self, limit: u32) -> Result<()> {
        let waiting = optional!(
            self.db.read(),
            (i64,),
            "SELECT ended_at FROM ends WHERE serial IS NULL LIMIT 1"
        )?;
        if waiting.is_none() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        let last = optional!(tx.on(), (i64,), "UPDATE end_serials SET last = last RETURNING last")?;
        let (last,) = last.ok_or_else(|| Error::Inconsistent {
            table: "end_serials",
            column: "last",
            row: "the only one".to_owned(),
        })?;
        execute!(
            tx.on(),
            "UPDATE ends SET serial = n.serial
             FROM (SELECT id, user_epoch, $1 + ROW_NUMBER() OVER (ORDER BY ended_at, id, user_epoch) AS serial
                   FROM ends WHERE serial IS NULL ORDER BY ended_at, id, user_epoch LIMIT $2) AS n
             WHERE ends.id = n.id AND ends.user_epoch = n.user_epoch",
            last,
            i64::from(limit)
        )?;
        execute!(
            tx.on(),
            "UPDATE end_serials SET last = (SELECT COALESCE(MAX(serial), $1) FROM ends WHERE serial > $1)",
            last
        )?;
        tx.commit().await?;
        // Not in the transaction of the end, which must not wait for the lock that PostgreSQL takes to commit a signal.
        self.db.signal(ENDS_CHANNEL).await
    }

    /// Waits for the next end in this process; one that has happened since the last call counts.
    pub fn next_end(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// The serial before the first end since this time; the newest serial if there is none.
    pub async fn serial_before(&self, since: Timestamp) -> Result<i64> {
        let row = optional!(
            self.db.read(),
            (i64,),
            "SELECT COALESCE((SELECT MIN(serial) - 1 FROM ends WHERE ended_at >= $1),
                             (SELECT last FROM end_serials))",
            since.millis()
        )?;
        Ok(row.map_or(0, |(serial,)| serial))
    }

    /// The redeemed families that an end concerns, of those that were rotated since this time. Of the end of a user these
    /// are the families that stay.
    pub async fn families_of_end(
        &self,
        end: &EndRecord,
        since: Timestamp,
    ) -> Result<Vec<FamilyId>> {
        let rows = match end.kind {
            EndKind::Family => return Ok(end.family_id.into_iter().collect()),
            EndKind::Client | EndKind::Everything => return Ok(Vec::new()),
            EndKind::BrowserSession => {
                all!(
                    self.db.read(),
                    (FamilyId,),
                    "SELECT f.id FROM families f JOIN clients a ON a.client_id = f.client_id
                     WHERE f.user_id = $1 AND f.browser_session_id = $2 AND f.generation > 0
                       AND f.rotated_at >= $3 AND NOT a.outlives_sign_out LIMIT $4",
                    end.user_id,
                    end.browser_session_id,
                    since.millis(),
                    MAX_FAMILIES_OF_END
                )?
            }
            EndKind::Browser => {
                all!(
                    self.db.read(),
                    (FamilyId,),
                    "SELECT id FROM families
                     WHERE user_id = $1 AND browser_id = $2 AND generation > 0 AND ended_at IS NOT NULL
                       AND rotated_at >= $3 LIMIT $4",
                    end.user_id,
                    end.browser_id,
                    since.millis(),
                    MAX_FAMILIES_OF_END
                )?
            }
            EndKind::User => {
                all!(
                    self.db.read(),
                    (FamilyId,),
                    "SELECT id FROM families
                     WHERE user_id = $1 AND browser_session_id = $2 AND generation > 0 AND rotated_at >= $3
                     LIMIT $4",
                    end.user_id,
                    end.kept_browser_session_id,
                    since.millis(),
                    MAX_FAMILIES_OF_END
                )?
            }
        };
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// The longest life, in seconds, of the application tokens that can be valid at `now`. `longest` is that of the tokens
    /// that are issued from now on; a longer one of before counts until its last token has expired.
    pub async fn remember_token_life(&self, longest: i64, now: Timestamp) -> Result<i64> {
        let now = now.secs();
        let known = optional!(
            self.db.read(),
            (i64, i64),
            "SELECT seconds, valid_until FROM longest_token_life"
        )?;
        let (seconds, valid_until) = known.unwrap_or((0, 0));
        if seconds > longest && valid_until > now {
            return Ok(seconds);
        }
        // Not at every call: half a life ahead is enough.
        if seconds != longest || valid_until < now + longest + longest / 2 {
            execute!(
                self.db.write(),
                "UPDATE longest_token_life SET seconds = $1, valid_until = $2
                 WHERE seconds <= $1 OR valid_until <= $3",
                longest,
                now + longest * 2,
                now
            )?;
        }
        Ok(longest)
    }

    /// The longest life, in seconds, of the application tokens that can be valid at `now`; `None` if no replica has said so
    /// by [`Store::remember_token_life`].
    pub async fn longest_token_life(&self, now: Timestamp) -> Result<Option<u64>> {
        let known = optional!(
            self.db.read(),
            (i64,),
            "SELECT seconds FROM longest_token_life WHERE valid_until > $1",
            now.secs()
        )?;
        Ok(known.map(|(seconds,)| seconds.unsigned_abs()))
    }
}
