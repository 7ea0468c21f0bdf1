//! The `authorization_code` grant: a delegation token is redeemed (RFC 6749 §4.1.3; `docs/contract.md#rule-2`, `#rule-7`, `#rule-8`).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::event::{Actor, EventKind};
use crate::domain::family::Decision;
use crate::domain::refresh_token::{FamilySecret, TokenKind};
use crate::ops::grants::bound::require_key;
use crate::ops::grants::error::{ANOTHER_CLIENT, GrantError, NO_FAMILY, NO_USER, NOT_GENUINE};
use crate::ops::grants::reuse::end_for_reuse;
use crate::ops::grants::unanswered::{Change, Fate};
use crate::ops::tokens::issue::{self, Issue, Prepared, TokenResponse};
use crate::services::client_cache::AuthenticatedClient;
use crate::store::{Family, Grant, Redeemed};

/// A request to redeem a delegation token.
#[derive(Debug)]
pub struct Redeem {
    /// The authenticated client.
    pub client: Arc<AuthenticatedClient>,
    /// The delegation token.
    pub code: String,
    /// The redirect URI that the token was sent to.
    pub redirect_uri: String,
    /// The PKCE verifier (RFC 7636 §4.5).
    pub code_verifier: Option<String>,
    /// The audience that the client chooses among its own (RFC 8707).
    pub resource: Option<String>,
    /// The thumbprint of the key that the request proves (RFC 9449).
    pub dpop_jkt: Option<String>,
}

/// Redeems a delegation token: its family goes from generation 0 to 1, and the answer carries the first refresh token.
///
/// *Checks*, before anything is changed: the token is genuine and was made for this client, the redirect URI is the
/// same, the PKCE verifier matches the challenge (without a challenge, the client may do without PKCE and sends no
/// verifier), and the request proves the key that the token is bound to. Then the family decides. A second presentation
/// that passes these checks ends the family.
///
/// # Errors
/// [`GrantError`]. The family is unchanged, unless it is [`GrantError::Reused`].
pub async fn redeem(
    authority: &Arc<Authority>,
    command: Redeem,
    caller: &Caller,
) -> Result<TokenResponse, GrantError> {
    let metadata = &command.client.metadata;
    let token = authority
        .refresh_tokens
        .decode(TokenKind::Delegation, &command.code)
        .ok_or(GrantError::Invalid(NOT_GENUINE))?;
    let family = authority.store.family(token.family).await?;
    let family = family.ok_or(GrantError::Invalid(NO_FAMILY))?;
    if family.secret_hash != token.secret.hash() {
        return Err(GrantError::Invalid(NOT_GENUINE));
    }
    if family.client_id != metadata.client_id {
        return Err(GrantError::Invalid(ANOTHER_CLIENT));
    }
    if family.redirect_uri != command.redirect_uri {
        return Err(GrantError::Invalid("redirect_uri is not that of the authorization request"));
    }
    match (family.code_challenge.as_deref(), command.code_verifier.as_deref()) {
        (Some(challenge), Some(verifier)) if verifier_fits(challenge, verifier) => {}
        (Some(_), None) => return Err(GrantError::MissingVerifier),
        (None, None) if metadata.no_pkce => {}
        // As if an attacker had taken the challenge out of the request (RFC 9700 §2.1.1).
        (None, Some(_)) => return Err(GrantError::UnexpectedVerifier),
        (Some(_), Some(_)) => {
            return Err(GrantError::Invalid("code_verifier does not fit the code_challenge"));
        }
        (None, None) => return Err(GrantError::Invalid("the client has to use PKCE by now")),
    }
    let presented = Presented {
        secret: &token.secret,
        resource: command.resource.as_deref(),
        dpop_jkt: command.dpop_jkt.as_deref(),
    };
    redeem_family(authority, metadata, &family, presented, caller).await
}

/// What a client presents with the first token of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presented<'a> {
    /// The family's secret, from the token.
    pub secret: &'a FamilySecret,
    /// The audience that the client chooses among its own (RFC 8707).
    pub resource: Option<&'a str>,
    /// The thumbprint of the key that the request proves (RFC 9449).
    pub dpop_jkt: Option<&'a str>,
}

/// Redeems the first token of a family, which its client presents.
pub(super) async fn redeem_family(
    authority: &Arc<Authority>,
    metadata: &ClientMetadata,
    family: &Family,
    presented: Presented<'_>,
    caller: &Caller,
) -> Result<TokenResponse, GrantError> {
    require_key(metadata, family.dpop_jkt.as_deref(), presented.dpop_jkt)?;
    let audience = metadata
        .choose_audience(presented.resource, Some(family.granted_audience()))
        .map_err(|_| GrantError::UnknownResource)?;
    let now = authority.now();
    match family.state.decide_redemption(now) {
        Decision::Rotate => {}
        Decision::Reuse => return Err(end_for_reuse(authority, family, 0, caller).await?),
        Decision::Retry => return Err(GrantError::Invalid("a code has no grace")),
        Decision::Reject(rejection) => return Err(GrantError::Invalid(rejection.reason())),
    }
    if !family.scope.is_empty() && !metadata.allows_any(&family.scope) {
        return Err(GrantError::Invalid("the client may have none of the granted scopes any more"));
    }
    // Whatever the answer needs is at hand before the token is used up (`docs/contract.md#rule-10`).
    let prepared = Prepared::for_family(authority, metadata, family, audience, true)
        .await?
        .ok_or(GrantError::Invalid(NO_USER))?;
    let redeemed = Redeemed {
        family,
        idle_expires_at: now + authority.config.ttls.family_idle(metadata),
        ip: &caller.ip,
        user_agent: &caller.user_agent,
        keep_others: metadata.multiple_sessions,
        // A client that authenticates itself is bound by that (RFC 9449 §5).
        dpop_jkt: presented.dpop_jkt.filter(|_| metadata.is_public()),
    };
    let event = authority
        .event(EventKind::FamilyStarted, Actor::Client(family.client_id.clone()), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id);
    let event_id = event.id;
    let rotated = match authority.store.redeem_family(&redeemed, event, now).await {
        Ok(Some(rotated)) => rotated,
        Ok(None) => return Err(lost_race(authority, family, caller).await?),
        Err(fault) if fault.is_uncertain() => {
            let redemption = Change::Redemption { family: family.id, event: event_id };
            match redemption.fate(authority).await {
                Fate::Committed(rotated) => *rotated,
                Fate::NotCommitted => return Err(fault.into()),
                Fate::Unknown => return Err(GrantError::Unanswered(fault)),
            }
        }
        Err(fault) => return Err(fault.into()),
    };
    let grant = Grant::from(rotated);
    let issue = Issue {
        grant: &grant,
        client: metadata,
        audience,
        scope: None,
        secret: presented.secret,
        prepared: &prepared,
        dpop_jkt: presented.dpop_jkt,
    };
    Ok(issue::for_family(authority, &issue)?)
}

/// Finds out why a redemption changed nothing after the family had been read: another one came first, or it has ended.
async fn lost_race(
    authority: &Authority,
    family: &Family,
    caller: &Caller,
) -> Result<GrantError, GrantError> {
    let family = authority.store.family(family.id).await?;
    let family = family.ok_or(GrantError::Invalid(NO_FAMILY))?;
    match family.state.decide_redemption(authority.now()) {
        Decision::Reuse => end_for_reuse(authority, &family, 0, caller).await,
        Decision::Reject(rejection) => Ok(GrantError::Invalid(rejection.reason())),
        _ => Ok(GrantError::Invalid("the session was changed meanwhile")),
    }
}

/// Verifies the PKCE verifier (RFC 7636 §4.6, S256 only).
fn verifier_fits(challenge: &str, verifier: &str) -> bool {
    let hashed = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    is_verifier(verifier) && bool::from(hashed.as_bytes().ct_eq(challenge.as_bytes()))
}

/// Checks the form of a verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verifier_of_the_challenge_fits() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifier_fits(challenge, verifier));
        assert!(!verifier_fits(challenge, challenge));
        assert!(!verifier_fits(challenge, &verifier[..42]));
        let short = URL_SAFE_NO_PAD.encode(digest(&SHA256, b"short"));
        assert!(!verifier_fits(&short, "short"), "the form counts too");
    }
}
