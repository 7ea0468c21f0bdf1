//! Accounts, as their users manage them: registration and change of password.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::net::IpAddr;

use crate::authority::Authority;
use crate::config::RegistrationMode;
use crate::domain::authentication::{Authentication, Step};
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::UserId;
use crate::domain::password::{self, WeakPassword};
use crate::domain::refresh_token::SecretHash;
use crate::domain::user::{Email, check_name};
use crate::ops::authentication::sign_in::{self, SignedIn};
use crate::ops::sessions::end;
use crate::services::password_hasher::Busy;
use crate::services::throttle::{Counter, ThrottleError};
use crate::store::{self, BrowserSession, Invitation, NewUser, User};

/// Why an account is not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// An input cannot be used; the text says what to change.
    #[error("{0}")]
    Invalid(&'static str),
    /// The new password is too weak.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// Another account has the address.
    #[error("There is an account with this address.")]
    EmailTaken,
    /// The invitation was used, has expired, or never existed.
    #[error("This invitation is not valid any more.")]
    NoInvitation,
    /// Registration is not open, and there is no invitation.
    #[error("Registration is closed.")]
    Closed,
    /// The current password is incorrect.
    #[error("Current password is incorrect.")]
    WrongPassword,
    /// The new password is the current one.
    #[error("The new password is the current one. Choose another.")]
    SamePassword,
    /// The session has ended meanwhile, or the account was changed from somewhere else.
    #[error("This session has ended.")]
    Ended,
    /// Too many attempts, or they could not be counted.
    #[error(transparent)]
    Throttle(#[from] ThrottleError),
    /// Too many passwords are being hashed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database cannot answer.
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for AccountError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict(_) => Self::EmailTaken,
            other => Self::Store(other),
        }
    }
}

/// The data of a new account.
#[derive(Debug)]
pub struct NewAccount {
    /// The e-mail address as entered.
    pub email: String,
    /// The name as entered.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// Whether the user administers the authority.
    pub admin: bool,
}

pub(super) struct Prepared {
    pub(super) id: UserId,
    email: Email,
    email_key: String,
    name: String,
    password_hash: String,
    pub(super) admin: bool,
}

impl Prepared {
    pub(super) fn row(&self) -> NewUser<'_> {
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

pub(super) async fn prepare(
    authority: &Authority,
    account: NewAccount,
) -> Result<Prepared, AccountError> {
    let email: Email = account.email.parse().map_err(AccountError::Invalid)?;
    let name = check_name(&account.name).map_err(AccountError::Invalid)?;
    let min_chars = authority.config.password_min_chars;
    password::check(account.password.expose_secret(), email.as_str(), min_chars)?;
    let password_hash = authority
        .password_hasher
        .hash(&email.key(), account.password, authority.random.bytes())
        .await?;
    Ok(Prepared {
        id: authority.random.uuid().into(),
        email_key: email.key(),
        email,
        name,
        password_hash,
        admin: account.admin,
    })
}

/// A registration.
#[derive(Debug)]
pub struct Register {
    /// The data of the account.
    pub account: NewAccount,
    /// The token of an invitation, if there is one.
    pub invitation: Option<String>,
    /// The browser cookie, if there is one.
    pub browser_token: Option<String>,
    /// The session cookie, if there is one: that session ends.
    pub session_token: Option<String>,
    /// The address that attempts are counted by.
    pub address: IpAddr,
}

/// The invitation that a registration page is opened with; `None` where registration is open.
///
/// # Errors
/// [`AccountError::Closed`], [`AccountError::NoInvitation`], [`AccountError::Store`].
pub async fn registration_offer(
    authority: &Authority,
    invitation: Option<&str>,
) -> Result<Option<Invitation>, AccountError> {
    match invitation {
        Some(token) => {
            let hash = SecretHash::of(token.as_bytes());
            let found = authority.store.invitation(&hash, authority.now()).await?;
            found.map(Some).ok_or(AccountError::NoInvitation)
        }
        None if authority.config.registration == RegistrationMode::Open => Ok(None),
        None => Err(AccountError::Closed),
    }
}

/// Creates an account and signs in.
///
/// # Errors
/// [`AccountError`].
pub async fn register(
    authority: &Authority,
    command: Register,
    caller: &Caller,
) -> Result<SignedIn, AccountError> {
    // Registration reveals whether an address has an account, so attempts are limited.
    let counter = Counter::address(command.address);
    authority.throttle.take(&counter, authority.now()).await?;
    let offer = registration_offer(authority, command.invitation.as_deref()).await?;
    let mut account = command.account;
    account.admin = false;
    if let Some(invitation) = &offer {
        account.admin = invitation.admin;
        if !invitation.email.is_empty() {
            account.email.clone_from(&invitation.email);
        }
    }
    let made = prepare(authority, account).await?;
    let event = authority.event(EventKind::UserMade, Actor::User(made.id), caller).user(made.id);
    match command.invitation {
        Some(token) => {
            let hash = SecretHash::of(token.as_bytes());
            let accepted = authority
                .event(EventKind::InvitationAccepted, Actor::User(made.id), caller)
                .user(made.id);
            authority
                .store
                .accept_invitation(&hash, &made.row(), &[accepted, event], authority.now())
                .await?
                .ok_or(AccountError::NoInvitation)?;
        }
        None => authority.store.add_user(&made.row(), event, authority.now()).await?,
    }
    let browser = sign_in::known_browser(authority, command.browser_token.as_deref()).await?;
    let user = authority.store.user(made.id).await?.ok_or(AccountError::EmailTaken)?;
    let replaces = command.session_token.as_deref();
    let done = Authentication::begin(Step::Password, authority.now());
    Ok(sign_in::begin(authority, (&user, &done), browser, replaces, caller).await?)
}

/// Changes a user's own password, and ends all their sessions except the one it is changed in. That one gets a new
/// token, for its cookie: the answer.
///
/// # Errors
/// [`AccountError`]; [`AccountError::Ended`] when the password was changed or reset, the user disabled, or the session
/// ended since the current password was checked.
pub async fn change_password(
    authority: &Authority,
    (user, browser_session): (&User, &BrowserSession),
    current: SecretString,
    new: SecretString,
    caller: &Caller,
) -> Result<SecretString, AccountError> {
    let key = user.email.to_lowercase();
    let counter = [Counter::KnownBrowser(key.clone(), browser_session.browser_id)];
    authority.throttle.take(&counter, authority.now()).await?;
    let is_the_same = current.expose_secret() == new.expose_secret();
    let known = Some(user.password_hash.clone());
    let checked = authority.password_hasher.verify(&key, current, known).await;
    if checked == Ok(false) {
        return Err(AccountError::WrongPassword);
    }
    authority.throttle.give_back(&counter).await?;
    checked?;
    if is_the_same {
        return Err(AccountError::SamePassword);
    }
    password::check(new.expose_secret(), &user.email, authority.config.password_min_chars)?;
    let hash = authority.password_hasher.hash(&key, new, authority.random.bytes()).await?;
    let event = authority
        .event(EventKind::PasswordChanged, Actor::User(user.id), caller)
        .user(user.id)
        .detail(json!({ "kept_device": browser_session.browser_id }));
    let (token, keep) = end::keep(authority, browser_session);
    authority
        .store
        .change_password(user, &hash, &keep, event, authority.now())
        .await?
        .ok_or(AccountError::Ended)?;
    Ok(token)
}
