use crate::strict_json::StrictJsonError;

/// The reason that a token was rejected. Its text never contains any part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// The token is longer than 8 KiB.
    #[error("the token is larger than 8 KiB")]
    TooLarge,
    /// The token is not a compact JWS: three parts in strict base64url, the first two JSON objects.
    #[error("the token is not a well-formed compact JWS")]
    Malformed,
    /// A JSON object in the token has two members of one name.
    #[error("the token has a duplicate member")]
    DuplicateMember,
    /// `typ` is not the expected media type.
    #[error("the token is of the wrong type")]
    WrongType,
    /// The header has `crit`.
    #[error("the token needs extensions that are not supported")]
    Critical,
    /// `alg` is not allowed by the verifier.
    #[error("the token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// `kid` is missing or names no known key.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The key that `kid` names is for another algorithm.
    #[error("the token's algorithm is not its key's")]
    AlgorithmMismatch,
    /// The signature is not valid.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// A required claim is missing.
    #[error("the claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// A claim has the wrong JSON type or form.
    #[error("the claim `{0}` is of the wrong type")]
    InvalidClaim(&'static str),
    /// `iss` is not the expected issuer.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// `aud` does not contain the expected audience.
    #[error("the token is for another audience")]
    WrongAudience,
    /// The token is bound to a key (`cnf`, RFC 7800), and was presented without a proof of it.
    #[error("the token is bound to a key, and needs a DPoP proof")]
    Bound,
    /// The token was presented with a proof of a key, and is bound to none.
    #[error("the token is not bound to a key")]
    NotBound,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl From<StrictJsonError> for Reject {
    fn from(error: StrictJsonError) -> Self {
        match error {
            StrictJsonError::Malformed => Self::Malformed,
            StrictJsonError::DuplicateMember => Self::DuplicateMember,
        }
    }
}
