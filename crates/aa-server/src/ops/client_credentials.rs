//! Application tokens for services, which speak for themselves (RFC 6749 §4.4).

use tokens::Scope;

use super::issue::{self, Issued};
use super::refresh::GrantError;
use crate::app::App;
use crate::domain::client::{DEFAULT_SCOPES, Registration};

/// Makes one. There is no family, and no refresh token: the service asks again.
///
/// Scopes that speak of a person are not given.
///
/// # Errors
/// [`GrantError::ScopeTooWide`], [`GrantError::UnknownResource`], [`GrantError::Keys`].
pub fn client_credentials(
    app: &App,
    registration: &Registration,
    scope: Option<Scope>,
    resource: Option<&str>,
) -> Result<Issued, GrantError> {
    let of_people: Scope = DEFAULT_SCOPES.parse().unwrap_or_default();
    let allowed = registration.allowed_scopes().retain(|name| !of_people.contains(name));
    let scope = scope.unwrap_or_else(|| allowed.clone());
    if !scope.is_subset_of(&allowed) {
        return Err(GrantError::ScopeTooWide);
    }
    let audience = issue::choose_audience(registration, resource, None)
        .map_err(|_| GrantError::UnknownResource)?;
    Ok(issue::for_service(app, registration, audience, &scope)?)
}
