use std::ops::Deref;
use std::sync::Arc;

use crate::{Claims, Denied};

/// An application token that [`Guard::authenticate`](crate::Guard::authenticate) accepted.
///
/// Dereferences to its [`Claims`]; clones share them. With the feature `actix` it is an extractor: a
/// request without an accepted token does not reach the handler. With the feature `tower`, the layer puts
/// it into the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken(Arc<Claims>);

impl AccessToken {
    pub(crate) fn new(claims: Arc<Claims>) -> Self {
        Self(claims)
    }

    /// Requires the token to have a scope.
    ///
    /// # Errors
    /// [`Denied::InsufficientScope`] (403) if it does not.
    pub fn require(&self, scope: &'static str) -> Result<(), Denied> {
        if self.scope.contains(scope) { Ok(()) } else { Err(Denied::InsufficientScope(scope)) }
    }

    /// The claims, copied only if another clone of the token is in use.
    pub fn into_claims(self) -> Claims {
        Arc::unwrap_or_clone(self.0)
    }
}

impl Deref for AccessToken {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.0
    }
}
