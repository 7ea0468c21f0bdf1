use crate::Reject;

/// The reason a request is denied, in the terms of RFC 6750 §3.1.
///
/// Its text is fit for the client: it never contains any part of a token. With the feature `actix` it is a
/// `ResponseError`, so handlers can return it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The request has no bearer token: 401.
    #[error("this needs a bearer token")]
    NoToken,
    /// The request has several `Authorization` headers, or one that is not UTF-8: 400.
    #[error("the authorization header is malformed")]
    MalformedHeader,
    /// The token is not accepted: 401.
    #[error("{0}")]
    InvalidToken(Reject),
    /// The session that the token belongs to has ended: 401.
    #[error("the session of this token has ended")]
    Ended,
    /// The proof of the key that the token is bound to is not accepted (RFC 9449 §7.1): 401.
    #[cfg(feature = "dpop")]
    #[error("{0}")]
    InvalidProof(crate::dpop::ProofError),
    /// The token is valid but lacks a scope: 403.
    #[error("this needs the scope `{0}`")]
    InsufficientScope(&'static str),
    /// No keys have been fetched yet, so no token can be checked: 503.
    #[error("no keys of the authority are known yet")]
    NotReady,
    /// The authority has not said recently enough whether sessions have ended: 503.
    #[error("it is not known right now whether the session of this token has ended")]
    Stale,
}

impl Denied {
    /// The HTTP status code.
    pub const fn status(&self) -> u16 {
        match self {
            Self::MalformedHeader => 400,
            Self::NoToken | Self::InvalidToken(_) | Self::Ended => 401,
            #[cfg(feature = "dpop")]
            Self::InvalidProof(_) => 401,
            Self::InsufficientScope(_) => 403,
            Self::NotReady | Self::Stale => 503,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3); `None` for [`Denied::NotReady`] and [`Denied::Stale`], which
    /// other credentials would not change.
    pub fn challenge(&self, realm: &str) -> Option<String> {
        let realm = realm.replace(['"', '\\'], "");
        match self {
            Self::NotReady | Self::Stale => None,
            #[cfg(feature = "dpop")]
            Self::InvalidProof(_) => Some(dpop_challenge(&realm, "invalid_dpop_proof", self)),
            #[cfg(feature = "dpop")]
            Self::InvalidToken(Reject::Bound) => {
                Some(dpop_challenge(&realm, "invalid_token", self))
            }
            Self::NoToken => Some(format!("Bearer realm=\"{realm}\"")),
            Self::MalformedHeader => Some(format!(
                "Bearer realm=\"{realm}\", error=\"invalid_request\", error_description=\"{self}\""
            )),
            Self::InvalidToken(_) | Self::Ended => Some(format!(
                "Bearer realm=\"{realm}\", error=\"invalid_token\", error_description=\"{self}\""
            )),
            Self::InsufficientScope(scope) => Some(format!(
                "Bearer realm=\"{realm}\", error=\"insufficient_scope\", scope=\"{scope}\""
            )),
        }
    }
}

/// The challenge of RFC 9449 §7.1.
#[cfg(feature = "dpop")]
fn dpop_challenge(realm: &str, error: &str, description: &Denied) -> String {
    let algorithms =
        crate::dpop::AsymmetricAlgorithm::ALL.map(crate::dpop::AsymmetricAlgorithm::name).join(" ");
    format!(
        "DPoP realm=\"{realm}\", error=\"{error}\", error_description=\"{description}\", algs=\"{algorithms}\""
    )
}
