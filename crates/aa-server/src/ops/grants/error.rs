//! The refusals and faults of the token endpoint's grants.

use crate::ops::authentication::client::AuthenticateError;
use crate::services::keyring::KeyError;
use crate::store;

/// A reason of [`GrantError::Invalid`]: no token of this authority, as it was issued.
pub const NOT_GENUINE: &str =
    "the token was not made here, or not under this secret, or was altered";
/// A reason of [`GrantError::Invalid`]: the family was deleted, long after it had ended.
pub const NO_FAMILY: &str = "the session of the token does not exist any more";
/// A reason of [`GrantError::Invalid`].
pub const ANOTHER_CLIENT: &str = "the token was issued to another client";
/// A reason of [`GrantError::Invalid`].
pub const NO_USER: &str = "the user of the token does not exist any more";

/// Why a grant gives no tokens.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The token is forged, altered, expired, another client's, or of a family that has ended. The family is unchanged. Which
    /// of them it is, the operator is told, and the caller is not.
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// The token was asked for with PKCE, and no verifier came. The family is unchanged.
    #[error("code_verifier is missing")]
    MissingVerifier,
    /// A verifier came, and the token was asked for without PKCE. The family is unchanged.
    #[error("there is a code_verifier, but the code was asked for without code_challenge")]
    UnexpectedVerifier,
    /// The token was used before. Its family has ended.
    #[error("the token was used before")]
    Reused,
    /// What the family was granted has been taken from the client since. The family has ended, and not for reuse.
    #[error("the client may not have these tokens any more")]
    Withdrawn,
    /// The client's tokens have to be bound to a key, and the request proves none (RFC 9449 §5.2).
    #[error("a DPoP proof is needed")]
    NoProof,
    /// The token is bound to a key that the request does not prove. The family is unchanged.
    #[error("the token is bound to another key")]
    WrongKey,
    /// The scope is more than the family was granted, or than the client may have.
    #[error("the scope is more than was granted")]
    ScopeTooWide,
    /// The resource is not one of the client's audiences, or not one that the authorization request named.
    #[error("the resource is not one of this app's")]
    UnknownResource,
    /// The client is a service, which has no users.
    #[error("the client may not use this grant")]
    UnauthorizedClient,
    /// The client gets no tokens for itself.
    #[error("the client may not get tokens for itself")]
    NotForItself,
    /// The token to be exchanged is forged, expired, of a family that has ended, or not for this client.
    #[error("the subject token is not valid for this client")]
    InvalidSubjectToken,
    /// The client is not registered to exchange tokens for this audience.
    #[error("the client may not exchange tokens for this audience")]
    UnknownTarget,
    /// The token has been exchanged as often as is allowed.
    #[error("the token was exchanged too often")]
    TooManyActors,
    /// The user has not answered the device's request yet.
    #[error("the user has not answered yet")]
    AuthorizationPending,
    /// As [`AuthorizationPending`](Self::AuthorizationPending), and the device has asked too soon.
    #[error("the device asks too often")]
    SlowDown,
    /// The user has refused the device's request.
    #[error("the user has refused")]
    AccessDenied,
    /// The device code was not used in time.
    #[error("the device code has expired")]
    ExpiredToken,
    /// The client was changed at every attempt. The family is unchanged, and the same request can be repeated.
    #[error("the app was changed meanwhile")]
    ClientChanged,
    /// The client was changed and is no longer authenticated by its credentials. The family is unchanged.
    #[error(transparent)]
    Client(#[from] AuthenticateError),
    /// Nothing could be signed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database cannot answer. The token may be valid.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The database did not answer whether it has made the change. The token may be used up.
    #[error("it is not known whether the tokens were issued: {0}")]
    Unanswered(#[source] store::Error),
}
