//! Refreshes: the newest refresh token moves its family on by one (SPEC §2 rules 3 to 5, 7, 9 and 10).

use std::sync::Arc;

use foundation::time::Timestamp;
use serde_json::json;
use service::run::detached;
use tokens::Scope;
use tracing::warn;

use super::Caller;
use super::authenticate_app::KnownApp;
use super::issue::{self, Issue, Issued};
use super::keys::KeyError;
use crate::app::App;
use crate::domain::client::Registration;
use crate::domain::family::{Refusal, Verdict};
use crate::domain::token::{Kind, Token};
use crate::store::{self, EndReason, Family, Grant, Move};

/// An app presents a refresh token.
#[derive(Debug)]
pub struct Refresh {
    /// The app, authenticated.
    pub app: Arc<KnownApp>,
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
    AppChanged,
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
    app: &Arc<App>,
    command: Refresh,
    caller: Caller,
) -> Result<Issued, GrantError> {
    let registration = &command.app.registration;
    let token = app.mint.read(Kind::Refresh, &command.refresh_token).ok_or(GrantError::Invalid)?;
    // What the request itself gets wrong must not cost the token: it is looked at before the family moves.
    if command.scope.is_some() || command.resource.is_some() {
        Box::pin(check_request(app, &command, &token)).await?;
    }
    let now = app.now();
    let wanted = Move {
        family: token.family,
        generation: token.generation,
        secret_hash: token.secret.hash(),
        client_id: registration.client_id.clone(),
        app_version: command.app.version,
        idle_expires_at: now + app.config.ttls.family_idle(registration),
        ip: caller.ip.clone(),
        user_agent: caller.user_agent.clone(),
        now,
    };
    if let Some(grant) = app.store.move_family(wanted).await? {
        return issue(app, &command, &token, &grant).await;
    }
    // This may end the family, which must not stop halfway when the client hangs up.
    let shared = Arc::clone(app);
    // Boxed, as all that only few refreshes need: a future is moved about, and takes the room of whatever it may wait for.
    let answered = Box::pin(async move {
        let grant = answer_again(&shared, &command, &token, &caller).await?;
        issue(&shared, &command, &token, &grant).await
    });
    Box::pin(detached(&app.runtime, answered)).await
}

async fn issue(
    app: &App,
    command: &Refresh,
    token: &Token,
    grant: &Grant,
) -> Result<Issued, GrantError> {
    let registration = &command.app.registration;
    let audience =
        issue::choose_audience(registration, command.resource.as_deref(), Some(&grant.audience))
            .map_err(|_| GrantError::UnknownResource)?;
    let with_id_token = registration.id_token_on_refresh;
    let user = if issue::needs_user(registration, with_id_token) {
        Box::pin(app.store.user(grant.user_id)).await?
    } else {
        None
    };
    let issue = Issue {
        grant,
        app: registration,
        user: user.as_ref(),
        audience,
        scope: command.scope.clone(),
        secret: &token.secret,
        with_id_token,
    };
    Ok(issue::for_family(app, issue)?)
}

async fn check_request(app: &App, command: &Refresh, token: &Token) -> Result<(), GrantError> {
    let registration = &command.app.registration;
    let family = genuine_family(app, token, registration).await?;
    let granted: Scope = family.scope.parse().unwrap_or_default();
    if command.scope.as_ref().is_some_and(|scope| !scope.is_subset_of(&granted)) {
        return Err(GrantError::ScopeTooWide);
    }
    issue::choose_audience(registration, command.resource.as_deref(), Some(&family.audience))
        .map(drop)
        .map_err(|_| GrantError::UnknownResource)
}

/// The family did not move. Within grace its predecessor is answered with the same successor, which can be
/// computed again because nothing about it was stored.
async fn answer_again(
    app: &App,
    command: &Refresh,
    token: &Token,
    caller: &Caller,
) -> Result<Grant, GrantError> {
    let KnownApp { registration, version, .. } = &*command.app;
    if app.store.app_version(&registration.client_id).await? != Some(*version) {
        return Err(GrantError::AppChanged);
    }
    let family = genuine_family(app, token, registration).await?;
    let grace = app.config.ttls.refresh_grace(registration);
    match family.standing.judge_refresh(token.generation, app.now(), grace) {
        Verdict::Again => Ok(family.into()),
        Verdict::Reuse => Err(end_for_reuse(app, &family, token.generation, caller).await?),
        Verdict::Refuse(Refusal::Ahead) => {
            warn!(
                family = %family.id,
                presented = token.generation,
                known = family.standing.generation,
                "a genuine token is newer than its family: was an older database restored?"
            );
            Err(GrantError::Invalid)
        }
        // `Move` here would mean that the statement and the rules disagree; the token is not used up.
        Verdict::Move | Verdict::Refuse(_) => Err(GrantError::Invalid),
    }
}

/// The family of a genuine token that is presented by its own app.
async fn genuine_family(
    app: &App,
    token: &Token,
    registration: &Registration,
) -> Result<Family, GrantError> {
    let family = app.store.family(token.family).await?.ok_or(GrantError::Invalid)?;
    let genuine =
        family.secret_hash == token.secret.hash() && family.client_id == registration.client_id;
    if genuine { Ok(family) } else { Err(GrantError::Invalid) }
}

/// Ends a family because one of its tokens was used twice, and records both places.
pub(super) async fn end_for_reuse(
    app: &App,
    family: &Family,
    generation: u32,
    caller: &Caller,
) -> Result<GrantError, GrantError> {
    let now = app.now();
    let place = |ip: &str, user_agent: &str, at: Timestamp| json!({ "ip": ip, "user_agent": user_agent, "at": at.to_string() });
    let detail = json!({
        "generation": generation,
        "newest": family.standing.generation,
        "first": place(&family.moved_ip, &family.moved_user_agent, family.standing.moved_at),
        "second": place(&caller.ip, &caller.user_agent, now),
    });
    let event = app
        .event("family.reuse", format!("app:{}", family.client_id), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id)
        .detail(detail.clone());
    app.store.end_family(family.id, EndReason::Reuse, Some(&detail), event, now).await?;
    warn!(family = %family.id, client_id = family.client_id, "a token was used twice; its family has ended");
    Ok(GrantError::Reused)
}
