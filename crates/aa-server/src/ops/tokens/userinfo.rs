//! The `UserInfo` endpoint: claims about the user of an application token (OpenID Connect Core §5.3).

use serde_json::{Map, Value, json};
use tokens::dpop::Proof;

use crate::authority::Authority;
use crate::domain::claims;
use crate::domain::client::OPENID;
use crate::domain::requested_claims::ClaimTarget;
use crate::ops::tokens::introspect::live_family;
use crate::ops::tokens::revoke::{client_of_signed, own_access_token};
use crate::services::keyring::KeyError;
use crate::store;

/// Why a request for claims is refused.
#[derive(Debug, thiserror::Error)]
pub enum UserinfoError {
    /// The token is not accepted, or its session has ended. The reason is for the operator.
    #[error("the token is not valid: {0}")]
    InvalidToken(String),
    /// The token has no scope `openid`.
    #[error("this needs the scope `openid`")]
    InsufficientScope,
    /// The answer cannot be signed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The claims, as the client gets them.
#[derive(Debug)]
pub enum Userinfo {
    /// As JSON.
    Json(Map<String, Value>),
    /// As a JWT (§5.3.2).
    Jwt(String),
}

/// The claims that the token's scope grants, or that were asked for by name, and the client that the token was issued to if it
/// was issued here. The family is looked up, so an ended session is refused at once.
///
/// `proof` is that of the request's key: it must be there exactly if the token is bound to a key, be that key's, and have an
/// algorithm that the client may use.
pub async fn userinfo(
    authority: &Authority,
    token: &str,
    proof: Option<&Proof>,
) -> (Option<String>, Result<Userinfo, UserinfoError>) {
    match own_access_token(authority, token) {
        Ok(claims) => {
            let answered = answer(authority, &claims, proof).await;
            (Some(claims.client_id), answered)
        }
        Err(rejected) => {
            let client_id = client_of_signed(authority, token);
            (client_id, Err(UserinfoError::InvalidToken(rejected.to_string())))
        }
    }
}

async fn answer(
    authority: &Authority,
    token: &tokens::Claims,
    proof: Option<&Proof>,
) -> Result<Userinfo, UserinfoError> {
    let invalid = |why: &str| UserinfoError::InvalidToken(why.to_owned());
    match (token.cnf.as_ref().map(|cnf| cnf.jkt.as_str()), proof.map(Proof::thumbprint)) {
        (Some(bound_to), Some(proven)) if bound_to == proven => {}
        (None, None) => {}
        (Some(_), None) => {
            return Err(invalid("the token is bound to a key, and came as a bearer token"));
        }
        (Some(_), Some(_)) => return Err(invalid("the token is bound to another key")),
        (None, Some(_)) => {
            return Err(invalid("the token is bound to no key, and came with a proof"));
        }
    }
    let family = live_family(authority, token).await?;
    let family = family.ok_or_else(|| invalid("the session of the token has ended"))?;
    let user = match token.sub.user() {
        Some(id) => authority.store.user(id.into()).await?,
        None => None,
    };
    let user = user.ok_or_else(|| invalid("the token is not of a user"))?;
    let client = authority.store.client(&token.client_id).await?;
    let client = client.ok_or_else(|| invalid("the client of the token does not exist"))?.metadata;
    if proof.is_some_and(|proof| !client.may_sign_with(proof.algorithm())) {
        return Err(invalid("the client must not sign proofs with RS256"));
    }
    let has_scope = |name: &str| token.scope.contains(name) && client.allows_scope(name);
    if !has_scope(OPENID) {
        return Err(UserinfoError::InsufficientScope);
    }
    let picture = authority.picture_url(&user);
    let mut claims = claims::about(&user.person(picture.as_deref()), |claim| {
        has_scope(claim.scope)
            || (family.requested_claims.asks(ClaimTarget::Userinfo, claim.name)
                && client.allows_scope(claim.scope))
    });
    claims.insert("sub".to_owned(), json!(authority.subjects.of(&client, user.id)));
    let Some(algorithm) = client.userinfo_signed_response_alg else {
        return Ok(Userinfo::Json(claims));
    };
    claims.insert("iss".to_owned(), json!(authority.config.public_url.as_str()));
    claims.insert("aud".to_owned(), json!(client.client_id));
    let signer = authority.keyring.signer(algorithm, "", authority.now())?;
    Ok(Userinfo::Jwt(signer.sign("JWT", &claims)?))
}
