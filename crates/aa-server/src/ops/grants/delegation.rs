//! Makes a family and its delegation token for a signed-in person and an app.

use tokens::Scope;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::refresh_token::{EncodedToken, FamilySecret, RefreshToken};
use crate::store::{self, BrowserSession, NewFamily};

/// Opens an app for a person.
#[derive(Debug)]
pub struct Delegate<'a> {
    /// The sign-in it comes from.
    pub browser_session: &'a BrowserSession,
    /// The app.
    pub client: &'a ClientMetadata,
    /// Where the token will be sent.
    pub redirect_uri: &'a str,
    /// What the app may do.
    pub scope: &'a Scope,
    /// For whom its application tokens will be.
    pub audience: &'a str,
    /// Base64url SHA-256 of the PKCE verifier; none in a direct delegation.
    pub code_challenge: Option<&'a str>,
    /// The app's nonce.
    pub nonce: Option<&'a str>,
}

/// Makes the token. `None` when the sign-in, its user or the app has ended meanwhile.
///
/// # Errors
/// What the database says.
pub async fn delegate(
    authority: &Authority,
    command: &Delegate<'_>,
    caller: &Caller,
) -> Result<Option<EncodedToken>, store::Error> {
    let now = authority.now();
    let secret = FamilySecret::new(authority.random.bytes());
    let id = authority.random.uuid_at(now);
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
