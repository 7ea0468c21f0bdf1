//! Passwords: changed with the old one, or reset by a link in a mail.

use std::net::IpAddr;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::AccountError;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::confirmation::ConfirmationKind;
use crate::domain::event::{Actor, EventKind};
use crate::domain::language::Language;
use crate::domain::password::check;
use crate::domain::refresh_token::SecretHash;
use crate::domain::user::Email;
use crate::ops::mail::{self, Mail};
use crate::ops::sessions::end;
use crate::services::throttle::Counter;
use crate::store::{BrowserSession, User};

/// Why a password is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The current password, the new one, or both are wrong.
    #[error("the current or the new password cannot be used")]
    Mistakes(Vec<AccountError>),
    /// The form is right, and the change was refused for another reason.
    #[error(transparent)]
    Account(AccountError),
}

impl<E: Into<AccountError>> From<E> for ChangeError {
    fn from(error: E) -> Self {
        Self::Account(error.into())
    }
}

/// Changes a user's own password, and ends all their sessions except the one it is changed in. That one gets a new
/// token, for its cookie: the answer.
///
/// The new password is judged by what was typed alone, so that its fault says nothing about the account. The current one is
/// verified, and counted by the throttle, whatever the new one is.
///
/// # Errors
/// [`ChangeError`]; [`AccountError::Ended`] when the password was changed or reset, the user disabled, or the session
/// ended since the current password was checked.
pub async fn change_password(
    authority: &Authority,
    (user, browser_session): (&User, &BrowserSession),
    current: SecretString,
    new: SecretString,
    caller: &Caller,
) -> Result<SecretString, ChangeError> {
    let key = user.email.to_lowercase();
    let counter = [Counter::KnownBrowser(key.clone(), browser_session.browser_id)];
    authority.throttle.take(&counter, authority.now()).await?;
    let unusable = if current.expose_secret() == new.expose_secret() {
        Some(AccountError::SamePassword)
    } else {
        let min_chars = authority.config.password_min_chars;
        check(new.expose_secret(), &user.email, min_chars).err().map(Into::into)
    };
    let known = Some(user.password_hash.clone());
    let checked = authority.password_hasher.verify(&key, current, known).await;
    let wrong = (checked == Ok(false)).then_some(AccountError::WrongPassword);
    if wrong.is_none() {
        authority.throttle.give_back(&counter).await?;
    }
    checked?;
    let mistakes: Vec<_> = wrong.into_iter().chain(unusable).collect();
    if !mistakes.is_empty() {
        return Err(ChangeError::Mistakes(mistakes));
    }
    let hash = authority.password_hasher.hash(&key, new, authority.random.bytes()).await?;
    let event = authority
        .event(EventKind::PasswordChanged, Actor::User(user.id), caller)
        .user(user.id)
        .detail(json!({ "kept_device": browser_session.browser_id }))
        .tell(mail::notice(authority, user.id, EventKind::PasswordChanged, caller));
    let (token, keep) = end::keep(authority, browser_session);
    authority
        .store
        .change_password(user, &hash, &keep, event, authority.now())
        .await?
        .ok_or(AccountError::Ended)?;
    Ok(token)
}

/// Asks for a new password: a mail with a link goes to the address, if it has an account. The answer is the same if not.
///
/// # Errors
/// [`AccountError::Invalid`], [`AccountError::Throttle`], [`AccountError::Store`].
pub async fn forgot(
    authority: &Authority,
    email: &str,
    language: Language,
    address: IpAddr,
) -> Result<(), AccountError> {
    let email: Email = email.parse()?;
    authority.throttle.take(&Counter::mail(&email.key(), address), authority.now()).await?;
    let mail = Mail::ResetPassword { email: email.as_str().to_owned() };
    mail::enqueue(authority, email.as_str(), mail, Some(language)).await?;
    Ok(())
}

/// The address of the account whose password a link resets.
///
/// # Errors
/// [`AccountError::NoConfirmation`], [`AccountError::Store`].
pub async fn address_of_reset(authority: &Authority, token: &str) -> Result<String, AccountError> {
    let hash = SecretHash::of(token.as_bytes());
    let kind = ConfirmationKind::ResetPassword;
    let found = authority.store.confirmation(&hash, kind, authority.now()).await?;
    Ok(found.ok_or(AccountError::NoConfirmation)?.email)
}

/// Replaces a password with the link of a mail, once, and ends everything of the user's. A second factor stays needed: the
/// user signs in afterwards.
///
/// # Errors
/// [`AccountError`].
pub async fn reset(
    authority: &Authority,
    (token, new): (&str, SecretString),
    address: IpAddr,
    caller: &Caller,
) -> Result<(), AccountError> {
    authority.throttle.take(&Counter::address(address), authority.now()).await?;
    let hash = SecretHash::of(token.as_bytes());
    let kind = ConfirmationKind::ResetPassword;
    let found = authority.store.confirmation(&hash, kind, authority.now()).await?;
    let found = found.ok_or(AccountError::NoConfirmation)?;
    let user = found.user_id.ok_or(AccountError::NoConfirmation)?;
    check(new.expose_secret(), &found.email, authority.config.password_min_chars)?;
    let key = found.email.to_lowercase();
    let password = authority.password_hasher.hash(&key, new, authority.random.bytes()).await?;
    let event = authority
        .event(EventKind::PasswordReset, Actor::User(user), caller)
        .user(user)
        .tell(mail::notice(authority, user, EventKind::PasswordReset, caller));
    let done =
        authority.store.confirm_password_reset(&hash, &password, event, authority.now()).await?;
    done.map(drop).ok_or(AccountError::NoConfirmation)
}
