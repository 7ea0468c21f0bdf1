//! Says whether a token counts at this moment (RFC 7662), to those it concerns.

use foundation::time::Timestamp;
use serde_json::{Value, json};

use super::revoke::own_access_token;
use crate::app::App;
use crate::domain::client::Registration;
use crate::domain::token::Kind;
use crate::store;

/// Introspects a token for an app: the one it was issued to, or one that the application token is for.
///
/// Anything else is `{"active": false}`, as is every token that is not genuine or does not count any more.
///
/// # Errors
/// What the database says.
pub async fn introspect(
    app: &App,
    registration: &Registration,
    text: &str,
) -> Result<Value, store::Error> {
    let inactive = json!({ "active": false });
    if let Some(token) = app.mint.read(Kind::Refresh, text) {
        let Some(family) = app.store.family(token.family).await? else { return Ok(inactive) };
        let counts = family.secret_hash == token.secret.hash()
            && family.client_id == registration.client_id
            && family.standing.generation == token.generation
            && family.standing.is_live(app.now());
        if !counts {
            return Ok(inactive);
        }
        let seconds = |millis| Timestamp::from_millis(millis).secs();
        return Ok(json!({
            "active": true,
            "token_type": "refresh_token",
            "iss": app.config.public_url.as_str(),
            "client_id": family.client_id,
            "sub": family.user_id,
            "sid": family.id,
            "scope": family.scope,
            "iat": family.standing.moved_at.secs(),
            "exp": family.standing.idle_expires_at.min(family.standing.expires_at).secs(),
            "auth_time": seconds(family.auth_time),
        }));
    }
    let Ok(claims) = own_access_token(app, text) else { return Ok(inactive) };
    let concerned = claims.client_id == registration.client_id
        || claims.aud.contains(&registration.client_id)
        || claims.aud.iter().any(|aud| registration.allowed_audiences().contains(&aud.as_str()));
    if !concerned || !is_live(app, &claims).await? {
        return Ok(inactive);
    }
    let mut answer = serde_json::to_value(&claims).unwrap_or_default();
    answer["active"] = json!(true);
    answer["token_type"] = json!("Bearer");
    Ok(answer)
}

/// Whether what an application token was made from still stands.
///
/// # Errors
/// What the database says.
pub(super) async fn is_live(app: &App, claims: &tokens::Claims) -> Result<bool, store::Error> {
    match claims.sid {
        Some(sid) => {
            let family = app.store.family(sid).await?;
            Ok(family.is_some_and(|family| family.standing.is_live(app.now())))
        }
        None => Ok(app.store.app(&claims.client_id).await?.is_some_and(|found| found.enabled)),
    }
}
