//! Creates a family and its delegation token, the authorization code (RFC 6749 §4.1.2).

use tokens::Scope;

use crate::authority::Authority;
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
    /// The redirect URI that the token is sent to.
    pub redirect_uri: &'a str,
    /// The granted scope.
    pub scope: &'a Scope,
    /// The audience of its application tokens.
    pub audience: &'a str,
    /// Base64url SHA-256 of the PKCE verifier.
    pub code_challenge: Option<&'a str>,
    /// The client's `nonce`, for the ID token.
    pub nonce: Option<&'a str>,
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
    let now = authority.now();
    let secret = FamilySecret::new(authority.random.bytes());
    let id: FamilyId = authority.random.uuid_at(now).into();
    let family = NewFamily {
        id,
        secret_hash: secret.hash(),
        browser_session_id: command.browser_session.id,
        client_id: &command.client.client_id,
        scope: &command.scope.to_string(),
        audience: command.audience,
        redirect_uri: command.redirect_uri,
        code_challenge: command.code_challenge,
        nonce: command.nonce,
        code_expires_at: now + authority.config.ttls.dt(command.client),
        expires_at: now + authority.config.ttls.family(command.client),
        ip: &caller.ip,
        user_agent: &caller.user_agent,
    };
    let made = authority.store.delegate(&family, now).await?;
    Ok(made.map(|()| {
        authority.refresh_tokens.encode(&RefreshToken { family: id, generation: 0, secret })
    }))
}
