use crate::strict_json::StrictJsonError;

/// Why a token was not accepted. Its text names the reason and never any part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// Longer than 8 KiB.
    #[error("the token is larger than 8 KiB")]
    TooLarge,
    /// Not a compact JWS of three strict base64url parts with JSON objects in the first two.
    #[error("the token is not a well-formed compact JWS")]
    Malformed,
    /// An object in it names a member twice.
    #[error("the token has a duplicate member")]
    DuplicateMember,
    /// `typ` is not the expected one.
    #[error("the token is of the wrong type")]
    WrongType,
    /// It has a `crit` header.
    #[error("the token needs extensions that are not supported")]
    Critical,
    /// `alg` is not one this app allows.
    #[error("the token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// `kid` is missing or names no known key.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The key that `kid` names is for another algorithm.
    #[error("the token's algorithm is not its key's")]
    AlgorithmMismatch,
    /// The signature does not hold.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// A claim that must be there is not.
    #[error("the claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// A claim has the wrong JSON type or form.
    #[error("the claim `{0}` is of the wrong type")]
    InvalidClaim(&'static str),
    /// `iss` is another issuer.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// `aud` does not contain this app.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is to come.
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
