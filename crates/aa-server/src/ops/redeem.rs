//! Redeems a delegation token (SPEC §2 rules 2, 7 and 8).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::Caller;
use super::authenticate_app::KnownApp;
use super::issue::{self, Issue, Issued};
use super::refresh::{self, GrantError};
use crate::app::App;
use crate::domain::family::Verdict;
use crate::domain::token::Kind;
use crate::store::{Family, Grant, Redeemed};

/// An app presents a delegation token.
#[derive(Debug)]
pub struct Redeem {
    /// The app, authenticated.
    pub app: Arc<KnownApp>,
    /// The token.
    pub code: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The PKCE verifier (RFC 7636 §4.5).
    pub code_verifier: Option<String>,
    /// For which of the app's audiences (RFC 8707).
    pub resource: Option<String>,
}

/// Redeems it: the family moves from 0 to 1, and the answer carries its first refresh token.
///
/// *Checks*, before anything is changed: the token is genuine; it was made for this app; the redirect URI is
/// the same; the PKCE verifier fits (or there is none, for a direct delegation). Then the family decides. A
/// second presentation that passes all of these ends the family.
///
/// # Errors
/// [`GrantError`]; unless it says reuse, the family is as it was.
pub async fn redeem(app: &App, command: Redeem, caller: &Caller) -> Result<Issued, GrantError> {
    let registration = &command.app.registration;
    let token = app.mint.read(Kind::Delegation, &command.code).ok_or(GrantError::Invalid)?;
    let family = app.store.family(token.family).await?.ok_or(GrantError::Invalid)?;
    let bound = family.secret_hash == token.secret.hash()
        && family.client_id == registration.client_id
        && family.redirect_uri == command.redirect_uri
        && verifier_fits(family.code_challenge.as_deref(), command.code_verifier.as_deref());
    if !bound {
        return Err(GrantError::Invalid);
    }
    let audience =
        issue::choose_audience(registration, command.resource.as_deref(), Some(&family.audience))
            .map_err(|_| GrantError::UnknownResource)?
            .to_owned();
    let now = app.now();
    match family.standing.judge_redemption(now) {
        Verdict::Move => {}
        Verdict::Reuse => return Err(refresh::end_for_reuse(app, &family, 0, caller).await?),
        Verdict::Again | Verdict::Refuse(_) => return Err(GrantError::Invalid),
    }
    let redeemed = Redeemed {
        family: &family,
        idle_expires_at: now + app.config.ttls.family_idle(registration),
        ip: &caller.ip,
        user_agent: &caller.user_agent,
        keep_others: registration.several_families,
    };
    let event = app
        .event("family.started", format!("app:{}", family.client_id), caller)
        .user(family.user_id)
        .client(&family.client_id)
        .family(family.id);
    let Some(moved) = app.store.redeem_family(&redeemed, event, now).await? else {
        return Err(lost_race(app, &family, caller).await?);
    };
    let grant = Grant::from(moved);
    let user = app.store.user(grant.user_id).await?;
    Ok(issue::for_family(
        app,
        Issue {
            grant: &grant,
            app: registration,
            user: user.as_ref(),
            audience: &audience,
            scope: None,
            secret: &token.secret,
            with_id_token: true,
        },
    )?)
}

/// Somebody redeemed it between the look and the move, or it ended: the family says which.
async fn lost_race(app: &App, family: &Family, caller: &Caller) -> Result<GrantError, GrantError> {
    let family = app.store.family(family.id).await?.ok_or(GrantError::Invalid)?;
    match family.standing.judge_redemption(app.now()) {
        Verdict::Reuse => refresh::end_for_reuse(app, &family, 0, caller).await,
        _ => Ok(GrantError::Invalid),
    }
}

/// RFC 7636 §4.6, S256 only. Without a challenge a verifier must not be there either: who sends one believes in
/// a protection that this token does not have (RFC 9700 §4.8.2).
fn verifier_fits(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) if is_verifier(verifier) => {
            let hashed = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
            hashed.as_bytes().ct_eq(challenge.as_bytes()).into()
        }
        _ => false,
    }
}

/// 43 to 128 unreserved characters (RFC 7636 §4.1).
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
        assert!(verifier_fits(Some(challenge), Some(verifier)));
        assert!(verifier_fits(None, None));
        assert!(!verifier_fits(None, Some(verifier)));
        assert!(!verifier_fits(Some(challenge), None));
        assert!(!verifier_fits(Some(challenge), Some(challenge)));
        assert!(!verifier_fits(Some(challenge), Some(&verifier[..42])));
        let short = URL_SAFE_NO_PAD.encode(digest(&SHA256, b"short"));
        assert!(!verifier_fits(Some(&short), Some("short")), "the form counts too");
    }
}
