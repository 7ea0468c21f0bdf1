//! Accounts, as their users manage them.

pub mod email;
pub mod factors;
pub mod lifecycle;
pub mod password;
pub mod picture;
pub mod profile;
pub mod register;

use foundation::time::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::authority::Authority;
use crate::domain::ids::UserId;
use crate::domain::password::WeakPassword;
use crate::domain::user::{Email, InvalidUser, check_name};
use crate::services::drawing::DrawingError;
use crate::services::password_hasher::Busy;
use crate::services::throttle::ThrottleError;
use crate::store::{self, NewUser};

/// Why an account is not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// An input cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidUser),
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
    /// The new address is the present one.
    #[error("This is the address of the account already.")]
    SameEmail,
    /// The new password is the current one.
    #[error("The new password must differ from the current one.")]
    SamePassword,
    /// The file is no picture.
    #[error(transparent)]
    Picture(#[from] DrawingError),
    /// The link of a mail was used, has expired, or never existed.
    #[error("This link is not valid any more.")]
    NoConfirmation,
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
    /// Whether somebody vouches for the address, so that the user need not prove it.
    pub email_verified: bool,
}

pub(super) struct Prepared {
    pub(super) id: UserId,
    email: Email,
    email_key: String,
    name: String,
    password_hash: String,
    pub(super) admin: bool,
    pub(super) email_verified_at: Option<Timestamp>,
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
            email_verified_at: self.email_verified_at,
        }
    }
}

pub(super) async fn prepare(
    authority: &Authority,
    account: NewAccount,
) -> Result<Prepared, AccountError> {
    let email: Email = account.email.parse()?;
    let name = check_name(&account.name)?;
    let min_chars = authority.config.password_min_chars;
    crate::domain::password::check(account.password.expose_secret(), email.as_str(), min_chars)?;
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
        email_verified_at: account.email_verified.then(|| authority.now()),
    })
}
