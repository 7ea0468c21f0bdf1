//! The token exchange grant (RFC 8693): a client that got an application token exchanges it for one of another API, on behalf
//! of the same user and in the same family.

use crate::authority::Authority;
use crate::domain::client::ClientMetadata;
use crate::domain::token_exchange::{ExchangeRequest, act};
use crate::ops::grants::bound::require_key;
use crate::ops::grants::error::GrantError;
use crate::ops::tokens::introspect::{current_scope, live_family};
use crate::ops::tokens::issue::{self, Exchanged, TokenResponse};
use crate::ops::tokens::revoke::own_access_token;
use crate::services::telemetry::{ExchangeOutcome, count_exchange};

/// Exchanges an application token for one of another audience.
///
/// *Checks* that the client is registered for the pair; that the token is genuine, unexpired and made for this client; that
/// its family is live, with the user, the session and every client that acts in it; and that the scope is one that both the
/// token and the pair have. Nothing is changed, so the same request can be repeated.
///
/// The new token is bound to the key that the request proves, `dpop_jkt`. The key that the presented token is bound to is
/// not asked for: it is the app's, which has proved it to the client that presents the token now, and that client
/// authenticates itself.
///
/// # Errors
/// [`GrantError`].
pub async fn exchange(
    authority: &Authority,
    client: &ClientMetadata,
    request: &ExchangeRequest,
    dpop_jkt: Option<&str>,
) -> Result<TokenResponse, GrantError> {
    let answer = check_and_issue(authority, client, request, dpop_jkt).await;
    count_exchange(match &answer {
        Ok(_) => ExchangeOutcome::Answered,
        Err(GrantError::Store(_) | GrantError::Keys(_)) => ExchangeOutcome::Fault,
        Err(_) => ExchangeOutcome::Refused,
    });
    answer
}

async fn check_and_issue(
    authority: &Authority,
    client: &ClientMetadata,
    request: &ExchangeRequest,
    dpop_jkt: Option<&str>,
) -> Result<TokenResponse, GrantError> {
    require_key(client, None, dpop_jkt)?;
    let pair = client.exchange_for(&request.target).ok_or(GrantError::UnknownTarget)?;
    let subject = own_access_token(authority, &request.subject_token)
        .map_err(|_| GrantError::InvalidSubjectToken)?;
    if !subject.aud.iter().any(|audience| client.is_audience(audience)) {
        return Err(GrantError::InvalidSubjectToken);
    }
    let family = live_family(authority, &subject).await?;
    let family = family.ok_or(GrantError::InvalidSubjectToken)?;
    let granted = current_scope(authority, &subject).await?;
    let granted = granted.ok_or(GrantError::InvalidSubjectToken)?;
    let allowed = granted.retain(|name| pair.scopes.iter().any(|known| known == name));
    let scope = request.scope.clone().unwrap_or_else(|| allowed.clone());
    let has_none = scope.is_empty() && !pair.scopes.is_empty();
    if has_none || !scope.is_subset_of(&allowed) {
        return Err(GrantError::ScopeTooWide);
    }
    let act = act(&subject, &client.client_id).map_err(|_| GrantError::TooManyActors)?;
    let needs_user = !client.claims.is_empty();
    let user = if needs_user { authority.store.user(family.user_id).await? } else { None };
    let exchanged = Exchanged {
        subject: &subject,
        family: &family,
        client,
        audience: &request.target,
        scope: &scope,
        act: &act,
        user: user.as_ref(),
        dpop_jkt,
    };
    Ok(issue::for_exchange(authority, &exchanged)?)
}
