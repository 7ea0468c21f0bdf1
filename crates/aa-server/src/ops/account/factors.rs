//! A user's second factors: passkeys, an authenticator app, recovery codes.

use tracing::info;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::{PasskeyId, UserId};
use crate::domain::recovery_code;
use crate::domain::refresh_token::SecretHash;
use crate::domain::user_agent::UserAgent;
use crate::ops::mail;
use crate::services::passkeys::{Challenge, PasskeyError};
use crate::services::totp::NewTotp;
use crate::store::{self, Event, PasskeyRow, Result, User};

/// Passkeys of a user, at most.
const MAX_PASSKEYS: usize = 20;

/// Why a factor is not added.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The code does not fit the secret.
    #[error("the code is not right")]
    WrongCode,
    /// The set-up was begun too long ago, or in another browser.
    #[error("the set-up has expired")]
    Expired,
    /// The passkey was refused.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// There are too many.
    #[error("there are 20 passkeys already")]
    TooMany,
    /// The passkey was added before.
    #[error("the passkey is known already")]
    Known,
    /// The database did not answer.
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for FactorError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict(_) => Self::Known,
            other => Self::Store(other),
        }
    }
}

/// An event about a user's own factors, of which they are told by mail.
fn event(authority: &Authority, user: UserId, kind: EventKind, caller: &Caller) -> Event {
    authority
        .event(kind, Actor::User(user), caller)
        .user(user)
        .tell(mail::notice(authority, user, kind, caller))
}

/// A challenge to add a passkey; `None` where there are none.
///
/// # Errors
/// When the database cannot answer.
pub async fn passkey_challenge(
    authority: &Authority,
    user: &User,
    binding: &SecretHash,
) -> Result<Option<Challenge>> {
    let known: Vec<String> =
        authority.store.passkeys(user.id).await?.into_iter().map(|row| row.credential).collect();
    let names = (user.id.uuid(), user.email.as_str(), user.display_name());
    Ok(authority.passkeys.begin_registration(names, &known, binding, authority.now()).ok())
}

/// Adds a passkey.
///
/// # Errors
/// [`FactorError`].
pub async fn add_passkey(
    authority: &Authority,
    user: &User,
    (state, answer): (&str, &str),
    binding: &SecretHash,
    caller: &Caller,
) -> std::result::Result<(), FactorError> {
    let now = authority.now();
    if authority.store.passkeys(user.id).await?.len() >= MAX_PASSKEYS {
        return Err(FactorError::TooMany);
    }
    let made = authority.passkeys.finish_registration((state, answer), binding, now).inspect_err(
        |refused| {
            info!(user = %user.id, %refused, "a new passkey was refused");
        },
    )?;
    let row = PasskeyRow {
        id: authority.random.uuid_at(now).into(),
        user_id: user.id,
        credential: made.credential,
        name: UserAgent::of(&caller.user_agent).to_string(),
        synced: made.synced,
        created_at: now,
        last_used_at: None,
    };
    let event = event(authority, user.id, EventKind::PasskeyAdded, caller);
    Ok(authority.store.add_passkey(&row, &made.credential_id, event, now).await?)
}

/// Removes a passkey. `None` when it is not this user's.
///
/// # Errors
/// When the database cannot answer.
pub async fn remove_passkey(
    authority: &Authority,
    user: UserId,
    id: PasskeyId,
    caller: &Caller,
) -> Result<Option<()>> {
    let event = event(authority, user, EventKind::PasskeyRemoved, caller);
    authority.store.remove_passkey(user, id, event, authority.now()).await
}

/// Begins the set-up of an authenticator app. Nothing is kept of it until a code proves it.
pub fn new_totp(authority: &Authority, user: &User, binding: &SecretHash) -> Option<NewTotp> {
    let secret = Zeroizing::new(authority.random.bytes());
    authority.totp.begin(&secret, user.id, names(authority, user), binding, authority.now())
}

/// The set-up of an authenticator app that was begun before, to be shown again.
pub fn same_totp(
    authority: &Authority,
    user: &User,
    state: &str,
    binding: &SecretHash,
) -> Option<NewTotp> {
    authority.totp.resume(state, user.id, names(authority, user), binding, authority.now())
}

/// The names by which an authenticator app shows its entry.
fn names<'a>(authority: &'a Authority, user: &'a User) -> (&'a str, &'a str) {
    (&authority.branding.name, &user.email)
}

/// Turns an authenticator app on, after a code has proved that it has the secret.
///
/// # Errors
/// [`FactorError::WrongCode`], [`FactorError::Expired`], [`FactorError::Store`].
pub async fn add_totp(
    authority: &Authority,
    user: &User,
    (state, code): (&str, &str),
    binding: &SecretHash,
    caller: &Caller,
) -> std::result::Result<(), FactorError> {
    let now = authority.now();
    let row = authority.totp.finish(state, user.id, binding, now).ok_or(FactorError::Expired)?;
    let proved = authority.totp.check(&row, user.id, code, now).ok_or(FactorError::WrongCode)?;
    let event = event(authority, user.id, EventKind::TotpAdded, caller);
    Ok(authority.store.add_totp(user.id, &proved, event, now).await?)
}

/// Seals the secrets of all authenticator apps under the newest line of the server's secret.
///
/// # Errors
/// When the database cannot answer.
pub async fn reseal(authority: &Authority) -> Result<()> {
    for (user, sealed) in authority.store.totp_secrets().await? {
        if let Some(anew) = authority.totp.reseal(user, &sealed) {
            authority.store.reseal_totp(user, &sealed, &anew).await?;
        }
    }
    Ok(())
}

/// Turns the authenticator app off. `None` when there is none.
///
/// # Errors
/// When the database cannot answer.
pub async fn remove_totp(
    authority: &Authority,
    user: UserId,
    caller: &Caller,
) -> Result<Option<()>> {
    let event = event(authority, user, EventKind::TotpRemoved, caller);
    authority.store.remove_totp(user, event, authority.now()).await
}

/// Makes ten recovery codes, instead of those before. They are shown once: the database has their hashes.
///
/// # Errors
/// When the database cannot answer.
pub async fn make_recovery_codes(
    authority: &Authority,
    user: &User,
    caller: &Caller,
) -> Result<Vec<String>> {
    let codes: Vec<String> = (0..recovery_code::RECOVERY_CODES)
        .map(|_| recovery_code::write(authority.random.bytes()))
        .collect();
    let hashes: Vec<SecretHash> =
        codes.iter().map(|code| recovery_code::hash(user.id, code)).collect();
    let event =
        authority.event(EventKind::RecoveryCodesMade, Actor::User(user.id), caller).user(user.id);
    authority.store.set_recovery_codes(user.id, &hashes, event, authority.now()).await?;
    Ok(codes)
}
