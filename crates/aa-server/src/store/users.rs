use database::{Tx, all, execute, optional};
use foundation::time::Timestamp;

use super::ends::{End, KeptSession};
use super::{Event, Result, Store};
use crate::domain::claims::Person;
use crate::domain::directory::DirectoryData;
use crate::domain::event::EndReason;
use crate::domain::ids::UserId;
use crate::domain::time_zone::TimeZone;

/// A user.
#[derive(Clone, sqlx::FromRow, derive_more::Debug)]
#[debug("User {{ id: {id:?}, .. }}")]
pub struct User {
    /// The id: the `sub` of tokens.
    pub id: UserId,
    /// The address, as given.
    pub email: String,
    /// The name, as given.
    pub name: String,
    /// Argon2id in PHC form.
    pub password_hash: String,
    /// Whether the user may sign in.
    pub enabled: bool,
    roles: String,
    /// The epoch: what was made under an earlier one has ended.
    pub epoch: i64,
    /// The time the account was made.
    pub created_at: Timestamp,
    /// The time the user proved to read mail at the address.
    pub email_verified_at: Option<Timestamp>,
    /// The tag of the chosen language; empty for the browser's.
    pub language: String,
    time_zone: Option<String>,
    /// The name of the user's picture.
    pub picture: Option<String>,
    /// The given name; empty if there is none.
    pub given_name: String,
    /// The family name; empty if there is none.
    pub family_name: String,
    group_names: String,
    /// The time of the last change of what clients are told about the user.
    pub updated_at: Timestamp,
    /// The time the account is deleted, after its user has closed it.
    pub closes_at: Option<Timestamp>,
    /// The time a second factor was turned on first, or its offer put off.
    pub factor_offered_at: Option<Timestamp>,
    /// The time the user was last seen in any browser, where users are listed.
    #[sqlx(default)]
    pub last_seen_at: Option<Timestamp>,
}

impl User {
    /// Role names.
    pub fn roles(&self) -> Vec<String> {
        self.roles.split_whitespace().map(str::to_owned).collect()
    }

    /// Role names, separated by spaces.
    pub fn role_names(&self) -> &str {
        &self.roles
    }

    /// The names of the user's groups.
    pub fn groups(&self) -> Vec<&str> {
        self.group_names.lines().collect()
    }

    /// The time zone that the user has chosen.
    pub fn zone(&self) -> Option<TimeZone> {
        self.time_zone.as_deref()?.parse().ok()
    }

    /// Whether the user has chosen a time zone, or that there be none.
    pub fn has_chosen_zone(&self) -> bool {
        self.time_zone.is_some()
    }

    /// The data that clients may be told about the user. `picture` is the URL of the picture.
    pub fn person<'a>(&'a self, picture: Option<&'a str>) -> Person<'a> {
        Person {
            name: self.display_name(),
            given_name: &self.given_name,
            family_name: &self.family_name,
            email: &self.email,
            email_verified: self.email_verified_at.is_some(),
            language: &self.language,
            zone: self.zone().map(TimeZone::name),
            picture,
            roles: &self.roles,
            groups: &self.group_names,
            updated_at: self.updated_at,
        }
    }

    /// The name; the address if there is none.
    pub fn display_name(&self) -> &str {
        if self.name.is_empty() { &self.email } else { &self.name }
    }
}

/// A user to be made.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// The id.
    pub id: UserId,
    /// The address, as given.
    pub email: &'a str,
    /// The address, as it is compared.
    pub email_key: &'a str,
    /// The name, as given.
    pub name: &'a str,
    /// Argon2id in PHC form.
    pub password_hash: &'a str,
    /// Whether the user administers the authority.
    pub admin: bool,
    /// The time the user proved to read mail at the address.
    pub email_verified_at: Option<Timestamp>,
}

impl Store {
    /// Creates a user with a new address.
    ///
    /// # Errors
    /// [`Error::Conflict`](database::Error::Conflict) when another user has the address.
    pub async fn add_user(&self, user: &NewUser<'_>, event: Event, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        add(&mut tx, user, now).await?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// The user with this id.
    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        optional!(
            self.db.read(),
            User,
            "SELECT id, email, name, password_hash, enabled, roles, epoch, created_at,
                 email_verified_at, language, time_zone, picture, given_name, family_name, group_names, updated_at, closes_at, factor_offered_at
             FROM users WHERE id = $1",
            id
        )
    }

    /// The id of the user with this address, as it is compared. Reading no more, it takes the same time if there is none.
    pub async fn user_id_by_email(&self, email_key: &str) -> Result<Option<UserId>> {
        let found = optional!(
            self.db.read(),
            (UserId,),
            "SELECT id FROM users WHERE email_key = $1",
            email_key
        )?;
        Ok(found.map(|(id,)| id))
    }

    /// The user with this address, as it is compared.
    pub async fn user_by_email(&self, email_key: &str) -> Result<Option<User>> {
        optional!(
            self.db.read(),
            User,
            "SELECT id, email, name, password_hash, enabled, roles, epoch, created_at,
                 email_verified_at, language, time_zone, picture, given_name, family_name, group_names, updated_at, closes_at, factor_offered_at
             FROM users WHERE email_key = $1",
            email_key
        )
    }

    /// Up to `limit` users by address, after the one with this address as it is compared; from the first if it is empty.
    pub async fn users_after(&self, email_key: &str, limit: u32) -> Result<Vec<User>> {
        all!(
            self.db.read(),
            User,
            "SELECT id, email, name, password_hash, enabled, roles, epoch, created_at,
                 email_verified_at, language, time_zone, picture, given_name, family_name, group_names, updated_at, closes_at, factor_offered_at,
                 (SELECT MAX(last_seen_at) FROM user_browsers WHERE user_id = users.id) AS last_seen_at
             FROM users WHERE email_key > $1 ORDER BY email_key LIMIT $2",
            email_key,
            i64::from(limit)
        )
    }

    /// Whether anybody administers the authority.
    pub async fn has_administrator(&self) -> Result<bool> {
        let found = optional!(
            self.db.read(),
            (i64,),
            "SELECT CAST(1 AS BIGINT) FROM users WHERE roles = 'admin' AND enabled LIMIT 1"
        )?;
        Ok(found.is_some())
    }

    /// Lets a user sign in again.
    pub async fn enable_user(&self, id: UserId, event: Event, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(tx.on(), "UPDATE users SET enabled = TRUE WHERE id = $1", id)?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Records that a user reads mail at this address, because an operator says so. `None` when that was known, or the address
    /// is not the user's any more; nothing is changed then.
    pub async fn verify_email(
        &self,
        id: UserId,
        email: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE users SET email_verified_at = $1, updated_at = $1
             WHERE id = $2 AND email = $3 AND email_verified_at IS NULL",
            now,
            id,
            email
        )?;
        if changed == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// Changes what a directory says about a user. `None` when it says nothing new; nothing is changed then.
    pub async fn change_directory_data(
        &self,
        id: UserId,
        data: &DirectoryData,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let groups = data.groups.as_ref().map(|groups| groups.join("\n"));
        let mut tx = self.db.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE users SET given_name = COALESCE(CAST($1 AS TEXT), given_name),
                 family_name = COALESCE(CAST($2 AS TEXT), family_name),
                 group_names = COALESCE(CAST($3 AS TEXT), group_names), updated_at = $4
             WHERE id = $5 AND (given_name <> COALESCE(CAST($1 AS TEXT), given_name)
                                OR family_name <> COALESCE(CAST($2 AS TEXT), family_name)
                                OR group_names <> COALESCE(CAST($3 AS TEXT), group_names))",
            data.given_name.as_deref(),
            data.family_name.as_deref(),
            groups.as_deref(),
            now,
            id
        )?;
        if changed == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// Disables a user and ends everything of theirs: one number, whatever their sessions' number.
    pub async fn disable_user(&self, id: UserId, event: Event, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let end = End::User { user: id, keep: None };
        end.write(&mut tx, EndReason::UserDisabled, None, &event, now).await?;
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await
    }

    /// Replaces a user's password hash, whatever it was, and ends everything of theirs.
    pub async fn reset_password(
        &self,
        id: UserId,
        password_hash: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "UPDATE users SET password_hash = $1, password_changed_at = $2 WHERE id = $3",
            password_hash,
            now.millis(),
            id
        )?;
        let end = End::User { user: id, keep: None };
        end.write(&mut tx, EndReason::PasswordChanged, None, &event, now).await?;
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await
    }

    /// Replaces a user's password hash and ends everything of theirs except the session `keep`.
    ///
    /// *Checks* that user and session are as they were when the current password was checked: the same hash and epoch,
    /// enabled, and not ended. `None` when a check fails; nothing is changed then.
    pub async fn change_password(
        &self,
        checked: &User,
        password_hash: &str,
        keep: &KeptSession,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE users SET password_hash = $1, password_changed_at = $2
             WHERE id = $3 AND password_hash = $4 AND epoch = $5 AND enabled",
            password_hash,
            now.millis(),
            checked.id,
            checked.password_hash.as_str(),
            checked.epoch
        )?;
        if changed == 0 {
            return Ok(None);
        }
        let end = End::User { user: checked.id, keep: Some(keep) };
        if end.write(&mut tx, EndReason::PasswordChanged, None, &event, now).await?.is_none() {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(Some(()))
    }

    /// Ends everything of a user's except the session `keep`. `None` when that has ended; nothing is changed then.
    pub async fn end_sessions_of_user(
        &self,
        id: UserId,
        reason: EndReason,
        keep: Option<&KeptSession>,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let end = End::User { user: id, keep };
        if end.write(&mut tx, reason, None, &event, now).await?.is_none() {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(Some(()))
    }

    /// Ends every session of every user. Returns how many users there are.
    pub async fn end_everything(
        &self,
        reason: EndReason,
        event: Event,
        now: Timestamp,
    ) -> Result<i64> {
        let mut tx = self.db.begin().await?;
        tx.without_timeout().await?;
        End::Everything.write(&mut tx, reason, None, &event, now).await?;
        event.write(&mut tx, now).await?;
        let users = optional!(tx.on(), (i64,), "SELECT COUNT(*) FROM users")?;
        self.commit_end(tx).await?;
        Ok(users.map_or(0, |(users,)| users))
    }
}

/// Adds a user. An administrator withdraws every invitation to become one.
pub(super) async fn add(tx: &mut Tx, user: &NewUser<'_>, now: Timestamp) -> Result<()> {
    if user.admin {
        withdraw_admin_invitations(tx, now).await?;
    }
    execute!(
        tx.on(),
        "INSERT INTO users (id, email, email_key, name, password_hash, enabled, roles, epoch,
                            created_at, password_changed_at, updated_at, email_verified_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8, $8, $9)",
        user.id,
        user.email,
        user.email_key,
        user.name,
        user.password_hash,
        true,
        if user.admin { "admin" } else { "" },
        now.millis(),
        user.email_verified_at
    )
    .map(drop)
}

/// Two transactions that replace or accept invitations to become an administrator come one after the other.
pub(super) async fn lock_admin_invitations(tx: &mut Tx) -> Result<()> {
    execute!(tx.on(), "UPDATE settings_seen SET settings = settings").map(drop)
}

/// Withdraws every unused invitation to become an administrator.
pub(super) async fn withdraw_admin_invitations(tx: &mut Tx, now: Timestamp) -> Result<()> {
    lock_admin_invitations(tx).await?;
    execute!(
        tx.on(),
        "UPDATE invitations SET used_at = $1 WHERE admin AND used_at IS NULL",
        now.millis()
    )
    .map(drop)
}
