//! Tokens that clients are registered with (RFC 7591 §3): operators create and revoke them.

use std::time::Duration;

use foundation::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tokens::Scope;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::DEFAULT_SCOPES;
use crate::domain::event::{Actor, EventKind};
use crate::domain::refresh_token::SecretHash;
use crate::store::{self, NewRegistrationToken};

/// The beginning of every initial access token, by which leaked ones are found.
pub const PREFIX: &str = "iat_";
/// The longest validity of a token.
pub const MAX_VALIDITY: Duration = Duration::from_hours(400 * 24);

/// A token as an operator asks for it.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// The token's name, in lists and events.
    pub name: String,
    /// What its clients may ask for; [`DEFAULT_SCOPES`] if it is empty.
    pub scopes: Vec<String>,
    /// The time for which it is valid.
    pub validity: Duration,
    /// How many clients may be registered with it; `None` for any number.
    pub uses: Option<u32>,
    /// How many of these there may be at the same time.
    pub max_clients: u32,
}

/// Why a token is not created or revoked, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The given values make no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is a token with this name.
    #[error("there is a registration token `{0}` already: revoke it first, or choose another name")]
    Taken(String),
    /// There is none.
    #[error("there is no registration token `{0}`")]
    Unknown(String),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Creates a token. Only its hash is kept. Returns it, and the end of its validity.
///
/// # Errors
/// [`TokenError`].
pub async fn add(
    authority: &Authority,
    request: &TokenRequest,
    caller: &Caller,
) -> Result<(SecretString, Timestamp), TokenError> {
    let scopes = check(request).map_err(TokenError::Invalid)?;
    let token = format!("{PREFIX}{}", authority.random.token());
    let now = authority.now();
    let expires_at = now + request.validity;
    let detail = json!({
        "name": request.name,
        "scopes": scopes,
        "uses": request.uses,
        "max_clients": request.max_clients,
        "expires_at": expires_at.to_string(),
    });
    let event = authority.event(EventKind::RegistrationTokenMade, Actor::Operator, caller);
    let row = NewRegistrationToken {
        name: &request.name,
        token_hash: SecretHash::of(token.as_bytes()),
        scopes: scopes.as_str(),
        max_registrations: request.uses.map(i64::from),
        max_clients: request.max_clients.into(),
        expires_at,
    };
    match authority.store.add_registration_token(&row, event.detail(detail), now).await {
        Ok(()) => Ok((token.into(), expires_at)),
        Err(store::Error::Conflict(_)) => Err(TokenError::Taken(request.name.clone())),
        Err(cause) => Err(cause.into()),
    }
}

fn check(request: &TokenRequest) -> Result<Scope, String> {
    let name_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(1..=64).contains(&request.name.len()) || !request.name.chars().all(name_char) {
        return Err("name: 1 to 64 letters, digits and -_. are allowed".to_owned());
    }
    if !(Duration::from_secs(1)..=MAX_VALIDITY).contains(&request.validity) {
        return Err("expires: from 1s to 400d".to_owned());
    }
    if request.uses == Some(0) || request.max_clients == 0 {
        return Err("uses, max-clients: at least 1".to_owned());
    }
    let scopes: Vec<&str> =
        request.scopes.iter().flat_map(|text| text.split_whitespace()).collect();
    let text = if scopes.is_empty() { DEFAULT_SCOPES.to_owned() } else { scopes.join(" ") };
    text.parse().map_err(|()| format!("scope: `{text}` cannot be read"))
}

/// Revokes a token: nothing more is registered with it. The clients that were stay, and manage themselves.
///
/// # Errors
/// [`TokenError`].
pub async fn revoke(authority: &Authority, name: &str, caller: &Caller) -> Result<(), TokenError> {
    let event = authority
        .event(EventKind::RegistrationTokenRevoked, Actor::Operator, caller)
        .detail(json!({ "name": name }));
    authority
        .store
        .remove_registration_token(name, event, authority.now())
        .await?
        .ok_or_else(|| TokenError::Unknown(name.to_owned()))
}
