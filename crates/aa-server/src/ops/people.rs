//! Makes users and changes what is known of them.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

use super::Caller;
use super::passwords::Busy;
use super::sign_in::{self, SignedIn};
use super::throttle::{Counter, TooManyTries};
use crate::app::App;
use crate::config::RegistrationMode;
use crate::domain::password::{self, WeakPassword};
use crate::domain::people::{Email, check_name};
use crate::domain::token::SecretHash;
use crate::store::{self, Identity, Invitation, NewUser, User};

/// How long an invitation is good.
pub const INVITATION_TTL: Duration = Duration::from_hours(72);

/// Why a user is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Something typed cannot be used; the text says what to change.
    #[error("{0}")]
    Invalid(&'static str),
    /// The password cannot be used.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// Somebody has the address.
    #[error("There is an account with this address.")]
    EmailTaken,
    /// The invitation was used, has expired, or never was.
    #[error("This invitation is not valid any more.")]
    NoInvitation,
    /// Accounts are not made this way here.
    #[error("Registration is closed.")]
    Closed,
    /// The current password is not right.
    #[error("The current password is not right.")]
    WrongPassword,
    /// Too many tries.
    #[error("Too many tries.")]
    TooMany(TooManyTries),
    /// Too many passwords are being hashed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database did not answer.
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for PeopleError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict(_) => Self::EmailTaken,
            other => Self::Store(other),
        }
    }
}

/// A user to be made.
#[derive(Debug)]
pub struct NewPerson {
    /// The address, as typed.
    pub email: String,
    /// The name, as typed.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// Whether they administer the authority.
    pub admin: bool,
}

/// Makes a user, for an operator.
///
/// # Errors
/// [`PeopleError`].
pub async fn add(app: &App, person: NewPerson, caller: &Caller) -> Result<Uuid, PeopleError> {
    let made = prepare(app, person).await?;
    let event = app.event("user.made", "operator", caller).user(made.id);
    app.store.add_user(&made.row(), event, app.now()).await?;
    if made.admin {
        app.store.withdraw_admin_invitations(app.now()).await?;
    }
    Ok(made.id)
}

struct Prepared {
    id: Uuid,
    email: Email,
    email_key: String,
    name: String,
    password_hash: String,
    admin: bool,
}

impl Prepared {
    fn row(&self) -> NewUser<'_> {
        NewUser {
            id: self.id,
            email: self.email.as_str(),
            email_key: &self.email_key,
            name: &self.name,
            password_hash: &self.password_hash,
            admin: self.admin,
        }
    }
}

async fn prepare(app: &App, person: NewPerson) -> Result<Prepared, PeopleError> {
    let email: Email = person.email.parse().map_err(PeopleError::Invalid)?;
    let name = check_name(&person.name).map_err(PeopleError::Invalid)?;
    let min_chars = app.config.password_min_chars;
    password::check(person.password.expose_secret(), email.as_str(), min_chars)?;
    let password_hash = app.hasher.hash(person.password, app.random.bytes()).await?;
    Ok(Prepared {
        id: app.random.uuid(),
        email_key: email.key(),
        email,
        name,
        password_hash,
        admin: person.admin,
    })
}

/// Somebody makes an account of their own.
#[derive(Debug)]
pub struct Register {
    /// Who they say they are.
    pub person: NewPerson,
    /// The token of an invitation, if they have one.
    pub invitation: Option<String>,
    /// The device cookie, if there is one.
    pub device_token: Option<String>,
    /// The identity cookie, if there is one: it ends.
    pub identity_token: Option<String>,
    /// Where from, for counting.
    pub address: IpAddr,
}

/// What a registration page may offer.
///
/// # Errors
/// [`PeopleError::Closed`], [`PeopleError::NoInvitation`], [`PeopleError::Store`].
pub async fn registration_offer(
    app: &App,
    invitation: Option<&str>,
) -> Result<Option<Invitation>, PeopleError> {
    match invitation {
        Some(token) => {
            let hash = SecretHash::of(token.as_bytes());
            let found = app.store.invitation(&hash, app.now()).await?;
            found.map(Some).ok_or(PeopleError::NoInvitation)
        }
        None if app.config.registration == RegistrationMode::Open => Ok(None),
        None => Err(PeopleError::Closed),
    }
}

/// Makes an account and signs in.
///
/// # Errors
/// [`PeopleError`].
pub async fn register(
    app: &App,
    command: Register,
    caller: &Caller,
) -> Result<SignedIn, PeopleError> {
    // Whether an address has an account can be asked here; not in bulk.
    let counter = [Counter::address(command.address)];
    app.throttle.take(&counter, app.now()).map_err(PeopleError::TooMany)?;
    let offer = registration_offer(app, command.invitation.as_deref()).await?;
    let mut person = command.person;
    person.admin = false;
    if let Some(invitation) = &offer {
        person.admin = invitation.admin;
        if !invitation.email.is_empty() {
            person.email.clone_from(&invitation.email);
        }
    }
    let made = prepare(app, person).await?;
    let event = app.event("user.made", format!("user:{}", made.id), caller).user(made.id);
    match command.invitation {
        Some(token) => {
            let hash = SecretHash::of(token.as_bytes());
            app.store
                .accept_invitation(&hash, &made.row(), event, app.now())
                .await?
                .ok_or(PeopleError::NoInvitation)?;
        }
        None => app.store.add_user(&made.row(), event, app.now()).await?,
    }
    let device = sign_in::known_device(app, command.device_token.as_deref()).await?;
    let user = app.store.user(made.id).await?.ok_or(PeopleError::EmailTaken)?;
    let replaces = command.identity_token.as_deref();
    Ok(sign_in::begin(app, &user, device, replaces, caller).await?)
}

/// Makes a one-time link to make an account; the path of it.
///
/// # Errors
/// What the database says.
pub async fn invite(app: &App, invitation: &Invitation) -> Result<SecretString, store::Error> {
    let token = app.random.token();
    let hash = SecretHash::of(token.as_bytes());
    let now = app.now();
    app.store.add_invitation(&hash, invitation, now + INVITATION_TTL, now).await?;
    Ok(app.config.public_url.join(&format!("/register?invitation={token}")).into())
}

/// Changes a person's own password: everything of theirs ends, but in this browser.
///
/// # Errors
/// [`PeopleError`].
pub async fn change_password(
    app: &App,
    (user, identity): (&User, &Identity),
    current: SecretString,
    new: SecretString,
    caller: &Caller,
) -> Result<(), PeopleError> {
    let counter = [Counter::KnownDevice(user.email.to_lowercase(), identity.device_id)];
    app.throttle.take(&counter, app.now()).map_err(PeopleError::TooMany)?;
    if !app.hasher.verify(current, Some(user.password_hash.clone())).await? {
        return Err(PeopleError::WrongPassword);
    }
    app.throttle.give_back(&counter);
    password::check(new.expose_secret(), &user.email, app.config.password_min_chars)?;
    let hash = app.hasher.hash(new, app.random.bytes()).await?;
    let event = app
        .event("user.password_changed", format!("user:{}", user.id), caller)
        .user(user.id)
        .detail(json!({ "kept_device": identity.device_id }));
    app.store.set_password(user.id, &hash, Some(identity.device_id), event, app.now()).await?;
    Ok(())
}

/// Sets a person's password, for an operator: everything of theirs ends.
///
/// # Errors
/// [`PeopleError`].
pub async fn reset_password(
    app: &App,
    user: &User,
    new: SecretString,
    caller: &Caller,
) -> Result<(), PeopleError> {
    password::check(new.expose_secret(), &user.email, app.config.password_min_chars)?;
    let hash = app.hasher.hash(new, app.random.bytes()).await?;
    let event = app.event("user.password_reset", "operator", caller).user(user.id);
    app.store.set_password(user.id, &hash, None, event, app.now()).await?;
    Ok(())
}

/// Disables a user, which ends everything of theirs, or enables them again.
///
/// # Errors
/// What the database says.
pub async fn set_enabled(
    app: &App,
    user: &User,
    enabled: bool,
    caller: &Caller,
) -> Result<(), store::Error> {
    let kind = if enabled { "user.enabled" } else { "user.disabled" };
    let event = app.event(kind, "operator", caller).user(user.id);
    if enabled {
        app.store.enable_user(user.id, event, app.now()).await
    } else {
        app.store.disable_user(user.id, event, app.now()).await
    }
}
