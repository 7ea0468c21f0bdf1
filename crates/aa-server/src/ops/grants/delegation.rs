//! Creates a family and its delegation token, the authorization code (RFC 6749 §4.1.2).

use super::agent;
use crate::authority::Authority;
use crate::domain::authorization_request::AuthorizationRequest;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::ids::FamilyId;
use crate::domain::refresh_token::{EncodedToken, FamilySecret, RefreshToken};
use crate::store::{self, BrowserSession, NewFamily};

/// A delegation of a signed-in user to a client.
#[derive(Debug)]
pub struct Delegate<'a> {
    /// The browser session it comes from.
    pub browser_session: &'a BrowserSession,
    /// The client.
    pub client: &'a ClientMetadata,
    /// The request that the user has granted.
    pub request: &'a AuthorizationRequest,
}

/// Creates the family. `None` when the browser session, its user or the client has ended meanwhile.
///
/// # Errors
/// When the database cannot answer.
pub async fn delegate(
    authority: &Authority,
    command: &Delegate<'_>,
    caller: &Caller,
) -> Result<Option<EncodedToken>, store::Error> {
    let (request, now) = (command.request, authority.now());
    let secret = FamilySecret::new(authority.random.bytes());
    let id: FamilyId = authority.random.uuid_at(now).into();
    let event = command.client.is_agent().then(|| {
        let user = command.browser_session.user_id;
        agent::allowed(authority, (command.client, request), user, caller).family(id)
    });
    let family = NewFamily {
        id,
        secret_hash: secret.hash(),
        browser_session_id: command.browser_session.id,
        client_id: &command.client.client_id,
        scope: request.scope.as_str(),
        audience: &request.audience,
        redirect_uri: &request.target.redirect_uri,
        code_challenge: request.code_challenge.as_deref(),
        nonce: request.nonce.as_deref(),
        resources: &request.resources,
        requested_claims: &request.claims,
        dpop_jkt: request.dpop_jkt.as_deref(),
        code_expires_at: now + authority.config.ttls.dt(command.client),
        expires_at: now + authority.config.ttls.family(command.client),
        ip: &caller.ip,
        user_agent: &caller.user_agent,
        event,
    };
    let made = authority.store.delegate(&family, now).await?;
    Ok(made.map(|()| {
        authority.refresh_tokens.encode(&RefreshToken { family: id, generation: 0, secret })
    }))
}
