//! Registration: with a confirmed address, or by invitation.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::Deserialize;

use super::{AccountError, NewAccount, prepare};
use crate::authority::Authority;
use crate::config::RegistrationMode;
use crate::domain::authentication::{Authentication, Step};
use crate::domain::caller::Caller;
use crate::domain::confirmation::ConfirmationKind;
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::UserId;
use crate::domain::language::Language;
use crate::domain::refresh_token::SecretHash;
use crate::domain::user::{Email, check_name};
use crate::ops::authentication::next::{Origin, Outcome, proceed};
use crate::ops::mail::{self, Mail};
use crate::services::throttle::Counter;
use crate::store::Invitation;

/// A registration by invitation.
#[derive(Debug)]
pub struct Register {
    /// The data of the account.
    pub account: NewAccount,
    /// The token of the invitation.
    pub invitation: String,
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
    origin: &Origin,
    caller: &Caller,
) -> Result<Outcome, AccountError> {
    // Registration reveals whether an address has an account, so attempts are limited.
    let counter = Counter::address(command.address);
    authority.throttle.take(&counter, authority.now()).await?;
    let offer = registration_offer(authority, Some(&command.invitation)).await?;
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
    let hash = SecretHash::of(command.invitation.as_bytes());
    let accepted =
        authority.event(EventKind::InvitationAccepted, Actor::User(made.id), caller).user(made.id);
    authority
        .store
        .accept_invitation(&hash, &made.row(), &[accepted, event], authority.now())
        .await?
        .ok_or(AccountError::NoInvitation)?;
    sign_in(authority, made.id, origin, caller).await
}

/// Signs in to a new account.
async fn sign_in(
    authority: &Authority,
    id: UserId,
    origin: &Origin,
    caller: &Caller,
) -> Result<Outcome, AccountError> {
    let user = authority.store.user(id).await?.ok_or(AccountError::EmailTaken)?;
    let done = Authentication::begin(Step::Password, authority.now());
    Ok(proceed(authority, &user, done, origin, caller).await?)
}

/// Asks for an account with an address: a mail goes there, with a link to go on. The answer is the same whether there is an
/// account with the address.
///
/// # Errors
/// [`AccountError::Closed`] where registration is not open; [`AccountError::Invalid`], [`AccountError::Throttle`] and
/// [`AccountError::Store`].
pub async fn ask(
    authority: &Authority,
    (email, name): (&str, &str),
    origin: &Origin,
    language: Language,
    address: IpAddr,
) -> Result<(), AccountError> {
    registration_offer(authority, None).await?;
    let email: Email = email.parse()?;
    let name = check_name(name)?;
    authority.throttle.take(&Counter::mail(&email.key(), address), authority.now()).await?;
    let mail = Mail::Register {
        email: email.as_str().to_owned(),
        name,
        return_to: origin.return_to.clone(),
        browser: browser_of(origin),
    };
    mail::enqueue(authority, email.as_str(), mail, Some(language)).await?;
    Ok(())
}

fn browser_of(origin: &Origin) -> String {
    URL_SAFE_NO_PAD.encode(origin.binding.as_bytes())
}

/// The details that a registration leaves with its link.
#[derive(Debug, Default, Deserialize)]
struct Detail {
    name: String,
    return_to: String,
    browser: String,
}

impl Detail {
    /// Where the registration leads to. A request that waits is known in the browser that began it alone.
    fn goal(&self, origin: &Origin) -> String {
        if self.browser == browser_of(origin) {
            self.return_to.clone()
        } else {
            origin.return_to.clone()
        }
    }
}

/// The address that a link confirms, and where its registration leads to in this browser.
///
/// # Errors
/// [`AccountError::NoConfirmation`], [`AccountError::Store`].
pub async fn confirmed_address(
    authority: &Authority,
    token: &str,
    origin: &Origin,
) -> Result<(String, String), AccountError> {
    let hash = SecretHash::of(token.as_bytes());
    let found =
        authority.store.confirmation(&hash, ConfirmationKind::Register, authority.now()).await?;
    let found = found.ok_or(AccountError::NoConfirmation)?;
    let detail: Detail = serde_json::from_str(&found.detail).unwrap_or_default();
    Ok((found.email, detail.goal(origin)))
}

/// Creates the account that a link confirms, and signs in. Returns where the registration leads to.
///
/// # Errors
/// [`AccountError`].
pub async fn confirm(
    authority: &Authority,
    (token, password): (&str, SecretString),
    mut origin: Origin,
    address: IpAddr,
    caller: &Caller,
) -> Result<(Outcome, String), AccountError> {
    authority.throttle.take(&Counter::address(address), authority.now()).await?;
    registration_offer(authority, None).await?;
    let hash = SecretHash::of(token.as_bytes());
    let now = authority.now();
    let found = authority.store.confirmation(&hash, ConfirmationKind::Register, now).await?;
    let found = found.ok_or(AccountError::NoConfirmation)?;
    let detail: Detail = serde_json::from_str(&found.detail).unwrap_or_default();
    let account = NewAccount {
        email: found.email,
        name: detail.name.clone(),
        password,
        admin: false,
        email_verified: true,
    };
    let made = prepare(authority, account).await?;
    let event = authority.event(EventKind::UserMade, Actor::User(made.id), caller).user(made.id);
    let confirmed = authority.store.confirm_registration(&hash, &made.row(), event, now).await?;
    confirmed.ok_or(AccountError::NoConfirmation)?;
    origin.return_to = detail.goal(&origin);
    let outcome = sign_in(authority, made.id, &origin, caller).await?;
    Ok((outcome, origin.return_to))
}
