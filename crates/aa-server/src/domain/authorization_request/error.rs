//! Why an authorization request is refused, and who is told.

use super::values::ResponseTarget;

/// Why a request without a trustworthy redirect URI cannot be answered, as the end of "An app sent you here with".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLink {
    /// `client_id` is repeated.
    #[error("two client_ids")]
    RepeatedClientId,
    /// `client_id` is missing.
    #[error("no client_id")]
    MissingClientId,
    /// The client does not exist or is disabled.
    #[error("an unknown client_id")]
    UnknownClient,
    /// `redirect_uri` is repeated.
    #[error("two redirect_uris")]
    RepeatedRedirectUri,
    /// `redirect_uri` is missing.
    #[error("no redirect_uri")]
    MissingRedirectUri,
    /// `redirect_uri` is not registered for the client.
    #[error("a redirect_uri that it has not registered")]
    UnregisteredRedirectUri,
}

/// An error code (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, RFC 8707 §2, OpenID Connect Core Error Code
/// `unmet_authentication_requirements` 1.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the specifications")]
pub enum ErrorCode {
    InvalidRequest,
    InvalidScope,
    AccessDenied,
    InteractionRequired,
    InvalidTarget,
    LoginRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    UnmetAuthenticationRequirements,
    UnsupportedResponseType,
}

impl ErrorCode {
    /// The code as the client receives it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A request that is refused. The variant says who is told (RFC 6749 §4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    /// Shown to the user, and sent nowhere: the client or its redirect URI is not certain.
    #[error("{0}")]
    Show(#[from] BrokenLink),
    /// Sent to the client.
    #[error("{}: {description}", code.as_str())]
    Redirect {
        /// Where it goes.
        target: Box<ResponseTarget>,
        /// The code.
        code: ErrorCode,
        /// The description, for the client's developers.
        description: &'static str,
    },
}

/// An error for the client whose target is still to be added.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) ErrorCode, pub(super) &'static str);
