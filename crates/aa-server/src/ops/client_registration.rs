//! Clients that register themselves (RFC 7591), and read, replace and remove their registration (RFC 7592).
//!
//! Both kinds of tokens are random, and only their SHA-256 is kept. What a client gets is decided by the rules of
//! [`clients`](super::clients), by the scopes of the initial access token, and by what
//! [`domain::client_registration`](crate::domain::client_registration) has a name for: all else is the operator's.

use std::net::IpAddr;

use foundation::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tokens::Scope;

use super::clients::{self, Change, ClientError, hash_of};
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::{ClientMetadata, ClientType};
use crate::domain::client_authentication::ClientAuthentication;
use crate::domain::client_registration::{BadMetadata, Registration, Replacement};
use crate::domain::event::{Actor, EventKind};
use crate::services::throttle::{Counter, ThrottleError};
use crate::store::{self, Client, ClientChange, Registering};

/// The beginning of every registration access token, by which leaked ones are found.
pub const PREFIX: &str = "rat_";

/// A request with a token: an initial access token, or the registration access token of a client.
#[derive(Debug)]
pub struct Bearer {
    /// The token.
    pub token: SecretString,
    /// The address that guesses are counted by.
    pub address: IpAddr,
    /// The caller's address.
    pub caller: Caller,
}

/// A registered client, as it is told (RFC 7591 §3.2.1).
#[derive(Debug)]
pub struct Registered {
    /// What it is registered with.
    pub metadata: ClientMetadata,
    /// The time it was registered.
    pub issued_at: Timestamp,
    /// The client secret, which is told once: only the hash is kept.
    pub client_secret: Option<SecretString>,
    /// The token by which it manages its registration.
    pub access_token: SecretString,
}

/// Why a registration is not made, told or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The token does not count here. The reason is for the operator; `known` says whether there is such a client.
    #[error("{reason}")]
    InvalidToken {
        /// The exact reason.
        reason: &'static str,
        /// Whether a client has the id that was named.
        known: bool,
    },
    /// There are as many clients of this initial access token as there may be.
    #[error("there are as many apps of this token as it may have: one of them has to go first")]
    TooManyClients,
    /// The client became an API or an agent: it is the operator's.
    #[error("this app is managed by an operator")]
    Managed,
    /// The metadata cannot be registered.
    #[error(transparent)]
    Metadata(#[from] BadMetadata),
    /// Another change of the client came first.
    #[error("the registration was changed meanwhile")]
    Changed,
    /// Too many wrong tokens.
    #[error(transparent)]
    Throttle(#[from] ThrottleError),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<ClientError> for RegistrationError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Store(cause) => cause.into(),
            other => BadMetadata::Metadata(other.to_string()).into(),
        }
    }
}

fn invalid<T>(reason: &'static str, known: bool) -> Result<T, RegistrationError> {
    Err(RegistrationError::InvalidToken { reason, known })
}

/// Runs `work`, and counts a try of the address if the token was wrong.
async fn counted<T>(
    authority: &Authority,
    address: IpAddr,
    work: impl Future<Output = Result<T, RegistrationError>>,
) -> Result<T, RegistrationError> {
    let counters = Counter::address(address);
    authority.throttle.take(&counters, authority.now()).await?;
    let done = work.await;
    if !matches!(done, Err(RegistrationError::InvalidToken { .. })) {
        authority.throttle.give_back(&counters).await?;
    }
    done
}

/// Registers a client under an id of its own.
///
/// *Checks* that the initial access token is known, not expired and not used up, the metadata as those of operators are, and
/// that the scope is within the token's.
///
/// # Errors
/// [`RegistrationError`].
pub async fn register(
    authority: &Authority,
    bearer: &Bearer,
    body: &[u8],
) -> Result<Registered, RegistrationError> {
    counted(authority, bearer.address, Box::pin(register_with(authority, bearer, body))).await
}

async fn register_with(
    authority: &Authority,
    bearer: &Bearer,
    body: &[u8],
) -> Result<Registered, RegistrationError> {
    let now = authority.now();
    let with = hash_of(&bearer.token);
    let token = match authority.store.registration_token(&with).await? {
        None => return invalid("no initial access token is like this", false),
        Some(token) if token.expires_at <= now => {
            return invalid("the initial access token has expired", false);
        }
        Some(token) if token.max_registrations.is_some_and(|max| token.registrations >= max) => {
            return invalid("the initial access token is used up", false);
        }
        Some(token) => token,
    };
    // Never an id that the client chooses: it is an audience, and may be that of an API.
    let id = authority.random.uuid_at(now).to_string();
    let base = ClientMetadata::named(&id, &id, ClientType::Confidential);
    let allowed: Scope = token.scopes.parse().unwrap_or_default();
    let metadata = Registration::parse(body)?.on(&base, &allowed)?;
    clients::check(authority, &metadata)?;
    let secret = clients::new_secret(authority, &metadata);
    let access_token = SecretString::from(format!("{PREFIX}{}", authority.random.token()));
    let event = authority
        .event(EventKind::ClientMade, Actor::Client(id.clone()), &bearer.caller)
        .client(&id)
        .detail(json!({ "registration_token": token.name }));
    let client = ClientChange {
        metadata: &metadata,
        is_new: true,
        secret: secret.as_ref().map(hash_of),
        event,
    };
    let hash = hash_of(&access_token);
    match authority.store.register_client(&with, &client, &hash, now).await? {
        Registering::Done => {
            Ok(Registered { metadata, issued_at: now, client_secret: secret, access_token })
        }
        Registering::TokenIsOver => invalid("the initial access token has just ended", false),
        Registering::TooManyClients => Err(RegistrationError::TooManyClients),
    }
}

/// The client that manages itself by this token.
///
/// *Checks* that the client exists and is enabled, and that the token is its own.
async fn managed(
    authority: &Authority,
    client_id: &str,
    bearer: &Bearer,
) -> Result<(Client, Timestamp), RegistrationError> {
    // A database cannot look for a NUL.
    let named = Some(client_id).filter(|id| !id.contains('\0'));
    let found = match named {
        Some(id) => authority.store.client(id).await?,
        None => None,
    };
    let Some(client) = found else {
        return invalid("no client has this id", false);
    };
    let Some(registration) = authority.store.client_registration(client_id).await? else {
        return invalid("the client has no registration access token", true);
    };
    if registration.token_hash != hash_of(&bearer.token) {
        return invalid("it is not the registration access token of the client", true);
    }
    match client.metadata.kind {
        _ if !client.enabled => invalid("the client is disabled", true),
        // An agent that replaced its metadata would be an app of another kind, and users would not be asked.
        ClientType::Api | ClientType::Agent => Err(RegistrationError::Managed),
        _ => Ok((client, registration.registered_at)),
    }
}

/// What a client is registered with (RFC 7592 §2.1).
///
/// # Errors
/// [`RegistrationError`].
pub async fn read(
    authority: &Authority,
    client_id: &str,
    bearer: &Bearer,
) -> Result<Registered, RegistrationError> {
    let found = counted(authority, bearer.address, managed(authority, client_id, bearer));
    let (Client { metadata, .. }, issued_at) = found.await?;
    let access_token = bearer.token.clone();
    Ok(Registered { metadata, issued_at, client_secret: None, access_token })
}

/// Replaces what a client is registered with (RFC 7592 §2.2). Its scopes can only become fewer: more are for operators to
/// give, and what an operator took does not come back.
///
/// # Errors
/// [`RegistrationError`].
pub async fn replace(
    authority: &Authority,
    client_id: &str,
    bearer: &Bearer,
    body: &[u8],
) -> Result<Registered, RegistrationError> {
    let found = counted(authority, bearer.address, managed(authority, client_id, bearer));
    let (client, issued_at) = found.await?;
    let (before, version) = (client.metadata, client.version);
    let replacement = Replacement::parse(body)?;
    let refused = |why: &str| Err(BadMetadata::Metadata(why.to_owned()).into());
    if replacement.client_id != client_id {
        return refused("client_id: it is another client's");
    }
    if let Some(secret) = &replacement.client_secret
        && !clients::is_secret_of(authority, client_id, secret).await?
    {
        return refused("client_secret: a client does not choose its secret");
    }
    let metadata = replacement.registration.on(&before, &before.allowed_scopes())?;
    let by_secret =
        |it: &ClientMetadata| it.authenticates_by() == ClientAuthentication::ClientSecret;
    if by_secret(&metadata) && !by_secret(&before) {
        return refused("token_endpoint_auth_method: there is no way back to a secret");
    }
    if clients::plan_one(authority, &metadata).await? != Change::None {
        let event = authority
            .event(EventKind::ClientChanged, Actor::Client(client_id.to_owned()), &bearer.caller)
            .client(client_id);
        let done = authority.store.replace_client(&metadata, version, event, authority.now());
        done.await?.ok_or(RegistrationError::Changed)?;
    }
    let access_token = bearer.token.clone();
    Ok(Registered { metadata, issued_at, client_secret: None, access_token })
}

/// Ends a client that removes itself (RFC 7592 §2.3): its sessions, as when an operator disables it, its secrets and its
/// registration access token. Its row stays, disabled, so that its id is not used again and events keep their name.
///
/// # Errors
/// [`RegistrationError`].
pub async fn remove(
    authority: &Authority,
    client_id: &str,
    bearer: &Bearer,
) -> Result<(), RegistrationError> {
    counted(authority, bearer.address, managed(authority, client_id, bearer)).await?;
    let event = authority
        .event(EventKind::ClientRemoved, Actor::Client(client_id.to_owned()), &bearer.caller)
        .client(client_id);
    let done = authority.store.remove_client(client_id, event, authority.now()).await?;
    done.map_or_else(|| invalid("the client has just removed itself", true), Ok)
}
