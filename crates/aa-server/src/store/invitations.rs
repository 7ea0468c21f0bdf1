use database::{execute, optional};
use foundation::time::Timestamp;

use super::{Event, NewUser, Result, Store, users};
use crate::domain::refresh_token::SecretHash;

/// A one-time link to make an account.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Invitation {
    /// The address of the new account. Empty when the holder of the link may choose one.
    pub email: String,
    /// Whether the account administers the authority.
    pub admin: bool,
}

impl Store {
    /// Keeps an invitation. Alone, it takes the place of every unused one to become an administrator.
    pub async fn add_invitation(
        &self,
        token_hash: &SecretHash,
        invitation: &Invitation,
        (alone, expires_at): (bool, Timestamp),
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        if alone {
            users::withdraw_admin_invitations(&mut tx, now).await?;
        }
        execute!(
            tx.on(),
            "INSERT INTO invitations (token_hash, email, admin, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5)",
            token_hash.as_bytes(),
            invitation.email.as_str(),
            invitation.admin,
            now.millis(),
            expires_at.millis()
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// The invitation with this token, if it is unused and in time.
    pub async fn invitation(
        &self,
        token_hash: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<Invitation>> {
        optional!(
            self.db.read(),
            Invitation,
            "SELECT email, admin FROM invitations
             WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2",
            token_hash.as_bytes(),
            now.millis()
        )
    }

    /// Makes a user by an invitation, which is used up; with an administrator's, all others of that kind are withdrawn.
    /// `None` when it was used, withdrawn or expired meanwhile.
    ///
    /// # Errors
    /// [`Error::Conflict`](database::Error::Conflict) when another user has the address; the invitation stays good.
    pub async fn accept_invitation(
        &self,
        token_hash: &SecretHash,
        user: &NewUser<'_>,
        events: &[Event],
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        if user.admin {
            users::lock_admin_invitations(&mut tx).await?;
        }
        let used = execute!(
            tx.on(),
            "UPDATE invitations SET used_at = $1
             WHERE token_hash = $2 AND used_at IS NULL AND expires_at > $1",
            now.millis(),
            token_hash.as_bytes()
        )?;
        if used == 0 {
            return Ok(None);
        }
        users::add(&mut tx, user, now).await?;
        for event in events {
            event.write(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok(Some(()))
    }
}
