//! One error for all handlers, with an exhaustive way to status and body. The cause is logged here, once, and
//! never told to the stranger.

use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;
use tracing::error;

use super::pages;
use super::request::params::BadParams;
use crate::ops::authentication::client::AuthenticateError;
use crate::ops::grants::refresh_token::GrantError;
use crate::store;

/// Why a request is not answered as it hoped.
#[derive(Debug)]
pub enum Error {
    /// A page that says what is wrong.
    Page {
        /// The status.
        status: StatusCode,
        /// In a few words.
        title: &'static str,
        /// What to do about it.
        message: String,
        /// How long to wait before trying again.
        retry_after: Option<Duration>,
    },
    /// First sign in, then on to this local path.
    SignIn(String),
    /// JSON as in RFC 6749 §5.2.
    OAuth {
        /// The status.
        status: StatusCode,
        /// The code of the RFC.
        code: &'static str,
        /// In words, for the app's developers.
        description: String,
    },
    /// The client could not be authenticated (RFC 6749 §5.2).
    InvalidClient {
        /// Whether it tried with an `Authorization` header, which must be answered with a challenge.
        by_header: bool,
    },
}

impl Error {
    /// A page about a request that cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::page(StatusCode::BAD_REQUEST, "That did not work", message)
    }

    /// A page.
    pub fn page(status: StatusCode, title: &'static str, message: impl Into<String>) -> Self {
        Self::Page { status, title, message: message.into(), retry_after: None }
    }

    /// A page about something that is not there, or not this person's.
    pub fn not_found() -> Self {
        Self::page(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "The address may be mistyped, or what was here is gone.",
        )
    }

    /// JSON with status 400.
    pub fn oauth(code: &'static str, description: impl Into<String>) -> Self {
        Self::OAuth { status: StatusCode::BAD_REQUEST, code, description: description.into() }
    }

    /// As JSON, for programs, where it would have been a page.
    #[must_use]
    pub fn for_programs(self) -> Self {
        match self {
            Self::Page { status: status @ StatusCode::SERVICE_UNAVAILABLE, message, .. } => {
                Self::OAuth { status, code: "temporarily_unavailable", description: message }
            }
            Self::Page { status: status @ StatusCode::INTERNAL_SERVER_ERROR, message, .. } => {
                Self::OAuth { status, code: "server_error", description: message }
            }
            Self::Page { status, message, .. } => {
                Self::OAuth { status, code: "invalid_request", description: message }
            }
            other => other,
        }
    }

    fn unavailable() -> Self {
        Self::Page {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Please try again in a moment",
            message: "The service cannot answer right now. Nothing has been lost.".to_owned(),
            retry_after: Some(Duration::from_secs(1)),
        }
    }
}

/// A page that asks to wait.
pub fn too_many(retry_after: Duration) -> Error {
    let minutes = retry_after.as_secs().div_ceil(60);
    Error::Page {
        status: StatusCode::TOO_MANY_REQUESTS,
        title: "Too many tries",
        message: format!(
            "Please wait {} before trying again.",
            if minutes <= 1 { "a minute".to_owned() } else { format!("{minutes} minutes") }
        ),
        retry_after: Some(retry_after),
    }
}

/// A page that says that too much is going on.
pub fn busy() -> Error {
    Error::unavailable()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page { status, title, .. } => write!(f, "{status}: {title}"),
            Self::SignIn(_) => f.write_str("sign-in is needed"),
            Self::OAuth { code, .. } => f.write_str(code),
            Self::InvalidClient { .. } => f.write_str("invalid_client"),
        }
    }
}

impl From<store::Error> for Error {
    fn from(cause: store::Error) -> Self {
        error!(%cause, "the database did not do what it was asked for");
        if cause.is_unavailable() {
            return Self::unavailable();
        }
        Self::page(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something is wrong on our side",
            "The error has been recorded. Please try again later.",
        )
    }
}

impl From<crate::services::keyring::KeyError> for Error {
    fn from(cause: crate::services::keyring::KeyError) -> Self {
        error!(%cause, "nothing could be signed");
        Self::unavailable()
    }
}

impl From<BadParams> for Error {
    fn from(bad: BadParams) -> Self {
        Self::bad_request(format!("The request cannot be understood: {bad}."))
    }
}

impl From<AuthenticateError> for Error {
    fn from(failed: AuthenticateError) -> Self {
        match failed {
            AuthenticateError::Invalid => Self::InvalidClient { by_header: false },
            AuthenticateError::Store(cause) => Self::from(cause).for_programs(),
        }
    }
}

impl From<GrantError> for Error {
    fn from(refused: GrantError) -> Self {
        match refused {
            // Which of the two it was is for the operator and the person, not for whoever holds the token.
            GrantError::Invalid | GrantError::Reused => {
                Self::oauth("invalid_grant", "the token is not valid")
            }
            GrantError::ScopeTooWide => {
                Self::oauth("invalid_scope", "the scope is more than this app may have here")
            }
            GrantError::UnknownResource => {
                Self::oauth("invalid_target", "the resource is not one of this app's audiences")
            }
            GrantError::UnauthorizedClient => {
                Self::oauth("unauthorized_client", "a service uses client_credentials")
            }
            GrantError::ClientChanged => Self::unavailable().for_programs(),
            GrantError::Client(failed) => Self::from(failed),
            GrantError::Keys(cause) => Self::from(cause).for_programs(),
            GrantError::Store(cause) => {
                error!(%cause, "the database did not do what it was asked for");
                // Whatever it was, nothing was refused: a client that retries loses nothing.
                Self::unavailable().for_programs()
            }
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Page { status, .. } | Self::OAuth { status, .. } => *status,
            Self::SignIn(_) => StatusCode::SEE_OTHER,
            Self::InvalidClient { .. } => StatusCode::UNAUTHORIZED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Page { status, title, message, retry_after } => {
                let mut response = pages::message(*status, title, message);
                if let Some(wait) = retry_after {
                    let seconds = wait.as_secs().max(1);
                    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                }
                response
            }
            Self::SignIn(return_to) => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("return_to", return_to)
                    .finish();
                pages::redirect(&format!("/login?{query}"))
            }
            Self::OAuth { status, code, description } => oauth_json(*status, code, description),
            Self::InvalidClient { by_header } => {
                let mut response = oauth_json(
                    StatusCode::UNAUTHORIZED,
                    "invalid_client",
                    "the client is not known or could not be authenticated",
                );
                if *by_header {
                    let challenge = header::HeaderValue::from_static("Basic realm=\"token\"");
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                }
                response
            }
        }
    }
}

fn oauth_json(status: StatusCode, code: &str, description: &str) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::PRAGMA, "no-cache"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    response.json(json!({ "error": code, "error_description": description }))
}
