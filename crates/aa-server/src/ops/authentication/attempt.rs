//! Sign-in attempts: an authorization request waits in the database while the user signs in. The browser carries a
//! reference, so nothing in its address can weaken `prompt` or `max_age`.

use std::net::IpAddr;

use foundation::time::Timestamp;

use crate::authority::Authority;
use crate::domain::authorization_request::AuthorizationRequest;
use crate::domain::client::{ClientMetadata, ClientType};
use crate::domain::refresh_token::SecretHash;
use crate::services::throttle::{Counter, ThrottleError};
use crate::store::{self, AttemptKey, AuthenticationAttempt};

/// An attempt that a browser has referred to.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The reference.
    pub reference: String,
    /// The request that waits.
    pub request: AuthorizationRequest,
    /// The user must sign in after this moment; `None` if any sign-in will do.
    pub floor: Option<Timestamp>,
    key: AttemptKey,
}

fn key(reference: &str, browser: &SecretHash) -> AttemptKey {
    AttemptKey { token_hash: SecretHash::of(reference.as_bytes()), browser_hash: browser.clone() }
}

/// Stores a request that waits for a sign-in in this browser. Returns the reference.
///
/// # Errors
/// When there are too many from this address, or the database cannot answer.
pub async fn begin(
    authority: &Authority,
    request: AuthorizationRequest,
    browser: &SecretHash,
    address: IpAddr,
) -> Result<String, ThrottleError> {
    let now = authority.now();
    authority.throttle.take(&[Counter::stored_requests(address)], now).await?;
    let reference = authority.random.token();
    let floor = request.demands_recent_sign_in().then_some(now);
    let attempt = AuthenticationAttempt { request, floor };
    authority.store.add_attempt(&key(&reference, browser), &attempt, now).await?;
    Ok(reference)
}

/// Stores a pushed request (RFC 9126 §2). Returns its reference, 256 random bits.
///
/// # Errors
/// When there are too many, or the database cannot answer.
pub async fn push(
    authority: &Authority,
    request: AuthorizationRequest,
    client: &ClientMetadata,
    address: IpAddr,
) -> Result<String, ThrottleError> {
    let now = authority.now();
    let counter = match client.kind {
        ClientType::Confidential => Counter::PushedRequests(client.client_id.clone()),
        _ => Counter::stored_requests(address),
    };
    authority.throttle.take(&[counter], now).await?;
    let reference = authority.random.token();
    let floor = request.demands_recent_sign_in().then_some(now);
    let attempt = AuthenticationAttempt { request, floor };
    let token_hash = SecretHash::of(reference.as_bytes());
    authority.store.add_pushed_request(&token_hash, &attempt, now).await?;
    Ok(reference)
}

/// Redeems a request that this client has pushed: it becomes an attempt of this browser, which can load it again. `None` if
/// another browser has redeemed it, if it is another client's or has expired, or never existed.
///
/// # Errors
/// When the database cannot answer.
pub async fn redeem_pushed(
    authority: &Authority,
    reference: &str,
    client_id: &str,
    browser: &SecretHash,
) -> Result<Option<Attempt>, store::Error> {
    let now = authority.now();
    authority.store.redeem_pushed_request(&key(reference, browser), client_id, now).await?;
    let found = find(authority, reference, browser).await?;
    Ok(found.filter(|attempt| attempt.request.client_id == client_id))
}

/// The attempt with this reference. `None` if it was begun in another browser, has expired, or never existed.
///
/// # Errors
/// When the database cannot answer.
pub async fn find(
    authority: &Authority,
    reference: &str,
    browser: &SecretHash,
) -> Result<Option<Attempt>, store::Error> {
    let key = key(reference, browser);
    let found = authority.store.attempt(&key, authority.now()).await?;
    Ok(found.map(|AuthenticationAttempt { request, floor }| Attempt {
        reference: reference.to_owned(),
        request,
        floor,
        key,
    }))
}

/// Uses a sign-in of this time for the attempt. `false` if it was used before: the user has to sign in again to use
/// the attempt once more.
///
/// # Errors
/// When the database cannot answer.
pub async fn complete(
    authority: &Authority,
    attempt: &Attempt,
    auth_time: Timestamp,
) -> Result<bool, store::Error> {
    authority.store.complete_attempt(&attempt.key, auth_time, authority.now()).await
}
