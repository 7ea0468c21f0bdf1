//! The address of an account: confirmed, or changed to one that is confirmed.

use std::net::IpAddr;

use super::AccountError;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::confirmation::ConfirmationKind;
use crate::domain::event::{Actor, EventKind};
use crate::domain::refresh_token::SecretHash;
use crate::domain::user::Email;
use crate::ops::mail::{self, Mail, Notice};
use crate::services::throttle::Counter;
use crate::store::{Place, User};

/// Mails a link that confirms the address of an account.
///
/// # Errors
/// [`AccountError::Throttle`], [`AccountError::Store`].
pub async fn ask_to_confirm(
    authority: &Authority,
    user: &User,
    address: IpAddr,
) -> Result<(), AccountError> {
    authority
        .throttle
        .take(&Counter::mail(&user.email.to_lowercase(), address), authority.now())
        .await?;
    mail::enqueue(authority, &user.email, Mail::ConfirmEmail { user: user.id }, None).await?;
    Ok(())
}

/// Asks to change the address of an account: the new one gets a link, and the old one is told. The answer is the same if
/// another account has the new address.
///
/// # Errors
/// [`AccountError::Invalid`], [`AccountError::SameEmail`], [`AccountError::Throttle`], [`AccountError::Store`].
pub async fn ask_to_change(
    authority: &Authority,
    user: &User,
    email: &str,
    address: IpAddr,
    caller: &Caller,
) -> Result<(), AccountError> {
    let email: Email = email.parse()?;
    if email.as_str() == user.email {
        return Err(AccountError::SameEmail);
    }
    authority.throttle.take(&Counter::mail(&email.key(), address), authority.now()).await?;
    let change = Mail::ChangeEmail { user: user.id, email: email.as_str().to_owned() };
    mail::enqueue(authority, email.as_str(), change, None).await?;
    let told = about_change(authority, user, email.as_str(), caller);
    authority.store.enqueue_delivery(&told.row(), authority.now()).await?;
    Ok(())
}

/// The mail to the old address.
fn about_change(
    authority: &Authority,
    user: &User,
    new: &str,
    caller: &Caller,
) -> crate::store::SealedDelivery {
    let at = authority.now();
    let place =
        Place { ip: caller.ip.clone(), user_agent: caller.user_agent.clone(), at: at.to_string() };
    let notice = Notice {
        user: user.id,
        email: Some(user.email.clone()),
        kind: EventKind::EmailChanged.as_str().to_owned(),
        at,
        places: vec![place],
        about: Some(new.to_owned()),
    };
    mail::seal(authority, &format!("user:{}", user.id), Mail::Notice(notice), None)
}

/// The address that a link confirms.
///
/// # Errors
/// [`AccountError::NoConfirmation`], [`AccountError::Store`].
pub async fn confirmed_address(
    authority: &Authority,
    token: &str,
    kind: ConfirmationKind,
) -> Result<String, AccountError> {
    let hash = SecretHash::of(token.as_bytes());
    let found = authority.store.confirmation(&hash, kind, authority.now()).await?;
    Ok(found.ok_or(AccountError::NoConfirmation)?.email)
}

/// Confirms an address with the link of a mail, once.
///
/// # Errors
/// [`AccountError::NoConfirmation`]; [`AccountError::EmailTaken`] when another account has it meanwhile;
/// [`AccountError::Store`].
pub async fn confirm(
    authority: &Authority,
    token: &str,
    kind: ConfirmationKind,
    caller: &Caller,
) -> Result<(), AccountError> {
    let event_kind = match kind {
        ConfirmationKind::ChangeEmail => EventKind::EmailChanged,
        _ => EventKind::EmailConfirmed,
    };
    let hash = SecretHash::of(token.as_bytes());
    let event = authority.event(event_kind, Actor::Anonymous, caller);
    let done = authority.store.confirm_email(&hash, kind, event, authority.now()).await?;
    done.map(drop).ok_or(AccountError::NoConfirmation)
}
