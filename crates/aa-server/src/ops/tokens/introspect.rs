//! Token introspection (RFC 7662).

use serde_json::{Value, json};
use tokens::{Actor, Algorithm, Claims, Scope};

use crate::authority::Authority;
use crate::domain::client::ClientMetadata;
use crate::domain::refresh_token::TokenKind;
use crate::ops::tokens::revoke::own_access_token;
use crate::services::keyring::KeyError;
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
            "sub": authority.subjects.of(metadata, family.user_id),
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
    let Some(scope) = current_scope(authority, &claims).await? else { return Ok(inactive) };
    let mut answer = serde_json::to_value(&claims).unwrap_or_default();
    answer["scope"] = json!(scope);
    if let Some(user) = claims.sub.user() {
        answer["sub"] = json!(authority.subjects.of(metadata, user.into()));
    }
    answer["active"] = json!(true);
    answer["token_type"] = json!(if claims.cnf.is_some() { "DPoP" } else { "Bearer" });
    Ok(answer)
}

/// The algorithm of signed introspection responses, which is the default of RFC 9701 §6.
pub const SIGNED_WITH: Algorithm = Algorithm::RS256;

/// An introspection response as a JWT for the client that asked (RFC 9701 §5).
///
/// # Errors
/// [`KeyError`].
pub fn signed(
    authority: &Authority,
    metadata: &ClientMetadata,
    answer: &Value,
) -> Result<String, KeyError> {
    let now = authority.now();
    let claims = json!({
        "iss": authority.config.public_url.as_str(),
        "aud": metadata.client_id,
        "iat": now.secs(),
        "token_introspection": answer,
    });
    authority.keyring.signer(SIGNED_WITH, "", now)?.sign("token-introspection+jwt", &claims)
}

/// Whether the family (or, for a service, the client) behind an application token is live.
///
/// # Errors
/// When the database cannot answer.
pub(super) async fn is_live(authority: &Authority, claims: &Claims) -> store::Result<bool> {
    match claims.sid {
        Some(_) => Ok(live_family(authority, claims).await?.is_some()),
        None => is_enabled(authority, &claims.client_id).await,
    }
}

async fn is_enabled(authority: &Authority, client_id: &str) -> store::Result<bool> {
    Ok(authority.store.client(client_id).await?.is_some_and(|found| found.enabled))
}

/// The family of an application token, if it is live and so is every client that acts in it. `None` for a service.
///
/// # Errors
/// When the database cannot answer.
pub(in crate::ops) async fn live_family(
    authority: &Authority,
    claims: &Claims,
) -> store::Result<Option<Family>> {
    let Some(sid) = claims.sid else { return Ok(None) };
    let family = authority.store.family(sid.into()).await?;
    let family = family.filter(|family| family.state.is_live(authority.now()));
    for actor in claims.act.iter().flat_map(Actor::chain) {
        if !is_enabled(authority, &actor.sub).await? {
            return Ok(None);
        }
    }
    Ok(family)
}

/// The part of a token's scope that its client may still have, and, if it was exchanged, the app whose session it is. `None`
/// when the client may not exchange tokens for this audience any more.
///
/// # Errors
/// When the database cannot answer.
pub(in crate::ops) async fn current_scope(
    authority: &Authority,
    claims: &Claims,
) -> store::Result<Option<Scope>> {
    let Some(holder) = authority.store.client(&claims.client_id).await? else { return Ok(None) };
    let Some(app) = claims.act.as_ref().and_then(|act| act.chain().last()) else {
        return Ok(Some(holder.metadata.still_allowed(&claims.scope)));
    };
    let pair = claims.aud.iter().find_map(|audience| holder.metadata.exchange_for(audience));
    let Some(pair) = pair else { return Ok(None) };
    let Some(app) = authority.store.client(&app.sub).await? else { return Ok(None) };
    let kept = claims.scope.retain(|name| pair.scopes.iter().any(|known| known == name));
    Ok(Some(app.metadata.still_allowed(&kept)))
}
