//! Token introspection (RFC 7662).

use serde_json::{Value, json};

use crate::authority::Authority;
use crate::domain::client::ClientMetadata;
use crate::domain::refresh_token::TokenKind;
use crate::ops::tokens::revoke::own_access_token;
use crate::store::{self, Family};

/// Introspects a token on behalf of a client: the one that it was issued to, or one in its audience.
///
/// For every other client the answer is `{"active": false}`, as it is for tokens that are not genuine or no longer valid.
///
/// # Errors
/// When the database cannot answer.
pub async fn introspect(
    authority: &Authority,
    metadata: &ClientMetadata,
    text: &str,
) -> Result<Value, store::Error> {
    let inactive = json!({ "active": false });
    if let Some(token) = authority.refresh_tokens.decode(TokenKind::Refresh, text) {
        let Some(family) = authority.store.family(token.family).await? else { return Ok(inactive) };
        let counts = family.secret_hash == token.secret.hash()
            && family.client_id == metadata.client_id
            && family.state.generation == token.generation
            && family.state.is_live(authority.now())
            && metadata.refreshes(&family.scope);
        if !counts {
            return Ok(inactive);
        }
        return Ok(json!({
            "active": true,
            "token_type": "refresh_token",
            "iss": authority.config.public_url.as_str(),
            "client_id": family.client_id,
            "sub": family.user_id,
            "sid": family.id,
            "scope": metadata.still_allowed(&family.scope),
            "iat": family.state.rotated_at.secs(),
            "exp": family.state.idle_expires_at.min(family.state.expires_at).secs(),
            "auth_time": family.auth_time.secs(),
        }));
    }
    let Ok(claims) = own_access_token(authority, text) else { return Ok(inactive) };
    let concerned = claims.client_id == metadata.client_id
        || claims.aud.contains(&metadata.client_id)
        || claims.aud.iter().any(|aud| metadata.allowed_audiences().contains(&aud.as_str()));
    if !concerned || !is_live(authority, &claims).await? {
        return Ok(inactive);
    }
    let Some(holder) = authority.store.client(&claims.client_id).await? else {
        return Ok(inactive);
    };
    let mut answer = serde_json::to_value(&claims).unwrap_or_default();
    answer["scope"] = json!(holder.metadata.still_allowed(&claims.scope.to_string()));
    answer["active"] = json!(true);
    answer["token_type"] = json!("Bearer");
    Ok(answer)
}

/// Whether the family (or, for a service, the client) behind an application token is live.
///
/// # Errors
/// When the database cannot answer.
async fn is_live(authority: &Authority, claims: &tokens::Claims) -> Result<bool, store::Error> {
    match claims.sid {
        Some(_) => Ok(live_family(authority, claims).await?.is_some()),
        None => {
            Ok(authority.store.client(&claims.client_id).await?.is_some_and(|found| found.enabled))
        }
    }
}

/// The family behind an application token, if it is live.
///
/// # Errors
/// When the database cannot answer.
pub(super) async fn live_family(
    authority: &Authority,
    claims: &tokens::Claims,
) -> Result<Option<Family>, store::Error> {
    let Some(sid) = claims.sid else { return Ok(None) };
    let family = authority.store.family(sid.into()).await?;
    Ok(family.filter(|family| family.state.is_live(authority.now())))
}
