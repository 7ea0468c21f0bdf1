//! The one error of all handlers. It is neutral: [`render`](super::render) writes it as a page, as OAuth JSON or as
//! problem details, by the kind of the route. The cause is logged here, once, and never sent.

use std::fmt;
use std::time::Duration;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use tracing::error;

use super::request::params::BadParams;
use crate::domain::message::Message;
use crate::domain::token_exchange::BadExchange;
use crate::ops::authentication::client::{AuthenticateError, Unaccepted};
use crate::ops::grants::error::GrantError;
use crate::ops::lists::PageError;
use crate::services::keyring::KeyError;
use crate::services::throttle::ThrottleError;
use crate::store;

/// Why a request is not answered as asked.
#[derive(Debug)]
pub enum Error {
    /// A refusal or a fault.
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The text for people: the heading of a page, with what happened and what to do as its attribute `message`.
        message: Message,
        /// The cause, in English, for the developers of a client; empty if there is nothing to add.
        detail: String,
        /// The time to wait before the next attempt.
        retry_after: Option<Duration>,
    },
    /// Form-encoded parameters that cannot be used.
    Parameters(BadParams),
    /// The user has to sign in first, and then goes on to this local path.
    SignIn(String),
    /// The user, who is signed in, has to sign in once more, and then goes on to this local path.
    SignInAgain(String),
    /// An error of RFC 6749 §5.2 or one of its extensions, with a description for the client's developers.
    OAuth(OAuthError, String),
    /// The client could not be authenticated: `invalid_client` (RFC 6749 §5.2). The reason is for the operator alone.
    InvalidClient(&'static str),
    /// There is no bearer token (RFC 6750 §3).
    NoToken,
    /// The bearer token is not valid: `invalid_token` (RFC 6750 §3.1). The reason is for the operator alone.
    InvalidToken(&'static str),
    /// The token is not valid: `invalid_grant` (RFC 6749 §5.2). The reason is for the operator alone.
    InvalidGrant(&'static str),
    /// The DPoP proof needs this nonce: `use_dpop_nonce` (RFC 9449 §8).
    UseDpopNonce(String),
}

/// The answer of all that is [`Error::InvalidGrant`]: the holder of a token does not learn what is wrong with it.
pub const INVALID_GRANT: &str = "the token is not valid";

/// The error codes of the endpoints that clients call (RFC 6749 §5.2, RFC 8707 §2, RFC 8628 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OAuthError {
    /// The request is malformed.
    InvalidRequest,
    /// The grant is invalid, expired, revoked, or issued to another client.
    InvalidGrant,
    /// The DPoP proof is missing or not accepted (RFC 9449 §5).
    InvalidDpopProof,
    /// The scope is malformed or exceeds what was granted.
    InvalidScope,
    /// The `resource` is not one that the client may ask for.
    InvalidTarget,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The authority does not support this grant.
    UnsupportedGrantType,
    /// The user has not answered the device's request yet.
    AuthorizationPending,
    /// The device has to wait longer between two requests: five seconds more, from now on.
    SlowDown,
    /// The user has refused the device's request.
    AccessDenied,
    /// The device code was not used in time.
    ExpiredToken,
    /// A pushed request asks for another response type than `code`.
    UnsupportedResponseType,
    /// A pushed request is a request object.
    RequestNotSupported,
    /// A pushed request wants a level of authentication that is not known here.
    UnmetAuthenticationRequirements,
    /// A redirect URI cannot be registered (RFC 7591 §3.2.2).
    InvalidRedirectUri,
    /// The metadata cannot be registered (RFC 7591 §3.2.2).
    InvalidClientMetadata,
    /// The authority cannot answer right now.
    TemporarilyUnavailable,
    /// The authority failed.
    ServerError,
}

impl Error {
    /// A request that cannot be understood: 400. The detail is for the developers of a client.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, "error-bad-request").because(detail)
    }

    /// A refusal with this status, and the text with this name.
    pub fn refused(status: StatusCode, text: &'static str) -> Self {
        Self::Refused {
            status,
            message: Message::new(text),
            detail: String::new(),
            retry_after: None,
        }
    }

    /// Adds what the developers of a client should know.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        if let Self::Refused { detail, .. } = &mut self {
            *detail = why.into();
        }
        self
    }

    /// Something that does not exist, or that belongs to another user: 404.
    pub fn not_found() -> Self {
        Self::refused(StatusCode::NOT_FOUND, "error-not-found")
    }

    /// An OAuth error.
    pub fn oauth(code: OAuthError, description: impl Into<String>) -> Self {
        Self::OAuth(code, description.into())
    }

    /// The OAuth error code and the exact reason, for the operator.
    pub fn for_operator(&self) -> (&'static str, String) {
        let code = match self {
            Self::OAuth(code, _) => *code,
            Self::InvalidGrant(_) => OAuthError::InvalidGrant,
            Self::InvalidClient(reason) => return ("invalid_client", (*reason).to_owned()),
            Self::InvalidToken(reason) => return ("invalid_token", (*reason).to_owned()),
            _ => OAuthError::InvalidRequest,
        };
        let reason = match self {
            Self::OAuth(_, reason) => reason.clone(),
            Self::InvalidGrant(reason) => (*reason).to_owned(),
            Self::Refused { detail, .. } if !detail.is_empty() => detail.clone(),
            other => other.to_string(),
        };
        (code.into(), reason)
    }

    fn for_a_moment(text: &'static str) -> Self {
        Self::Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: Message::new(text),
            detail: String::new(),
            retry_after: Some(Duration::from_secs(1)),
        }
    }

    /// A fault that will pass: 503.
    pub fn unavailable() -> Self {
        Self::for_a_moment("error-unavailable")
    }

    /// A fault that will pass, after which it is not known yet what was done: 503.
    pub fn unanswered() -> Self {
        Self::for_a_moment("error-unanswered")
    }

    /// Too many attempts: 429.
    pub fn too_many(retry_after: Duration) -> Self {
        Self::Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: too_many_attempts(retry_after),
            detail: String::new(),
            retry_after: Some(retry_after),
        }
    }
}

/// The text about too many attempts.
pub fn too_many_attempts(retry_after: Duration) -> Message {
    let minutes = i64::try_from(retry_after.as_secs().div_ceil(60).max(1)).unwrap_or(i64::MAX);
    Message::new("error-too-many").with("minutes", minutes)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, message, .. } => write!(f, "{status}: {}", message.id),
            Self::Parameters(bad) => bad.fmt(f),
            Self::SignIn(_) | Self::SignInAgain(_) => f.write_str("sign-in is needed"),
            Self::OAuth(code, _) => f.write_str(code.into()),
            Self::InvalidClient(_) => f.write_str("invalid_client"),
            Self::InvalidGrant(_) => f.write_str("invalid_grant"),
            Self::UseDpopNonce(_) => f.write_str("use_dpop_nonce"),
            Self::NoToken => f.write_str("there is no bearer token"),
            Self::InvalidToken(_) => f.write_str("invalid_token"),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::SignIn(_) | Self::SignInAgain(_) => StatusCode::SEE_OTHER,
            Self::InvalidClient(_) | Self::NoToken | Self::InvalidToken(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::Parameters(_)
            | Self::OAuth(..)
            | Self::InvalidGrant(_)
            | Self::UseDpopNonce(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<store::Error> for Error {
    fn from(cause: store::Error) -> Self {
        error!(%cause, "the database failed");
        if cause.is_unavailable() {
            return Self::unavailable();
        }
        Self::refused(StatusCode::INTERNAL_SERVER_ERROR, "error-server")
    }
}

impl From<PageError> for Error {
    fn from(failed: PageError) -> Self {
        match failed {
            PageError::BadCursor(_) => Self::refused(StatusCode::BAD_REQUEST, "error-cursor"),
            PageError::Store(cause) => cause.into(),
        }
    }
}

impl From<ThrottleError> for Error {
    fn from(refused: ThrottleError) -> Self {
        match refused {
            ThrottleError::TooManyTries { retry_after } => Self::too_many(retry_after),
            ThrottleError::Store(cause) => cause.into(),
        }
    }
}

impl From<KeyError> for Error {
    fn from(cause: KeyError) -> Self {
        error!(%cause, "no token could be signed");
        Self::unavailable()
    }
}

impl From<BadParams> for Error {
    fn from(bad: BadParams) -> Self {
        Self::Parameters(bad)
    }
}

impl From<AuthenticateError> for Error {
    fn from(failed: AuthenticateError) -> Self {
        match failed {
            AuthenticateError::Invalid(Unaccepted::Unknown) => {
                Self::InvalidClient("no client has this id")
            }
            AuthenticateError::Invalid(Unaccepted::Known(reason)) => Self::InvalidClient(reason),
            AuthenticateError::Store(cause) => cause.into(),
        }
    }
}

impl From<BadExchange> for Error {
    fn from(bad: BadExchange) -> Self {
        let code = match bad {
            BadExchange::TwoTargets => OAuthError::InvalidTarget,
            BadExchange::Scope => OAuthError::InvalidScope,
            _ => OAuthError::InvalidRequest,
        };
        Self::oauth(code, bad.to_string())
    }
}

impl From<GrantError> for Error {
    fn from(refused: GrantError) -> Self {
        match refused {
            GrantError::Invalid(reason) => Self::InvalidGrant(reason),
            GrantError::Reused => {
                Self::InvalidGrant("the token was used before, and its session has ended")
            }
            GrantError::Withdrawn => Self::InvalidGrant(
                "what the session was granted was taken from the client, and it has ended",
            ),
            refused @ (GrantError::MissingVerifier | GrantError::UnexpectedVerifier) => {
                Self::oauth(OAuthError::InvalidGrant, refused.to_string())
            }
            GrantError::NoProof => Self::oauth(
                OAuthError::InvalidDpopProof,
                "this client's tokens are bound to a key: a DPoP proof is needed",
            ),
            GrantError::WrongKey => Self::oauth(
                OAuthError::InvalidDpopProof,
                "the token is bound to a key that the request does not prove",
            ),
            GrantError::ScopeTooWide => Self::oauth(
                OAuthError::InvalidScope,
                "the scope is more than this app may have here",
            ),
            GrantError::UnknownResource => Self::oauth(
                OAuthError::InvalidTarget,
                "the resource is not one of this app's audiences, or was not asked for with the code",
            ),
            GrantError::UnauthorizedClient => {
                Self::oauth(OAuthError::UnauthorizedClient, "this client does not act for users")
            }
            GrantError::NotForItself => Self::oauth(
                OAuthError::UnauthorizedClient,
                "this grant is for services, and for apps that are registered for it",
            ),
            // RFC 8693 §2.2.2: not `invalid_grant`.
            GrantError::InvalidSubjectToken => Self::oauth(
                OAuthError::InvalidRequest,
                "the subject_token is not valid, or not for this app",
            ),
            GrantError::TooManyActors => Self::oauth(
                OAuthError::InvalidRequest,
                "the subject_token has been exchanged as often as is allowed",
            ),
            GrantError::UnknownTarget => Self::oauth(
                OAuthError::InvalidTarget,
                "this app may not exchange tokens for this audience",
            ),
            GrantError::AuthorizationPending => {
                Self::oauth(OAuthError::AuthorizationPending, "the user has not answered yet")
            }
            GrantError::SlowDown => {
                Self::oauth(OAuthError::SlowDown, "wait five seconds longer between two requests")
            }
            GrantError::AccessDenied => {
                Self::oauth(OAuthError::AccessDenied, "the user has refused the request")
            }
            GrantError::ExpiredToken => {
                Self::oauth(OAuthError::ExpiredToken, "the device code has expired")
            }
            GrantError::ClientChanged => Self::unavailable(),
            GrantError::Client(failed) => Self::from(failed),
            GrantError::Keys(cause) => cause.into(),
            GrantError::Unanswered(cause) => {
                error!(%cause, "the database did not say whether it has made the change");
                Self::unanswered()
            }
            GrantError::Store(cause) => {
                error!(%cause, "the database did not do what it was asked for");
                // Whatever it was, nothing was refused: a client that retries loses nothing.
                Self::unavailable()
            }
        }
    }
}
