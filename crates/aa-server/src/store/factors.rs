//! Second factors: passkeys, authenticator apps, recovery codes, and browsers that need none for a while.

use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::ends::End;
use super::{Event, Result, Store};
use crate::domain::event::EndReason;
use crate::domain::ids::{BrowserId, PasskeyId, UserId};
use crate::domain::refresh_token::SecretHash;

/// A passkey.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PasskeyRow {
    /// The id of the passkey.
    pub id: PasskeyId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// Public key, counter and flags, as JSON.
    pub credential: String,
    /// The name that the user sees.
    pub name: String,
    /// Whether a password manager keeps it on several devices.
    pub synced: bool,
    /// The time it was added.
    pub created_at: Timestamp,
    /// The time of the last sign-in with it.
    pub last_used_at: Option<Timestamp>,
}

/// The secret of an authenticator app.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TotpRow {
    /// The shared secret, sealed.
    pub secret_sealed: Vec<u8>,
    /// The last time step that was used.
    pub last_step: i64,
}

/// The second factors that a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct FactorCounts {
    /// Passkeys.
    pub passkeys: i64,
    /// Authenticator apps: one or none.
    pub totp: i64,
    /// Recovery codes that were not used.
    pub recovery_codes: i64,
}

impl FactorCounts {
    /// Whether there is a second factor to ask for. Recovery codes alone are none.
    pub fn any(&self) -> bool {
        self.passkeys > 0 || self.totp > 0
    }
}

impl Store {
    /// The second factors that a user has.
    pub async fn factor_counts(&self, user: UserId) -> Result<FactorCounts> {
        let found = optional!(
            self.db.read(),
            FactorCounts,
            "SELECT (SELECT COUNT(*) FROM passkeys WHERE user_id = $1) AS passkeys,
                    (SELECT COUNT(*) FROM totp_secrets WHERE user_id = $1) AS totp,
                    (SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL) AS recovery_codes",
            user
        )?;
        Ok(found.unwrap_or(FactorCounts { passkeys: 0, totp: 0, recovery_codes: 0 }))
    }

    /// The passkeys of a user, the oldest first.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<PasskeyRow>> {
        all!(
            self.db.read(),
            PasskeyRow,
            "SELECT id, user_id, credential, name, synced, created_at, last_used_at
             FROM passkeys WHERE user_id = $1 ORDER BY created_at, id",
            user
        )
    }

    /// The passkey with this credential id.
    pub async fn passkey(&self, credential_id: &[u8]) -> Result<Option<PasskeyRow>> {
        optional!(
            self.db.read(),
            PasskeyRow,
            "SELECT id, user_id, credential, name, synced, created_at, last_used_at
             FROM passkeys WHERE credential_id = $1",
            credential_id
        )
    }

    /// Adds a passkey.
    ///
    /// # Errors
    /// [`Error::Conflict`](database::Error::Conflict) when it was added before.
    pub async fn add_passkey(
        &self,
        passkey: &PasskeyRow,
        credential_id: &[u8],
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO passkeys (id, user_id, credential_id, credential, name, synced, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            passkey.id,
            passkey.user_id,
            credential_id,
            passkey.credential.as_str(),
            passkey.name.as_str(),
            passkey.synced,
            now
        )?;
        execute!(
            tx.on(),
            "UPDATE users SET factor_offered_at = COALESCE(factor_offered_at, $1) WHERE id = $2",
            now,
            passkey.user_id
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Records a sign-in with a passkey, whose counter and flags may have changed. `false` when it was removed meanwhile.
    pub async fn use_passkey(
        &self,
        id: PasskeyId,
        credential: &str,
        synced: bool,
        now: Timestamp,
    ) -> Result<bool> {
        let used = execute!(
            self.db.write(),
            "UPDATE passkeys SET credential = $1, synced = $2, last_used_at = $3 WHERE id = $4",
            credential,
            synced,
            now,
            id
        )?;
        Ok(used > 0)
    }

    /// Names a passkey of a user's. `None` when it is not theirs.
    pub async fn rename_passkey(
        &self,
        user: UserId,
        id: PasskeyId,
        name: &str,
    ) -> Result<Option<()>> {
        let renamed = execute!(
            self.db.write(),
            "UPDATE passkeys SET name = $1 WHERE id = $2 AND user_id = $3",
            name,
            id,
            user
        )?;
        Ok((renamed > 0).then_some(()))
    }

    /// Removes a passkey of a user's. `None` when it is not theirs.
    pub async fn remove_passkey(
        &self,
        user: UserId,
        id: PasskeyId,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let removed =
            execute!(tx.on(), "DELETE FROM passkeys WHERE id = $1 AND user_id = $2", id, user)?;
        if removed == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// Remembers that a challenge was answered. `false` when it was before: each is good once, at whichever replica.
    pub async fn use_challenge(&self, hash: &SecretHash, expires_at: Timestamp) -> Result<bool> {
        let added = execute!(
            self.db.write(),
            "INSERT INTO used_challenges (challenge_hash, expires_at) VALUES ($1, $2)
             ON CONFLICT (challenge_hash) DO NOTHING",
            hash.as_bytes(),
            expires_at
        )?;
        Ok(added > 0)
    }

    /// The authenticator app of a user.
    pub async fn totp(&self, user: UserId) -> Result<Option<TotpRow>> {
        optional!(
            self.db.read(),
            TotpRow,
            "SELECT secret_sealed, last_step FROM totp_secrets WHERE user_id = $1",
            user
        )
    }

    /// Users and the sealed secrets of their authenticator apps.
    pub async fn totp_secrets(&self) -> Result<Vec<(UserId, Vec<u8>)>> {
        all!(self.db.read(), (UserId, Vec<u8>), "SELECT user_id, secret_sealed FROM totp_secrets")
    }

    /// Replaces a sealed secret by the same one, sealed anew, unless it has changed meanwhile.
    pub async fn reseal_totp(&self, user: UserId, old: &[u8], new: &[u8]) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE totp_secrets SET secret_sealed = $1 WHERE user_id = $2 AND secret_sealed = $3",
            new,
            user,
            old
        )
        .map(drop)
    }

    /// Turns an authenticator app on, instead of the one before. The step that proved it is used up.
    pub async fn add_totp(
        &self,
        user: UserId,
        totp: &TotpRow,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO totp_secrets (user_id, secret_sealed, last_step, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id) DO UPDATE SET secret_sealed = $2, last_step = $3, created_at = $4",
            user,
            totp.secret_sealed.as_slice(),
            totp.last_step,
            now
        )?;
        execute!(
            tx.on(),
            "UPDATE users SET factor_offered_at = COALESCE(factor_offered_at, $1) WHERE id = $2",
            now,
            user
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Uses up a time step of an authenticator app, and keeps its secret sealed anew. `false` when the step, or a later one,
    /// was used before.
    pub async fn use_totp_step(&self, user: UserId, totp: &TotpRow) -> Result<bool> {
        let used = execute!(
            self.db.write(),
            "UPDATE totp_secrets SET last_step = $1, secret_sealed = $2 WHERE user_id = $3 AND last_step < $1",
            totp.last_step,
            totp.secret_sealed.as_slice(),
            user
        )?;
        Ok(used > 0)
    }

    /// Turns the authenticator app of a user off. `None` when there is none.
    pub async fn remove_totp(
        &self,
        user: UserId,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        if execute!(tx.on(), "DELETE FROM totp_secrets WHERE user_id = $1", user)? == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// Replaces the recovery codes of a user.
    pub async fn set_recovery_codes(
        &self,
        user: UserId,
        codes: &[SecretHash],
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(tx.on(), "DELETE FROM recovery_codes WHERE user_id = $1", user)?;
        for code in codes {
            execute!(
                tx.on(),
                "INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)",
                user,
                code.as_bytes()
            )?;
        }
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Uses up a recovery code. `false` when it is none of the user's, or was used before.
    pub async fn use_recovery_code(
        &self,
        user: UserId,
        code: &SecretHash,
        event: Event,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let used = execute!(
            tx.on(),
            "UPDATE recovery_codes SET used_at = $1 WHERE user_id = $2 AND code_hash = $3 AND used_at IS NULL",
            now,
            user,
            code.as_bytes()
        )?;
        if used == 0 {
            return Ok(false);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Records that the offer of a passkey was put off.
    pub async fn put_off_factor(&self, user: UserId, now: Timestamp) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE users SET factor_offered_at = COALESCE(factor_offered_at, $1) WHERE id = $2",
            now,
            user
        )
        .map(drop)
    }

    /// Whether a user need not show a second factor in a browser.
    pub async fn is_remembered(
        &self,
        user: UserId,
        browser: BrowserId,
        now: Timestamp,
    ) -> Result<bool> {
        let found = optional!(
            self.db.read(),
            (i64,),
            "SELECT first_seen_at FROM user_browsers
             WHERE user_id = $1 AND browser_id = $2 AND remembered_until > $3",
            user,
            browser,
            now
        )?;
        Ok(found.is_some())
    }

    /// Lets a user sign in without a second factor in a browser, until then.
    pub async fn remember_browser(
        &self,
        user: UserId,
        browser: BrowserId,
        until: Timestamp,
    ) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE user_browsers SET remembered_until = $1 WHERE user_id = $2 AND browser_id = $3",
            until,
            user,
            browser
        )
        .map(drop)
    }

    /// Removes all second factors of a user, and ends everything of theirs.
    pub async fn reset_factors(&self, user: UserId, event: Event, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(tx.on(), "DELETE FROM passkeys WHERE user_id = $1", user)?;
        execute!(tx.on(), "DELETE FROM totp_secrets WHERE user_id = $1", user)?;
        execute!(tx.on(), "DELETE FROM recovery_codes WHERE user_id = $1", user)?;
        let end = End::User { user, keep: None };
        end.write(&mut tx, EndReason::FactorsReset, None, &event, now).await?;
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await
    }
}
