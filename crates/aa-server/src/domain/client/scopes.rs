//! The scopes of a client, and what is granted of those that it asks for.

use std::collections::BTreeSet;

use tokens::Scope;

use super::{ClientMetadata, DEFAULT_SCOPES, OFFLINE_ACCESS};

/// Why nothing of a requested scope is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The text is no scope (RFC 6749 §3.3).
    #[error("the scope cannot be read")]
    Unreadable,
    /// The scope has no name that the client may ask for.
    #[error("the scope has nothing that this app may ask for")]
    NothingAllowed,
}

impl ClientMetadata {
    /// The scopes it may ask for.
    pub fn allowed_scopes(&self) -> Scope {
        if self.has_default_scopes() {
            return DEFAULT_SCOPES.parse().unwrap_or_default();
        }
        if self.is_document() {
            let of_apis = self.agent_apis.iter().flat_map(|api| &api.scopes);
            let allowed = of_apis.filter(|name| self.document_allows(name));
            let names: BTreeSet<&str> = allowed.map(String::as_str).collect();
            return Vec::from_iter(names).join(" ").parse().unwrap_or_default();
        }
        self.scopes.join(" ").parse().unwrap_or_default()
    }

    /// Whether it may ask for [`DEFAULT_SCOPES`]. An agent never may: it has what it is registered with, or nothing.
    fn has_default_scopes(&self) -> bool {
        self.scopes.is_empty() && !self.is_agent()
    }

    /// Whether it may ask for the scope of this name.
    pub fn allows_scope(&self, name: &str) -> bool {
        if self.has_default_scopes() {
            return DEFAULT_SCOPES.split(' ').any(|known| known == name);
        }
        if self.is_document() {
            return self.document_allows(name);
        }
        self.scopes.iter().any(|known| known == name)
    }

    /// The scope to be granted: of the requested names those that the client may have. The others are left out, known or not
    /// (RFC 6749 §3.3, OpenID Connect Core §3.1.2.1), and the token response says what is left. Without a request it is all
    /// that the client may ask for, but for `offline_access`.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn grantable_scope(&self, requested: Option<&str>) -> Result<Scope, ScopeError> {
        let Some(text) = requested else {
            return Ok(self.allowed_scopes().retain(|name| name != OFFLINE_ACCESS));
        };
        let requested: Scope = text.parse().map_err(|()| ScopeError::Unreadable)?;
        self.allowed_part(&requested).ok_or(ScopeError::NothingAllowed)
    }

    /// Of a scope the names that the client may have. `None` when none is left.
    pub fn allowed_part(&self, scope: &Scope) -> Option<Scope> {
        let left = scope.retain(|name| self.allows_scope(name));
        (!left.is_empty()).then_some(left)
    }

    /// Whether it may ask for one of these scopes at least.
    pub fn allows_any(&self, scope: &Scope) -> bool {
        scope.iter().any(|name| self.allows_scope(name))
    }

    /// The names of a granted scope that it may still ask for: what was taken from it since is left out.
    pub fn still_allowed(&self, granted: &Scope) -> Scope {
        granted.retain(|name| self.allows_scope(name))
    }
}
