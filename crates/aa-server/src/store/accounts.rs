//! Changes that users make to their own accounts.

use database::{all, execute};
use foundation::time::Timestamp;

use super::ends::End;
use super::{Event, KeptSession, Result, Store};
use crate::domain::event::EndReason;
use crate::domain::ids::UserId;

/// Apps that count as used lately.
const RECENT_APPS: i64 = 50;

/// The part of an account that its user can change at once.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// The name.
    pub name: &'a str,
    /// The tag of the language; empty for the browser's.
    pub language: &'a str,
    /// The name of the time zone; empty for the browser's.
    pub time_zone: &'a str,
}

impl Store {
    /// The ids of the clients that a user has used, the last one first.
    pub async fn recently_used_apps(&self, user: UserId) -> Result<Vec<String>> {
        let found = all!(
            self.db.read(),
            (String, i64),
            "SELECT client_id, MAX(rotated_at) AS used_at FROM families
             WHERE user_id = $1 AND generation > 0
             GROUP BY client_id ORDER BY used_at DESC LIMIT $2",
            user,
            RECENT_APPS
        )?;
        Ok(found.into_iter().map(|(client_id, _)| client_id).collect())
    }

    /// Changes a user's profile.
    pub async fn change_profile(
        &self,
        user: UserId,
        profile: &Profile<'_>,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "UPDATE users SET name = $1, language = $2, time_zone = $3, updated_at = $4 WHERE id = $5",
            profile.name,
            profile.language,
            profile.time_zone,
            now,
            user
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Closes an account: it is deleted at that time. Everything of the user's ends except the session `keep`. `None` when
    /// that has ended; nothing is changed then.
    pub async fn close_account(
        &self,
        user: UserId,
        closes_at: Timestamp,
        keep: &KeptSession,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        execute!(tx.on(), "UPDATE users SET closes_at = $1 WHERE id = $2", closes_at, user)?;
        let end = End::User { user, keep: Some(keep) };
        if end.write(&mut tx, EndReason::AccountClosed, None, &event, now).await?.is_none() {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(Some(()))
    }

    /// Keeps an account that was closed. `None` when it was not.
    pub async fn keep_account(
        &self,
        user: UserId,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let kept = execute!(
            tx.on(),
            "UPDATE users SET closes_at = NULL WHERE id = $1 AND closes_at IS NOT NULL",
            user
        )?;
        if kept == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// The users whose time of grace is over.
    pub async fn accounts_to_delete(&self, now: Timestamp) -> Result<Vec<UserId>> {
        let found = all!(
            self.db.read(),
            (UserId,),
            "SELECT id FROM users WHERE closes_at <= $1 ORDER BY closes_at LIMIT 50",
            now
        )?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// Deletes a closed account, with everything that belongs to it alone. What is left of it in events is its id.
    pub async fn delete_account(&self, user: UserId, event: Event, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let end = End::User { user, keep: None };
        end.write(&mut tx, EndReason::AccountClosed, None, &event, now).await?;
        let deleted =
            execute!(tx.on(), "DELETE FROM users WHERE id = $1 AND closes_at <= $2", user, now)?;
        if deleted == 0 {
            return Ok(false);
        }
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(true)
    }
}
