//! The first step by a code that is mailed, where the deployment allows it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::next::{Origin, Outcome, proceed};
use super::sign_in::SignInError;
use crate::authority::Authority;
use crate::domain::authentication::{Authentication, Step};
use crate::domain::caller::Caller;
use crate::domain::confirmation::code_hash;
use crate::domain::event::{Actor, EventKind};
use crate::domain::language::Language;
use crate::domain::user::{Email, InvalidUser};
use crate::ops::mail::{self, Mail};
use crate::services::throttle::{Counter, ThrottleError};
use crate::store;

/// Why no code is sent.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The address is none.
    #[error(transparent)]
    Invalid(#[from] InvalidUser),
    /// Too many mails, or they could not be counted.
    #[error(transparent)]
    Throttle(#[from] ThrottleError),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Mails a code to an address, if it has an account. It is good in this browser alone.
///
/// # Errors
/// [`RequestError`].
pub async fn request(
    authority: &Authority,
    email: &str,
    origin: &Origin,
    language: Language,
    address: IpAddr,
) -> Result<(), RequestError> {
    let email: Email = email.parse()?;
    authority.throttle.take(&Counter::mail(&email.key(), address), authority.now()).await?;
    let browser = URL_SAFE_NO_PAD.encode(origin.binding.as_bytes());
    let mail = Mail::SignInCode { email: email.as_str().to_owned(), browser };
    mail::enqueue(authority, email.as_str(), mail, Some(language)).await?;
    Ok(())
}

/// Checks a code.
///
/// # Errors
/// [`SignInError`].
pub async fn sign_in(
    authority: &Authority,
    (email, code): (&str, &str),
    origin: &Origin,
    address: IpAddr,
    caller: &Caller,
) -> Result<Outcome, SignInError> {
    let key = email.trim().to_lowercase();
    if key.len() > 254 {
        return Err(SignInError::Wrong);
    }
    let mut counters = vec![Counter::MailCode(key.clone())];
    counters.extend(Counter::address(address));
    authority.throttle.take(&counters, authority.now()).await?;
    let user = authority.store.user_by_email(&key).await?;
    let digits: String = code.chars().filter(char::is_ascii_digit).collect();
    let now = authority.now();
    // Asked in any case, so that a known address takes no query more than an unknown one.
    let of = user.as_ref().map_or_else(|| (Uuid::nil().into(), 0), |user| (user.id, user.epoch));
    let hash = code_hash(of, &origin.binding, &digits);
    let email = user.as_ref().map_or(key.as_str(), |user| &user.email);
    let right = authority.store.use_sign_in_code(&hash, email, now).await?;
    let user = match user {
        Some(user) if right && user.enabled => user,
        known => {
            let mut event = authority.event(EventKind::SignInRefused, Actor::Anonymous, caller);
            event.user_id = known.map(|user| user.id);
            authority
                .store
                .add_failed_sign_in(&event, super::sign_in::FAILURES_WITHIN, now)
                .await?;
            return Err(SignInError::Wrong);
        }
    };
    authority.throttle.give_back(&counters[..1]).await?;
    let done = Authentication::begin(Step::MailCode, now);
    Ok(proceed(authority, &user, done, origin, caller).await?)
}
