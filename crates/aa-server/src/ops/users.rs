//! Users, as operators manage them: created, invited, disabled, given a new password.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::account::{AccountError, NewAccount, prepare};
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::directory::{DirectoryData, InvalidDirectoryData};
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::UserId;
use crate::domain::password;
use crate::domain::refresh_token::SecretHash;
use crate::ops::mail::{self, Mail};
use crate::store::{self, Invitation, User};

/// Life of an invitation.
pub const INVITATION_TTL: Duration = Duration::from_hours(72);

/// Creates a user, for an operator.
///
/// # Errors
/// [`AccountError`].
pub async fn add(
    authority: &Authority,
    account: NewAccount,
    caller: &Caller,
) -> Result<UserId, AccountError> {
    let detail = if account.email_verified { json!({ "email_verified": true }) } else { json!({}) };
    let made = prepare(authority, account).await?;
    let event = authority.event(EventKind::UserMade, Actor::Operator, caller).user(made.id);
    let event = event.detail(detail);
    authority.store.add_user(&made.row(), event, authority.now()).await?;
    Ok(made.id)
}

/// Vouches for a user's address, for an operator. `None` when it was proved before.
///
/// # Errors
/// When the database cannot answer.
pub async fn verify_email(
    authority: &Authority,
    user: &User,
    caller: &Caller,
) -> Result<Option<()>, store::Error> {
    let event = authority
        .event(EventKind::EmailConfirmed, Actor::Operator, caller)
        .user(user.id)
        .detail(json!({ "email": user.email }));
    authority.store.verify_email(user.id, &user.email, event, authority.now()).await
}

/// Changes what a directory says about a user, for an operator. `None` when it says nothing new.
///
/// # Errors
/// [`DirectoryError`].
pub async fn change_directory_data(
    authority: &Authority,
    user: &User,
    data: &DirectoryData,
    caller: &Caller,
) -> Result<Option<()>, DirectoryError> {
    let data = data.check()?;
    let event = authority.event(EventKind::DirectoryChanged, Actor::Operator, caller).user(user.id);
    Ok(authority.store.change_directory_data(user.id, &data, event, authority.now()).await?)
}

/// Why data of a directory are not kept.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The data have a value that cannot be kept.
    #[error(transparent)]
    Invalid(#[from] InvalidDirectoryData),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Creates a one-time link for registration. The answer is its URL.
///
/// # Errors
/// When the database cannot answer.
pub async fn invite(
    authority: &Authority,
    invitation: &Invitation,
    actor: Actor,
    caller: &Caller,
) -> Result<SecretString, store::Error> {
    keep_invitation(authority, invitation, false, actor, caller).await
}

async fn keep_invitation(
    authority: &Authority,
    invitation: &Invitation,
    alone: bool,
    actor: Actor,
    caller: &Caller,
) -> Result<SecretString, store::Error> {
    let token = authority.random.token();
    let hash = SecretHash::of(token.as_bytes());
    let now = authority.now();
    let event = authority
        .event(EventKind::InvitationMade, actor, caller)
        .detail(json!({ "email": invitation.email, "admin": invitation.admin }));
    let link = authority.config.public_url.join(&format!("/register?invitation={token}"));
    let event = match invitation.email.as_str() {
        "" => event,
        email => {
            let mail = Mail::Invitation { email: email.to_owned(), link: link.clone() };
            event.tell(mail::seal(authority, email, mail, None))
        }
    };
    authority
        .store
        .add_invitation(&hash, invitation, (alone, now + INVITATION_TTL), event, now)
        .await?;
    Ok(link.into())
}

/// A one-time link to make the first administrator, while there is none. Earlier links stop working.
///
/// # Errors
/// When the database cannot answer.
pub async fn first_administrator(
    authority: &Authority,
) -> Result<Option<SecretString>, store::Error> {
    if authority.store.has_administrator().await? {
        return Ok(None);
    }
    let invitation = Invitation { email: String::new(), admin: true };
    let operator = Caller::operator();
    Ok(Some(keep_invitation(authority, &invitation, true, Actor::System, &operator).await?))
}

/// Sets a user's password, for an operator, and ends all sessions of the user.
///
/// # Errors
/// [`AccountError`].
pub async fn reset_password(
    authority: &Authority,
    user: &User,
    new: SecretString,
    caller: &Caller,
) -> Result<(), AccountError> {
    password::check(new.expose_secret(), &user.email, authority.config.password_min_chars)?;
    let hash = authority
        .password_hasher
        .hash(&user.email.to_lowercase(), new, authority.random.bytes())
        .await?;
    let event = authority
        .event(EventKind::PasswordReset, Actor::Operator, caller)
        .user(user.id)
        .tell(mail::notice(authority, user.id, EventKind::PasswordReset, caller));
    authority.store.reset_password(user.id, &hash, event, authority.now()).await?;
    Ok(())
}

/// Removes all second factors of a user, for an operator, and ends all sessions of the user: the way back in for a user who has
/// lost everything. The password stays needed.
///
/// # Errors
/// When the database cannot answer.
pub async fn reset_factors(
    authority: &Authority,
    user: &User,
    caller: &Caller,
) -> Result<(), store::Error> {
    let event = authority
        .event(EventKind::FactorsReset, Actor::Operator, caller)
        .user(user.id)
        .tell(mail::notice(authority, user.id, EventKind::FactorsReset, caller));
    authority.store.reset_factors(user.id, event, authority.now()).await
}

/// Disables a user, which ends all their sessions, or enables them again.
///
/// # Errors
/// When the database cannot answer.
pub async fn set_enabled(
    authority: &Authority,
    user: &User,
    enabled: bool,
    caller: &Caller,
) -> Result<(), store::Error> {
    let kind = if enabled { EventKind::UserEnabled } else { EventKind::UserDisabled };
    let event = authority.event(kind, Actor::Operator, caller).user(user.id);
    if enabled {
        authority.store.enable_user(user.id, event, authority.now()).await
    } else {
        authority.store.disable_user(user.id, event, authority.now()).await
    }
}
