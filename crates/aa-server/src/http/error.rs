//! The one error of all handlers. It is neutral: [`render`](super::render) writes it as a page, as OAuth JSON or as
//! problem details, by the kind of the route. The cause is logged here, once, and never sent.

use std::fmt;
use std::time::Duration;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use tracing::error;

use super::request::params::BadParams;
use crate::ops::authentication::client::AuthenticateError;
use crate::ops::grants::error::GrantError;
use crate::ops::lists::PageError;
use crate::services::keyring::KeyError;
use crate::services::throttle::ThrottleError;
use crate::store;

/// Why a request is not answered as asked.
#[derive(Debug)]
pub enum Error {
    /// A refusal or a fault, in words for people.
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The heading of a page.
        title: &'static str,
        /// What happened, and what to do.
        message: String,
        /// The time to wait before the next attempt.
        retry_after: Option<Duration>,
    },
    /// Form-encoded parameters that cannot be used.
    Parameters(BadParams),
    /// The user has to sign in first, and then goes on to this local path.
    SignIn(String),
    /// An error of RFC 6749 §5.2 or one of its extensions, with a description for the client's developers.
    OAuth(OAuthError, String),
    /// The client could not be authenticated: `invalid_client` (RFC 6749 §5.2).
    InvalidClient,
}

/// The error codes of the endpoints that clients call (RFC 6749 §5.2, RFC 8707 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OAuthError {
    /// The request is malformed.
    InvalidRequest,
    /// The grant is invalid, expired, revoked, or issued to another client.
    InvalidGrant,
    /// The scope is malformed or exceeds what was granted.
    InvalidScope,
    /// The `resource` is not one that the client may ask for.
    InvalidTarget,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The authority does not support this grant.
    UnsupportedGrantType,
    /// The authority cannot answer right now.
    TemporarilyUnavailable,
    /// The authority failed.
    ServerError,
}

impl Error {
    /// A request that cannot be understood: 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, "That did not work", message)
    }

    /// A refusal with this status.
    pub fn refused(status: StatusCode, title: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { status, title, message: message.into(), retry_after: None }
    }

    /// Something that does not exist, or that belongs to another user: 404.
    pub fn not_found() -> Self {
        Self::refused(
            StatusCode::NOT_FOUND,
            "Page not found",
            "The address may be mistyped, or what was here is gone.",
        )
    }

    /// An OAuth error.
    pub fn oauth(code: OAuthError, description: impl Into<String>) -> Self {
        Self::OAuth(code, description.into())
    }

    /// A fault that will pass: 503.
    pub fn unavailable() -> Self {
        Self::Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Please try again in a moment",
            message: "The service cannot answer right now. Nothing has been lost.".to_owned(),
            retry_after: Some(Duration::from_secs(1)),
        }
    }

    /// A fault that will pass, after which it is not known yet what was done: 503.
    pub fn unanswered() -> Self {
        Self::Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Please try again in a moment",
            message: "The service cannot answer right now. Send the same request again.".to_owned(),
            retry_after: Some(Duration::from_secs(1)),
        }
    }

    /// Too many attempts: 429.
    pub fn too_many(retry_after: Duration) -> Self {
        let minutes = retry_after.as_secs().div_ceil(60).max(1);
        let unit = if minutes == 1 { "minute" } else { "minutes" };
        Self::Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            title: "Too many attempts",
            message: format!("Try again in {minutes} {unit}."),
            retry_after: Some(retry_after),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, title, .. } => write!(f, "{status}: {title}"),
            Self::Parameters(bad) => bad.fmt(f),
            Self::SignIn(_) => f.write_str("sign-in is needed"),
            Self::OAuth(code, _) => f.write_str(code.into()),
            Self::InvalidClient => f.write_str("invalid_client"),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::SignIn(_) => StatusCode::SEE_OTHER,
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::Parameters(_) | Self::OAuth(..) => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<store::Error> for Error {
    fn from(cause: store::Error) -> Self {
        error!(%cause, "the database failed");
        if cause.is_unavailable() {
            return Self::unavailable();
        }
        Self::refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something is wrong on our side",
            "The error has been recorded. Please try again later.",
        )
    }
}

impl From<PageError> for Error {
    fn from(failed: PageError) -> Self {
        match failed {
            PageError::BadCursor(_) => Self::bad_request(
                "This link leads to a page of another list. Open the list from its beginning.",
            ),
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
            AuthenticateError::Invalid => Self::InvalidClient,
            AuthenticateError::Store(cause) => cause.into(),
        }
    }
}

impl From<GrantError> for Error {
    fn from(refused: GrantError) -> Self {
        match refused {
            // Which of them it was is for the operator and the user, not for the holder of the token.
            GrantError::Invalid | GrantError::Reused | GrantError::Withdrawn => {
                Self::oauth(OAuthError::InvalidGrant, "the token is not valid")
            }
            GrantError::ScopeTooWide => Self::oauth(
                OAuthError::InvalidScope,
                "the scope is more than this app may have here",
            ),
            GrantError::UnknownResource => Self::oauth(
                OAuthError::InvalidTarget,
                "the resource is not one of this app's audiences",
            ),
            GrantError::UnauthorizedClient => {
                Self::oauth(OAuthError::UnauthorizedClient, "this client does not act for users")
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
