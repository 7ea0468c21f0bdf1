//! The first step by password.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use super::next::{Origin, Outcome, known_browser, proceed};
use crate::authority::Authority;
use crate::domain::authentication::{Authentication, Step};
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::password::MAX_CHARS;
use crate::services::password_hasher::Busy;
use crate::services::throttle::{Counter, ThrottleError};
use crate::store;

/// The longest address of e-mail that is looked at (RFC 5321 §4.5.3.1.3, without its brackets).
const MAX_EMAIL_BYTES: usize = 254;

/// The time without failed sign-ins after which the next one is an event of its own.
pub(super) const FAILURES_WITHIN: Duration = Duration::from_hours(1);

/// A request to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The address, as typed.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// The address that attempts are counted by.
    pub address: IpAddr,
}

/// Why a sign-in is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such user, a disabled one, or another password: answered alike.
    #[error("the email or the password is incorrect")]
    Wrong,
    /// A passkey that was removed here.
    #[error("the passkey is not known")]
    UnknownPasskey,
    /// Too many tries, or they could not be counted.
    #[error(transparent)]
    Throttle(#[from] ThrottleError),
    /// Too many passwords are being checked.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Checks address and password.
///
/// An unknown address costs one password hash, as a known one does.
///
/// # Errors
/// [`SignInError`].
pub async fn sign_in(
    authority: &Authority,
    command: SignIn,
    origin: &Origin,
    caller: &Caller,
) -> Result<Outcome, SignInError> {
    let key = command.email.trim().to_lowercase();
    if key.len() > MAX_EMAIL_BYTES {
        return Err(SignInError::Wrong);
    }
    let browser = known_browser(authority, origin.browser_token.as_deref()).await?;
    // Asked in any case, so that a known account takes no query more than an unknown one.
    let user_id = authority.store.user_id_by_email(&key).await?;
    let user_id = user_id.unwrap_or_else(|| Uuid::nil().into());
    let browser_id = browser.unwrap_or_else(|| Uuid::nil().into());
    let familiar = authority.store.is_known_browser(user_id, browser_id).await?;
    let by_account = match browser {
        Some(browser) if familiar => Counter::KnownBrowser(key.clone(), browser),
        _ => Counter::Account(key.clone()),
    };
    // A browser that the user knows does not depend on what others do at its address.
    let mut counters = vec![by_account];
    if !familiar {
        counters.extend(Counter::address(command.address));
    }
    authority.throttle.take(&counters, authority.now()).await?;

    let user = authority.store.user_by_email(&key).await?;
    let too_long =
        secrecy::ExposeSecret::expose_secret(&command.password).chars().count() > MAX_CHARS;
    let hash = user.as_ref().filter(|_| !too_long).map(|user| user.password_hash.clone());
    let right = match authority.password_hasher.verify(&key, command.password, hash).await {
        Ok(right) => right,
        Err(busy) => {
            authority.throttle.give_back(&counters).await?;
            return Err(busy.into());
        }
    };
    let user = match user {
        Some(user) if right && user.enabled => user,
        known => {
            let mut event = authority.event(EventKind::SignInRefused, Actor::Anonymous, caller);
            event.user_id = known.map(|user| user.id);
            let now = authority.now();
            authority.store.add_failed_sign_in(&event, FAILURES_WITHIN, now).await?;
            return Err(SignInError::Wrong);
        }
    };
    // Not the address's: right passwords cost a hash each, too.
    authority.throttle.give_back(&counters[..1]).await?;
    let done = Authentication::begin(Step::Password, authority.now());
    Ok(proceed(authority, &user, done, origin, caller).await?)
}
