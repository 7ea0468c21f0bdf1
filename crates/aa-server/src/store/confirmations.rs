use std::time::Duration;

use database::{Tx, all, execute, optional};
use foundation::time::Timestamp;

use super::ends::End;
use super::{Event, NewUser, Result, Store, users};
use crate::domain::confirmation::ConfirmationKind;
use crate::domain::event::EndReason;
use crate::domain::ids::UserId;
use crate::domain::refresh_token::SecretHash;

/// Unused links of one kind that a user has at once. The oldest goes.
const MAX_CONFIRMATIONS: i64 = 5;

/// A one-time link in a mail.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PendingConfirmation {
    /// The user it is for; none until there is an account.
    pub user_id: Option<UserId>,
    /// The address that it was sent to.
    pub email: String,
    /// Further details, as JSON.
    pub detail: String,
}

/// A link to be kept.
#[derive(Debug)]
pub struct NewConfirmation<'a> {
    /// The hash of its token.
    pub token_hash: SecretHash,
    /// The purpose.
    pub kind: ConfirmationKind,
    /// The user and their epoch: what ends their sessions ends the link.
    pub user: Option<(UserId, i64)>,
    /// The address that it is sent to.
    pub email: &'a str,
    /// Further details, as JSON.
    pub detail: &'a str,
    /// The life of the link.
    pub ttl: Duration,
}

impl Store {
    /// Keeps a link. A user's oldest ones of the kind go when there are more than five.
    pub async fn add_confirmation(&self, new: &NewConfirmation<'_>, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        if let Some((user, _)) = new.user {
            execute!(
                tx.on(),
                "DELETE FROM confirmations WHERE user_id = $1 AND kind = $2 AND token_hash NOT IN (
                     SELECT token_hash FROM confirmations WHERE user_id = $1 AND kind = $2
                     ORDER BY created_at DESC LIMIT $3)",
                user,
                new.kind.as_str(),
                MAX_CONFIRMATIONS - 1
            )?;
        }
        execute!(
            tx.on(),
            "INSERT INTO confirmations
                 (token_hash, kind, user_id, user_epoch, email, detail, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (token_hash) DO NOTHING",
            new.token_hash.as_bytes(),
            new.kind.as_str(),
            new.user.map(|(user, _)| user),
            new.user.map(|(_, epoch)| epoch),
            new.email,
            new.detail,
            now,
            now + new.ttl
        )?;
        tx.commit().await
    }

    /// The link with this token, if it is unused and in time, and its user is as they were. A link that was sent to an address
    /// which the account no longer has is void.
    pub async fn confirmation(
        &self,
        token_hash: &SecretHash,
        kind: ConfirmationKind,
        now: Timestamp,
    ) -> Result<Option<PendingConfirmation>> {
        optional!(
            self.db.read(),
            PendingConfirmation,
            "SELECT c.user_id, c.email, c.detail FROM confirmations c
             LEFT JOIN users u ON u.id = c.user_id
             WHERE c.token_hash = $1 AND c.kind = $2 AND c.expires_at > $3
               AND (c.user_id IS NULL
                    OR (u.enabled AND u.epoch = c.user_epoch AND (u.email = c.email OR c.kind = $4)))",
            token_hash.as_bytes(),
            kind.as_str(),
            now,
            ConfirmationKind::ChangeEmail.as_str()
        )
    }

    /// Creates a user with a confirmed address. `None` when the link was used or expired meanwhile.
    ///
    /// # Errors
    /// [`Error::Conflict`](database::Error::Conflict) when another user has the address.
    pub async fn confirm_registration(
        &self,
        token_hash: &SecretHash,
        user: &NewUser<'_>,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        if take(&mut tx, token_hash, ConfirmationKind::Register, now).await?.is_none() {
            return Ok(None);
        }
        users::add(&mut tx, user, now).await?;
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// Replaces a password with the link for it, and ends everything of the user's. The address counts as confirmed: the link
    /// was sent to it. `None` when the link was used or expired, or its user has changed since.
    pub async fn confirm_password_reset(
        &self,
        token_hash: &SecretHash,
        password_hash: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<UserId>> {
        let mut tx = self.db.begin().await?;
        let Some((user, epoch, email)) =
            take(&mut tx, token_hash, ConfirmationKind::ResetPassword, now).await?
        else {
            return Ok(None);
        };
        let changed = execute!(
            tx.on(),
            "UPDATE users SET password_hash = $1, password_changed_at = $2,
                 email_verified_at = COALESCE(email_verified_at, $2), updated_at = $2
             WHERE id = $4 AND epoch = $5 AND enabled AND email = $3",
            password_hash,
            now,
            email,
            user,
            epoch
        )?;
        let (Some(user), true) = (user, changed > 0) else { return Ok(None) };
        let end = End::User { user, keep: None };
        end.write(&mut tx, EndReason::PasswordChanged, None, &event, now).await?;
        event.user(user).write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(Some(user))
    }

    /// Confirms the address of a user, or changes it to the confirmed one. `None` when the link was used or expired, or its
    /// user has changed since.
    ///
    /// # Errors
    /// [`Error::Conflict`](database::Error::Conflict) when another user has the address meanwhile.
    pub async fn confirm_email(
        &self,
        token_hash: &SecretHash,
        kind: ConfirmationKind,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<UserId>> {
        let mut tx = self.db.begin().await?;
        let Some((Some(user), epoch, email)) = take(&mut tx, token_hash, kind, now).await? else {
            return Ok(None);
        };
        let changed = match kind {
            ConfirmationKind::ChangeEmail => execute!(
                tx.on(),
                "UPDATE users SET email = $1, email_key = $2, email_verified_at = $3, updated_at = $3
                 WHERE id = $4 AND epoch = $5 AND enabled",
                email.as_str(),
                email.to_lowercase(),
                now,
                user,
                epoch
            )?,
            _ => execute!(
                tx.on(),
                "UPDATE users SET email_verified_at = $1, updated_at = $1
                 WHERE id = $2 AND epoch = $3 AND enabled AND email = $4",
                now,
                user,
                epoch,
                email
            )?,
        };
        if changed == 0 {
            return Ok(None);
        }
        event.user(user).write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(user))
    }

    /// Uses up the code of a sign-in by mail. `false` when there is no such code any more, or it was sent to another address.
    pub async fn use_sign_in_code(
        &self,
        code_hash: &SecretHash,
        email: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let taken = take(&mut tx, code_hash, ConfirmationKind::SignInCode, now).await?;
        tx.commit().await?;
        Ok(taken.is_some_and(|(_, _, sent_to)| sent_to == email))
    }
}

type Taken = (Option<UserId>, Option<i64>, String);

/// Uses up a link: of parallel calls one gets it.
async fn take(
    tx: &mut Tx,
    token_hash: &SecretHash,
    kind: ConfirmationKind,
    now: Timestamp,
) -> Result<Option<Taken>> {
    let taken = all!(
        tx.on(),
        Taken,
        "DELETE FROM confirmations WHERE token_hash = $1 AND kind = $2 AND expires_at > $3
         RETURNING user_id, user_epoch, email",
        token_hash.as_bytes(),
        kind.as_str(),
        now
    )?;
    Ok(taken.into_iter().next())
}
