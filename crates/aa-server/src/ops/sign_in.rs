//! Signs a person in by password: a new identity token, whatever cookie came before.

use std::net::IpAddr;

use secrecy::SecretString;
use uuid::Uuid;

use super::Caller;
use super::passwords::Busy;
use super::throttle::{Counter, TooManyTries};
use crate::app::App;
use crate::domain::password::MAX_CHARS;
use crate::domain::token::SecretHash;
use crate::store::{self, NewIdentity, User};

/// Somebody wants to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The address, as typed.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// The device cookie, if there is one.
    pub device_token: Option<String>,
    /// The identity cookie, if there is one: it ends.
    pub identity_token: Option<String>,
    /// Where from, for counting.
    pub address: IpAddr,
}

/// Somebody is signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// For the identity cookie.
    pub identity_token: SecretString,
    /// For the device cookie, when the browser is new.
    pub device_token: Option<SecretString>,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such user, a disabled one, or another password: answered alike.
    #[error("the address or the password is not right")]
    Wrong,
    /// Too many tries.
    #[error("too many tries")]
    TooMany(TooManyTries),
    /// Too many passwords are being checked.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Signs in.
///
/// An unknown address costs one password hash, as a known one does.
///
/// # Errors
/// [`SignInError`].
pub async fn sign_in(app: &App, command: SignIn, caller: &Caller) -> Result<SignedIn, SignInError> {
    let key = command.email.trim().to_lowercase();
    let device = known_device(app, command.device_token.as_deref()).await?;
    let user = app.store.user_by_email(&key).await?;
    let familiar = match (&user, device) {
        (Some(user), Some(device)) => app.store.knows_device(user.id, device).await?,
        _ => false,
    };
    let by_account = match device {
        Some(device) if familiar => Counter::KnownDevice(key, device),
        _ => Counter::Account(key),
    };
    let counters = [by_account, Counter::address(command.address)];
    app.throttle.take(&counters, app.now()).map_err(SignInError::TooMany)?;

    let too_long =
        secrecy::ExposeSecret::expose_secret(&command.password).chars().count() > MAX_CHARS;
    let hash = user.as_ref().filter(|_| !too_long).map(|user| user.password_hash.clone());
    let right = app.hasher.verify(command.password, hash).await?;
    let user = match user {
        Some(user) if right && user.enabled => user,
        known => {
            let mut event = app.event("identity.refused", "stranger", caller);
            event.user_id = known.map(|user| user.id);
            app.store.add_event(&event, app.now()).await?;
            return Err(SignInError::Wrong);
        }
    };
    app.throttle.give_back(&counters);
    Ok(begin(app, &user, device, command.identity_token.as_deref(), caller).await?)
}

/// The device of a cookie.
pub(super) async fn known_device(
    app: &App,
    token: Option<&str>,
) -> Result<Option<Uuid>, store::Error> {
    match token {
        Some(token) => app.store.device(&SecretHash::of(token.as_bytes())).await,
        None => Ok(None),
    }
}

/// Records the sign-in of a user who has been recognised.
pub(super) async fn begin(
    app: &App,
    user: &User,
    device: Option<Uuid>,
    replaces: Option<&str>,
    caller: &Caller,
) -> Result<SignedIn, store::Error> {
    let now = app.now();
    let identity_token = app.random.token();
    let device_token = device.is_none().then(|| app.random.token());
    let device_id = device.unwrap_or_else(|| app.random.uuid());
    let identity = NewIdentity {
        id: app.random.uuid_at(now),
        token_hash: SecretHash::of(identity_token.as_bytes()),
        user_id: user.id,
        user_epoch: user.epoch,
        device_id,
        device_token_hash: device_token.as_ref().map(|token| SecretHash::of(token.as_bytes())),
        amr: "pwd",
        ip: &caller.ip,
        user_agent: &caller.user_agent,
        idle_expires_at: now + app.config.ttls.identity_idle.min(app.config.ttls.identity),
        expires_at: now + app.config.ttls.identity,
        replaces: replaces.map(|token| SecretHash::of(token.as_bytes())),
    };
    let event = app
        .event("identity.started", format!("user:{}", user.id), caller)
        .user(user.id)
        .detail(serde_json::json!({ "device": device_id, "new_device": device.is_none() }));
    app.store.sign_in(&identity, event, now).await?;
    Ok(SignedIn {
        identity_token: identity_token.into(),
        device_token: device_token.map(Into::into),
    })
}
