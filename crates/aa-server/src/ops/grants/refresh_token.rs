//! Refreshes: the newest refresh token rotation its family on by one (SPEC §2 rules 3 to 5, 7, 9 and 10).

use std::sync::Arc;

use foundation::time::Timestamp;
use serde_json::json;
use service::run::detached;
use tokens::Scope;
use tracing::warn;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::event::EndReason;
use crate::domain::family::{Decision, Rejection};
use crate::domain::refresh_token::{RefreshToken, TokenKind};
use crate::ops::tokens::issue::{self, Issue, TokenResponse};
use crate::services::client_cache::AuthenticatedClient;
use crate::services::keyring::KeyError;
use crate::store::{self, Family, Grant, Rotation};

/// An app presents a refresh token.
#[derive(Debug)]
pub struct Refresh {
    /// The app, authenticated.
    pub client: Arc<AuthenticatedClient>,
    /// The token.
    pub refresh_token: String,
    /// A narrower scope for this application token (RFC 6749 §6).
    pub scope: Option<Scope>,
    /// For which of the app's audiences (RFC 8707).
    pub resource: Option<String>,
}

/// Why an app gets no tokens for what it presents.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// It does not count: forged, altered, another app's, expired, ended. The family is as it was.
    #[error("the token is not valid")]
    Invalid,
    /// It was used before, and the family has ended for that.
    #[error("the token was used before")]
    Reused,
    /// A scope the family was not given.
    #[error("the scope is more than was granted")]
    ScopeTooWide,
    /// An audience the app has not.
    #[error("the resource is not one of this app's")]
    UnknownResource,
    /// The app was changed since it was last looked at. Nothing has been decided: authenticate it anew.
    #[error("the app was changed meanwhile")]
    ClientChanged,
    /// Nothing could be signed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database did not answer: a fault, not a refusal.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Refreshes. One guarded statement decides; only when it changes nothing, the family is read to say why.
///
/// # Errors
/// [`GrantError`]; unless it says reuse, the family is as it was.
pub async fn refresh(
    authority: &Arc<Authority>,
    command: Refresh,
    caller: Caller,
) -> Result<TokenResponse, GrantError> {
    let metadata = &command.client.metadata;
    let token = authority
        .refresh_tokens
        .decode(TokenKind::Refresh, &command.refresh_token)
        .ok_or(GrantError::Invalid)?;
    // What the request itself gets wrong must not cost the token: it is looked at before the family rotation.
    if command.scope.is_some() || command.resource.is_some() {
        Box::pin(check_request(authority, &command, &token)).await?;
    }
    let now = authority.now();
    let wanted = Rotation {
        family: token.family,
        generation: token.generation,
        secret_hash: token.secret.hash(),
        client_id: metadata.client_id.clone(),
        client_version: command.client.version,
        idle_expires_at: now + authority.config.ttls.family_idle(metadata),
        ip: caller.ip.clone(),
        user_agent: caller.user_agent.clone(),
        now,
    };
    if let Some(grant) = authority.store.rotate(wanted).await? {
        return issue(authority, &command, &token, &grant).await;
    }
    // This may end the family, which must not stop halfway when the client hangs up.
    let shared = Arc::clone(authority);
    // Boxed, as all that only few refreshes need: a future is rotated about, and takes the room of whatever it may wait for.
    let answered = Box::pin(async move {
        let grant = answer_again(&shared, &command, &token, &caller).await?;
        issue(&shared, &command, &token, &grant).await
    });
    Box::pin(detached(&authority.runtime, answered)).await
}

async fn issue(
    authority: &Authority,
    command: &Refresh,
    token: &RefreshToken,
    grant: &Grant,
) -> Result<TokenResponse, GrantError> {
    let metadata = &command.client.metadata;
    let audience =
        issue::choose_audience(metadata, command.resource.as_deref(), Some(&grant.audience))
            .map_err(|_| GrantError::UnknownResource)?;
    let with_id_token = metadata.id_token_on_refresh;
    let user = if issue::needs_user(metadata, with_id_token) {
        Box::pin(authority.store.user(grant.user_id)).await?
    } else {
        None
    };
    let issue = Issue {
        grant,
        client: metadata,
        user: user.as_ref(),
        audience,
        scope: command.scope.clone(),
        secret: &token.secret,
        with_id_token,
    };
    Ok(issue::for_family(authority, issue)?)
}

async fn check_request(
    authority: &Authority,
    command: &Refresh,
    token: &RefreshToken,
) -> Result<(), GrantError> {
    let metadata = &command.client.metadata;
    let family = genuine_family(authority, token, metadata).await?;
    let granted: Scope = family.scope.parse().unwrap_or_default();
    if command.scope.as_ref().is_some_and(|scope| !scope.is_subset_of(&granted)) {
        return Err(GrantError::ScopeTooWide);
    }
    issue::choose_audience(metadata, command.resource.as_deref(), Some(&family.audience))
        .map(drop)
        .map_err(|_| GrantError::UnknownResource)
}

/// The family did not move. Within grace its predecessor is answered with the same successor, which can be
/// computed again because nothing about it was stored.
async fn answer_again(
    authority: &Authority,
    command: &Refresh,
    token: &RefreshToken,
    caller: &Caller,
) -> Result<Grant, GrantError> {
    let AuthenticatedClient { metadata, version, .. } = &*command.client;
    if authority.store.client_version(&metadata.client_id).await? != Some(*version) {
        return Err(GrantError::ClientChanged);
    }
    let family = genuine_family(authority, token, metadata).await?;
    let grace = authority.config.ttls.refresh_grace(metadata);
    match family.state.decide_refresh(token.generation, authority.now(), grace) {
        Decision::Retry => Ok(family.into()),
        Decision::Reuse => Err(end_for_reuse(authority, &family, token.generation, caller).await?),
        Decision::Reject(Rejection::NewerThanStored) => {
            warn!(
                family = %family.id,
                presented = token.generation,
                known = family.state.generation,
                "a genuine token is newer than its family: was an older database restored?"
            );
            Err(GrantError::Invalid)
        }
        // `Rotation` here would mean that the statement and the rules disagree; the token is not used up.
        Decision::Rotate | Decision::Reject(_) => Err(GrantError::Invalid),
    }
}

/// The family of a genuine token that is presented by its own app.
async fn genuine_family(
    authority: &Authority,
    token: &RefreshToken,
    metadata: &ClientMetadata,
) -> Result<Family, GrantError> {
    let family = authority.store.family(token.family).await?.ok_or(GrantError::Invalid)?;
    let genuine =
        family.secret_hash == token.secret.hash() && family.client_id == metadata.client_id;
    if genuine { Ok(family) } else { Err(GrantError::Invalid) }
}

/// Ends a family because one of its tokens was used twice, and records both places.
pub(super) async fn end_for_reuse(
    authority: &Authority,
    family: &Family,
    generation: u32,
    caller: &Caller,
) -> Result<GrantError, GrantError> {
    let now = authority.now();
    let place = |ip: &str, user_agent: &str, at: Timestamp| json!({ "ip": ip, "user_agent": user_agent, "at": at.to_string() });
    let detail = json!({
        "generation": generation,
        "newest": family.state.generation,
        "first": place(&family.rotated_ip, &family.rotated_user_agent, family.state.rotated_at),
        "second": place(&caller.ip, &caller.user_agent, now),
    });
    let event = authority
        .event("family.reuse", format!("app:{}", family.client_id), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id)
        .detail(detail.clone());
    authority.store.end_family(family.id, EndReason::Reuse, Some(&detail), event, now).await?;
    warn!(family = %family.id, client_id = family.client_id, "a token was used twice; its family has ended");
    Ok(GrantError::Reused)
}
