use std::time::Duration;

use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::{AttemptKey, Result, Store, inconsistent};
use crate::domain::authentication::Authentication;
use crate::domain::ids::UserId;

/// The life of a sign-in under way.
pub const PENDING_TTL: Duration = Duration::from_mins(10);
/// Sign-ins under way of one browser, at most. The oldest goes.
const MAX_PENDING: i64 = 20;

/// A sign-in whose user has done some steps and has others to do.
#[derive(Debug, Clone)]
pub struct PendingSignIn {
    /// The user.
    pub user_id: UserId,
    /// The epoch of the user at the first step: what ends their sessions ends the sign-in.
    pub user_epoch: i64,
    /// The steps that were done.
    pub done: Authentication,
    /// Where the sign-in leads to.
    pub return_to: String,
    /// Whether a user without a second factor has to set one up.
    pub must_enrol: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    user_id: UserId,
    user_epoch: i64,
    steps: String,
    return_to: String,
    must_enrol: bool,
}

impl Row {
    fn read(self) -> Result<PendingSignIn> {
        let done = serde_json::from_str(&self.steps)
            .map_err(|_| inconsistent("pending_sign_ins", "steps", self.user_id))?;
        let Self { user_id, user_epoch, return_to, must_enrol, .. } = self;
        Ok(PendingSignIn { user_id, user_epoch, done, return_to, must_enrol })
    }
}

impl Store {
    /// Keeps a sign-in that waits for its next step.
    pub async fn add_pending_sign_in(
        &self,
        key: &AttemptKey,
        pending: &PendingSignIn,
        now: Timestamp,
    ) -> Result<()> {
        let steps = serde_json::to_string(&pending.done)
            .map_err(|_| inconsistent("pending_sign_ins", "steps", pending.user_id))?;
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "DELETE FROM pending_sign_ins WHERE browser_hash = $1 AND token_hash NOT IN (
                 SELECT token_hash FROM pending_sign_ins WHERE browser_hash = $1
                 ORDER BY created_at DESC LIMIT $2)",
            key.browser_hash.as_bytes(),
            MAX_PENDING - 1
        )?;
        execute!(
            tx.on(),
            "INSERT INTO pending_sign_ins
                 (token_hash, browser_hash, user_id, user_epoch, steps, return_to, must_enrol, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            key.token_hash.as_bytes(),
            key.browser_hash.as_bytes(),
            pending.user_id,
            pending.user_epoch,
            steps,
            pending.return_to.as_str(),
            pending.must_enrol,
            now,
            now + PENDING_TTL
        )?;
        tx.commit().await
    }

    /// The sign-in of this browser with this reference.
    pub async fn pending_sign_in(
        &self,
        key: &AttemptKey,
        now: Timestamp,
    ) -> Result<Option<PendingSignIn>> {
        let found = optional!(
            self.db.read(),
            Row,
            "SELECT user_id, user_epoch, steps, return_to, must_enrol FROM pending_sign_ins
             WHERE token_hash = $1 AND browser_hash = $2 AND expires_at > $3",
            key.token_hash.as_bytes(),
            key.browser_hash.as_bytes(),
            now
        )?;
        found.map(Row::read).transpose()
    }

    /// Uses up a sign-in under way: of parallel calls one gets it.
    pub async fn take_pending_sign_in(
        &self,
        key: &AttemptKey,
        now: Timestamp,
    ) -> Result<Option<PendingSignIn>> {
        let taken = all!(
            self.db.write(),
            Row,
            "DELETE FROM pending_sign_ins
             WHERE token_hash = $1 AND browser_hash = $2 AND expires_at > $3
             RETURNING user_id, user_epoch, steps, return_to, must_enrol",
            key.token_hash.as_bytes(),
            key.browser_hash.as_bytes(),
            now
        )?;
        taken.into_iter().next().map(Row::read).transpose()
    }
}
