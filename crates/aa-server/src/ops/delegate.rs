//! Makes a family and its delegation token for a signed-in person and an app.

use tokens::Scope;

use super::Caller;
use crate::app::App;
use crate::domain::client::Registration;
use crate::domain::token::{FamilySecret, Token, WireToken};
use crate::store::{self, Identity, NewFamily};

/// Opens an app for a person.
#[derive(Debug)]
pub struct Delegate<'a> {
    /// The sign-in it comes from.
    pub identity: &'a Identity,
    /// The app.
    pub app: &'a Registration,
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
    app: &App,
    command: &Delegate<'_>,
    caller: &Caller,
) -> Result<Option<WireToken>, store::Error> {
    let now = app.now();
    let secret = FamilySecret::new(app.random.bytes());
    let id = app.random.uuid_at(now);
    let family = NewFamily {
        id,
        secret_hash: secret.hash(),
        identity_id: command.identity.id,
        client_id: &command.app.client_id,
        scope: &command.scope.to_string(),
        audience: command.audience,
        redirect_uri: command.redirect_uri,
        code_challenge: command.code_challenge,
        nonce: command.nonce,
        code_expires_at: now + app.config.ttls.dt(command.app),
        expires_at: now + app.config.ttls.family(command.app),
        ip: &caller.ip,
        user_agent: &caller.user_agent,
    };
    let made = app.store.delegate(&family, now).await?;
    Ok(made.map(|()| app.mint.write(&Token { family: id, generation: 0, secret })))
}
