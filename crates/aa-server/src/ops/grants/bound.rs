//! Tokens that are bound to a key (DPoP, RFC 9449 §5).

use super::error::GrantError;
use crate::domain::client::ClientMetadata;

/// Checks that a request proves a key if the client has to, and the one that its token is bound to. Both are thumbprints.
///
/// # Errors
/// [`GrantError::NoProof`], [`GrantError::WrongKey`].
pub(super) fn require_key(
    metadata: &ClientMetadata,
    bound_to: Option<&str>,
    proven: Option<&str>,
) -> Result<(), GrantError> {
    if metadata.dpop_bound_access_tokens && proven.is_none() {
        return Err(GrantError::NoProof);
    }
    if bound_to.is_some_and(|key| proven != Some(key)) {
        return Err(GrantError::WrongKey);
    }
    Ok(())
}
