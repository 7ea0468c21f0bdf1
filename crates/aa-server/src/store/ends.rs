//! The only writer of ends.
//!
//! An end changes the rows that the rules look at (`ended_at`, the user's epoch, the client's `enabled`) and adds one
//! row to the log, in one transaction. Everything that has to be told of ends reads the log (`store/end_log.rs`), and is
//! woken by [`Store::commit_end`].

use database::{Tx, all, execute, optional};
use foundation::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::family::Family;
use super::{Event, Result, Store, inconsistent};
use crate::domain::event::{EndKind, EndReason};
use crate::domain::ids::{BrowserId, BrowserSessionId, FamilyId, UserId};
use crate::domain::refresh_token::SecretHash;

/// A thing to be ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End<'a> {
    /// The family with this id.
    Family(FamilyId),
    /// The browser session with this token.
    BrowserSession(&'a SecretHash),
    /// The sessions and families of a user in one browser.
    Browser { user: UserId, browser: BrowserId },
    /// The epoch of a user, and with it everything of theirs except the session `keep`.
    User { user: UserId, keep: Option<&'a KeptSession> },
    /// The client with this id: it is disabled.
    Client(&'a str),
    /// The epoch of every user.
    Everything,
}

/// The one browser session that stays when its user's epoch ends, with its families. A copy of its cookie does not stay.
#[derive(Debug, Clone)]
pub struct KeptSession {
    /// Its id.
    pub id: BrowserSessionId,
    /// The hash of the token in its new cookie.
    pub new_token_hash: SecretHash,
}

/// An end as it is added to the log.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Ended {
    #[sqlx(default)]
    pub(super) family_id: Option<FamilyId>,
    pub(super) browser_session_id: Option<BrowserSessionId>,
    pub(super) browser_id: Option<BrowserId>,
    pub(super) user_id: Option<UserId>,
    #[sqlx(default)]
    pub(super) client_id: Option<String>,
}

impl End<'_> {
    /// Ends it and adds it to the log. `None` when it is not there or had ended before, or the session to be kept has: then
    /// the transaction must not be committed.
    ///
    /// `event` is the event of the same transaction.
    pub(super) async fn write(
        self,
        tx: &mut Tx,
        reason: EndReason,
        detail: Option<&Value>,
        event: &Event,
        now: Timestamp,
    ) -> Result<Option<Ended>> {
        let (kind, ended, epoch) = match self {
            Self::Family(id) => {
                (EndKind::Family, end_family(tx, id, reason, detail, now).await?, 0)
            }
            Self::BrowserSession(hash) => {
                (EndKind::BrowserSession, end_browser_session(tx, hash, reason, now).await?, 0)
            }
            Self::Browser { user, browser } => {
                end_browser(tx, user, browser, reason, now).await?;
                (EndKind::Browser, Some(Ended::browser(user, browser)), 0)
            }
            Self::User { user, keep } => {
                let epoch = end_epoch(tx, user, keep, reason).await?;
                let Some(epoch) = epoch else { return Ok(None) };
                (EndKind::User, Some(Ended::user(user)), epoch)
            }
            Self::Client(client_id) => {
                let found = disable_client(tx, client_id, now).await?;
                (EndKind::Client, found.then(|| Ended::client(client_id)), 0)
            }
            Self::Everything => {
                execute!(tx.on(), "UPDATE users SET epoch = epoch + 1")?;
                execute!(
                    tx.on(),
                    "UPDATE user_browsers SET remembered_until = NULL WHERE remembered_until IS NOT NULL"
                )?;
                (EndKind::Everything, Some(Ended::NOTHING), 0)
            }
        };
        let Some(ended) = ended else { return Ok(None) };
        let keep =
            if let Self::User { keep: Some(keep), .. } = self { Some(keep.id) } else { None };
        let id = match kind {
            EndKind::Family => ended.family_id.map(FamilyId::uuid),
            EndKind::BrowserSession => ended.browser_session_id.map(BrowserSessionId::uuid),
            EndKind::User => ended.user_id.map(UserId::uuid),
            EndKind::Browser | EndKind::Client | EndKind::Everything => None,
        };
        let key = (id.unwrap_or_else(|| event.id.uuid()), epoch);
        ended.log(tx, key, (kind, reason, detail), keep, now).await?;
        Ok(Some(ended))
    }
}

/// Ends the other redeemed families of the same user, browser and client.
pub(super) async fn supersede(tx: &mut Tx, family: &Family, now: Timestamp) -> Result<()> {
    let reason = EndReason::Superseded;
    let superseded = all!(
        tx.on(),
        Ended,
        "UPDATE families SET ended_at = $1, end_reason = $2
         WHERE user_id = $3 AND browser_id = $4 AND client_id = $5 AND id <> $6
           AND generation > 0 AND ended_at IS NULL
         RETURNING id AS family_id, browser_session_id, browser_id, user_id, client_id",
        now.millis(),
        reason.as_str(),
        family.user_id,
        family.browser_id,
        family.client_id.as_str(),
        family.id
    )?;
    for ended in superseded {
        let id = ended.family_id.ok_or_else(|| inconsistent("families", "id", family.id))?;
        let key = (id.uuid(), 0);
        ended.log(tx, key, (EndKind::Family, reason, None), None, now).await?;
    }
    Ok(())
}

async fn end_family(
    tx: &mut Tx,
    id: FamilyId,
    reason: EndReason,
    detail: Option<&Value>,
    now: Timestamp,
) -> Result<Option<Ended>> {
    optional!(
        tx.on(),
        Ended,
        "UPDATE families SET ended_at = $1, end_reason = $2, end_detail = $3
         WHERE id = $4 AND ended_at IS NULL
         RETURNING id AS family_id, browser_session_id, browser_id, user_id, client_id",
        now.millis(),
        reason.as_str(),
        detail.map(ToString::to_string),
        id
    )
}

async fn end_browser_session(
    tx: &mut Tx,
    token_hash: &SecretHash,
    reason: EndReason,
    now: Timestamp,
) -> Result<Option<Ended>> {
    optional!(
        tx.on(),
        Ended,
        "UPDATE browser_sessions SET ended_at = $1, end_reason = $2
         WHERE token_hash = $3 AND ended_at IS NULL
         RETURNING id AS browser_session_id, browser_id, user_id",
        now.millis(),
        reason.as_str(),
        token_hash.as_bytes()
    )
}

/// Ends the sessions first: a delegation under way locks its browser session, so it either is seen by the second
/// statement or finds its session ended.
async fn end_browser(
    tx: &mut Tx,
    user: UserId,
    browser: BrowserId,
    reason: EndReason,
    now: Timestamp,
) -> Result<()> {
    execute!(
        tx.on(),
        "UPDATE browser_sessions SET ended_at = $1, end_reason = $2
         WHERE user_id = $3 AND browser_id = $4 AND ended_at IS NULL",
        now.millis(),
        reason.as_str(),
        user,
        browser
    )?;
    execute!(
        tx.on(),
        "UPDATE families SET ended_at = $1, end_reason = $2
         WHERE user_id = $3 AND browser_id = $4 AND ended_at IS NULL",
        now.millis(),
        reason.as_str(),
        user,
        browser
    )
    .map(drop)
}

/// Raises the epoch of a user: one number, however many sessions there are. No browser is remembered any more. The session `keep` and its families are
/// carried to the new epoch; those few rows are all that is touched. Returns the epoch that ended; `None` when there is no
/// such user, or the session to be kept has ended.
async fn end_epoch(
    tx: &mut Tx,
    user: UserId,
    keep: Option<&KeptSession>,
    reason: EndReason,
) -> Result<Option<i64>> {
    let disables = reason == EndReason::UserDisabled;
    let ended = optional!(
        tx.on(),
        (i64,),
        "UPDATE users SET epoch = epoch + 1, enabled = enabled AND NOT $1 WHERE id = $2 RETURNING epoch - 1",
        disables,
        user
    )?;
    let Some((epoch,)) = ended else { return Ok(None) };
    execute!(
        tx.on(),
        "UPDATE user_browsers SET remembered_until = NULL
         WHERE user_id = $1 AND remembered_until IS NOT NULL",
        user
    )?;
    if let Some(keep) = keep {
        let kept = execute!(
            tx.on(),
            "UPDATE browser_sessions SET user_epoch = $1, token_hash = $2
             WHERE id = $3 AND user_id = $4 AND user_epoch = $5 AND ended_at IS NULL",
            epoch + 1,
            keep.new_token_hash.as_bytes(),
            keep.id,
            user,
            epoch
        )?;
        if kept == 0 {
            return Ok(None);
        }
        execute!(
            tx.on(),
            "UPDATE families SET user_epoch = $1
             WHERE user_id = $2 AND browser_session_id = $3 AND user_epoch = $4 AND ended_at IS NULL",
            epoch + 1,
            user,
            keep.id,
            epoch
        )?;
    }
    Ok(Some(epoch))
}

async fn disable_client(tx: &mut Tx, client_id: &str, now: Timestamp) -> Result<bool> {
    let found = execute!(
        tx.on(),
        "UPDATE clients SET enabled = FALSE, updated_at = $1, version = version + 1 WHERE client_id = $2",
        now.millis(),
        client_id
    )?;
    Ok(found > 0)
}

impl Ended {
    const NOTHING: Self = Self {
        family_id: None,
        browser_session_id: None,
        browser_id: None,
        user_id: None,
        client_id: None,
    };

    fn browser(user: UserId, browser: BrowserId) -> Self {
        Self { user_id: Some(user), browser_id: Some(browser), ..Self::NOTHING }
    }

    fn user(user: UserId) -> Self {
        Self { user_id: Some(user), ..Self::NOTHING }
    }

    fn client(client_id: &str) -> Self {
        Self { client_id: Some(client_id.to_owned()), ..Self::NOTHING }
    }

    async fn log(
        &self,
        tx: &mut Tx,
        (id, user_epoch): (Uuid, i64),
        (kind, reason, detail): (EndKind, EndReason, Option<&Value>),
        keep: Option<BrowserSessionId>,
        now: Timestamp,
    ) -> Result<()> {
        execute!(
            tx.on(),
            "INSERT INTO ends (id, user_epoch, ended_at, kind, family_id, browser_session_id, browser_id, user_id,
                               client_id, kept_browser_session_id, reason, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            id,
            user_epoch,
            now.millis(),
            kind.as_str(),
            self.family_id,
            self.browser_session_id,
            self.browser_id,
            self.user_id,
            self.client_id.as_deref(),
            keep,
            reason.as_str(),
            detail.map(ToString::to_string)
        )
        .map(drop)
    }
}

impl Store {
    /// Commits a transaction that has written an end, and wakes the readers of the log in this process.
    pub(super) async fn commit_end(&self, tx: Tx) -> Result<()> {
        tx.commit().await?;
        self.ended.notify_one();
        Ok(())
    }
}
