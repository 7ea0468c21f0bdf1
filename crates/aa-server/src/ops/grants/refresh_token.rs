//! The `refresh_token` grant (RFC 6749 §6; `docs/contract.md#rule-3` to `#rule-5`, `#rule-9`, `#rule-10`).

use std::sync::Arc;

use metrics::counter;
use service::run::detached;
use tokens::Scope;
use tracing::warn;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::{ClientMetadata, ClientType};
use crate::domain::event::{Actor, EndReason, EventKind};
use crate::domain::family::{Decision, Rejection};
use crate::domain::ids::FamilyId;
use crate::domain::refresh_token::{RefreshToken, TokenKind};
use crate::ops::authentication::client::{Credentials, authenticate_client};
use crate::ops::grants::bound::require_key;
use crate::ops::grants::elsewhere;
use crate::ops::grants::error::{ANOTHER_CLIENT, GrantError, NO_FAMILY, NO_USER, NOT_GENUINE};
use crate::ops::grants::reuse::end_for_reuse;
use crate::ops::grants::unanswered::{Change, Fate};
use crate::ops::tokens::issue::{self, Issue, Prepared, TokenResponse};
use crate::services::client_cache::AuthenticatedClient;
use crate::services::telemetry::{RefreshOutcome, count_refresh};
use crate::store::{self, Family, Grant, Rotation};

/// Times, at most, that a request authenticates its client anew because the cached one was stale.
const MAX_REAUTHENTICATIONS: u32 = 3;

/// A refresh request.
#[derive(Debug)]
pub struct Refresh {
    /// The authenticated client. It may come from the cache.
    pub client: Arc<AuthenticatedClient>,
    /// The client's credentials, with which it is authenticated anew if `client` is stale.
    pub credentials: Credentials,
    /// The refresh token.
    pub refresh_token: String,
    /// A narrower scope for this application token (RFC 6749 §6).
    pub scope: Option<Scope>,
    /// The audience that the client chooses among its own (RFC 8707).
    pub resource: Option<String>,
    /// The thumbprint of the key that the request proves (RFC 9449).
    pub dpop_jkt: Option<String>,
}

/// Checks that a client may act for users.
///
/// # Errors
/// [`GrantError::UnauthorizedClient`] for a service and an API.
pub fn require_user_client(metadata: &ClientMetadata) -> Result<(), GrantError> {
    match metadata.kind {
        ClientType::Service | ClientType::Api => Err(GrantError::UnauthorizedClient),
        ClientType::Confidential | ClientType::Public | ClientType::Agent => Ok(()),
    }
}

/// Rotates a family by its newest refresh token, and issues the tokens of the new generation.
///
/// One guarded statement decides. Only when it changes nothing is the family read, to find out why. Whatever the answer
/// needs is at hand before that statement, so that no fault after it uses the token up (`docs/contract.md#rule-10`).
///
/// # Errors
/// [`GrantError`]. The family is unchanged, unless it is [`GrantError::Reused`] or [`GrantError::Withdrawn`].
pub async fn refresh(
    authority: &Arc<Authority>,
    command: Refresh,
    caller: Caller,
) -> Result<TokenResponse, GrantError> {
    let answer = rotate_and_issue(authority, command, caller).await;
    count_refresh(match &answer {
        Ok(_) => RefreshOutcome::Answered,
        Err(GrantError::Reused) => RefreshOutcome::Reused,
        Err(GrantError::Store(_) | GrantError::Unanswered(_) | GrantError::Keys(_)) => {
            RefreshOutcome::Fault
        }
        Err(_) => RefreshOutcome::Refused,
    });
    answer
}

async fn rotate_and_issue(
    authority: &Arc<Authority>,
    command: Refresh,
    caller: Caller,
) -> Result<TokenResponse, GrantError> {
    let token = authority
        .refresh_tokens
        .decode(TokenKind::Refresh, &command.refresh_token)
        .ok_or(GrantError::Invalid(NOT_GENUINE))?;
    let prepared = prepare(authority, &command, &token).await?;
    let rotation = rotation(authority, &command, &token, &caller);
    let now = rotation.now;
    match authority.store.rotate(rotation).await {
        Ok(Some(grant)) => issue(authority, &command, &token, &grant, &prepared).await,
        // Detached because it may end the family, which must be completed when the client disconnects. Boxed because few
        // refreshes need it, and a future is as large as the largest one it may wait for.
        Ok(None) => {
            let shared = Arc::clone(authority);
            let answered = Box::pin(async move {
                refresh_again(&shared, command, &token, &caller, prepared).await
            });
            Box::pin(detached(&authority.runtime, answered)).await
        }
        Err(fault) if fault.is_uncertain() => {
            match Box::pin(Change::rotation(&token, &caller, now).fate(authority)).await {
                Fate::Committed(family) => {
                    issue(authority, &command, &token, &Grant::from(*family), &prepared).await
                }
                Fate::NotCommitted => Err(fault.into()),
                Fate::Unknown => Err(GrantError::Unanswered(fault)),
            }
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Gets ready what the answer needs. For most clients that is a signing key, and the database is not asked.
async fn prepare(
    authority: &Authority,
    command: &Refresh,
    token: &RefreshToken,
) -> Result<Prepared, GrantError> {
    let metadata = &command.client.metadata;
    require_key(metadata, None, command.dpop_jkt.as_deref())?;
    let with_id_token = metadata.id_token_on_refresh;
    let prepared = Prepared::without_family(authority, metadata, with_id_token)?;
    match prepared {
        Some(prepared) if command.scope.is_none() && command.resource.is_none() => Ok(prepared),
        _ => Box::pin(prepare_with_family(authority, command, token)).await,
    }
}

/// Reads the family for what the answer needs of it, and checks the scope and the resource of the request.
async fn prepare_with_family(
    authority: &Authority,
    command: &Refresh,
    token: &RefreshToken,
) -> Result<Prepared, GrantError> {
    let metadata = &command.client.metadata;
    let family = genuine_family(authority, token, command).await?;
    let allowed = metadata.still_allowed(&family.scope);
    if command.scope.as_ref().is_some_and(|scope| !scope.is_subset_of(&allowed)) {
        return Err(GrantError::ScopeTooWide);
    }
    let audience = metadata
        .choose_audience(command.resource.as_deref(), Some(family.granted_audience()))
        .map_err(|_| GrantError::UnknownResource)?;
    let with_id_token = metadata.id_token_on_refresh;
    Prepared::for_family(authority, metadata, &family, audience, with_id_token)
        .await?
        .ok_or(GrantError::Invalid(NO_USER))
}

fn rotation(
    authority: &Authority,
    command: &Refresh,
    token: &RefreshToken,
    caller: &Caller,
) -> Rotation {
    let AuthenticatedClient { metadata, version, .. } = &*command.client;
    let now = authority.now();
    Rotation {
        family: token.family,
        generation: token.generation,
        secret_hash: token.secret.hash(),
        client_id: metadata.client_id.clone(),
        client_version: *version,
        idle_expires_at: now + authority.config.ttls.family_idle(metadata),
        ip: caller.ip.clone(),
        user_agent: caller.user_agent.clone(),
        dpop_jkt: command.dpop_jkt.clone().unwrap_or_default(),
        now,
    }
}

/// Answers a refresh that has rotated nothing: with a stale client it is tried again, else the family decides.
async fn refresh_again(
    authority: &Arc<Authority>,
    mut command: Refresh,
    token: &RefreshToken,
    caller: &Caller,
    mut prepared: Prepared,
) -> Result<TokenResponse, GrantError> {
    let mut reauthentications = 0;
    while is_stale(authority, &command.client).await? {
        if reauthentications == MAX_REAUTHENTICATIONS {
            return Err(GrantError::ClientChanged);
        }
        reauthentications += 1;
        command.client = authenticate_client(authority, &command.credentials).await?;
        require_user_client(&command.client.metadata)?;
        prepared = prepare(authority, &command, token).await?;
        let rotation = rotation(authority, &command, token, caller);
        if let Some(grant) = authority.store.rotate(rotation).await? {
            return issue(authority, &command, token, &grant, &prepared).await;
        }
    }
    let grant = decide(authority, &command, token, caller).await?;
    issue(authority, &command, token, &grant, &prepared).await
}

async fn is_stale(authority: &Authority, client: &AuthenticatedClient) -> store::Result<bool> {
    let current = authority.store.client_version(&client.metadata.client_id).await?;
    Ok(current != Some(client.version))
}

async fn issue(
    authority: &Arc<Authority>,
    command: &Refresh,
    token: &RefreshToken,
    grant: &Grant,
    prepared: &Prepared,
) -> Result<TokenResponse, GrantError> {
    let metadata = &command.client.metadata;
    if is_withdrawn(metadata, grant) {
        return Err(Box::pin(withdraw(authority, grant.family, metadata)).await?);
    }
    let audience = metadata
        .choose_audience(command.resource.as_deref(), Some(grant.granted_audience()))
        .map_err(|_| GrantError::UnknownResource)?;
    let issue = Issue {
        grant,
        client: metadata,
        audience,
        scope: command.scope.as_ref(),
        secret: &token.secret,
        prepared,
        dpop_jkt: command.dpop_jkt.as_deref(),
    };
    Ok(issue::for_family(authority, &issue)?)
}

/// Whether so much was taken from the client that a family can give it no more tokens: its refresh tokens, all of its
/// scope, or all audiences that it was asked for with.
fn is_withdrawn(metadata: &ClientMetadata, grant: &Grant) -> bool {
    let scope = &grant.scope;
    !metadata.refreshes(scope)
        || (!scope.is_empty() && !metadata.allows_any(scope))
        || (!grant.resources.is_empty()
            && metadata.choose_audience(None, Some(grant.granted_audience())).is_err())
}

/// Ends a family whose client may not have its tokens any more, so that a token of it is not taken for a stolen one later.
async fn withdraw(
    authority: &Arc<Authority>,
    family: FamilyId,
    metadata: &ClientMetadata,
) -> Result<GrantError, GrantError> {
    let (shared, client_id) = (Arc::clone(authority), metadata.client_id.clone());
    let ended = async move {
        let now = shared.now();
        let event = shared
            .event(EventKind::FamilyEnded, Actor::System, &Caller::default())
            .client(&client_id)
            .family(family);
        shared.store.end_family(family, EndReason::ClientChanged, None, event, now).await
    };
    detached(&authority.runtime, ended).await?;
    Ok(GrantError::Withdrawn)
}

/// Decides about a token that is not the newest of its family, or whose family has ended.
///
/// Within grace, the immediate predecessor is answered with the same successor: it is computed again, because the
/// database does not hold it.
async fn decide(
    authority: &Authority,
    command: &Refresh,
    token: &RefreshToken,
    caller: &Caller,
) -> Result<Grant, GrantError> {
    let metadata = &command.client.metadata;
    let family = genuine_family(authority, token, command).await?;
    let grace = authority.config.ttls.refresh_grace(metadata, family.dpop_jkt.is_some());
    match family.state.decide_refresh(token.generation, authority.now(), grace) {
        Decision::Retry => {
            counter!("aa_refreshes_within_grace_total").increment(1);
            elsewhere::retry(authority, metadata, family, token, caller).await
        }
        Decision::Reuse => Err(end_for_reuse(authority, &family, token.generation, caller).await?),
        Decision::Reject(Rejection::NewerThanStored) => {
            warn!(
                family = %family.id,
                presented = token.generation,
                known = family.state.generation,
                "a genuine token is newer than its family: was an older database restored?"
            );
            Err(GrantError::Invalid(Rejection::NewerThanStored.reason()))
        }
        // `Rotate` would mean that the statement and the rules disagree. The token is not used up.
        Decision::Rotate => Err(GrantError::Invalid("the token was not used")),
        Decision::Reject(rejection) => Err(GrantError::Invalid(rejection.reason())),
    }
}

/// Reads the family of a token, and checks that the token carries its secret and is presented by its client, with its key.
async fn genuine_family(
    authority: &Authority,
    token: &RefreshToken,
    command: &Refresh,
) -> Result<Family, GrantError> {
    let metadata = &command.client.metadata;
    let family = authority.store.family(token.family).await?;
    let family = family.ok_or(GrantError::Invalid(NO_FAMILY))?;
    if family.secret_hash != token.secret.hash() {
        return Err(GrantError::Invalid(NOT_GENUINE));
    }
    if family.client_id != metadata.client_id {
        return Err(GrantError::Invalid(ANOTHER_CLIENT));
    }
    require_key(metadata, family.dpop_jkt.as_deref(), command.dpop_jkt.as_deref())?;
    Ok(family)
}
