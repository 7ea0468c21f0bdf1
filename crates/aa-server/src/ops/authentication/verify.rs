//! The second step: a passkey, the code of an authenticator app, or a recovery code.

use std::net::IpAddr;

use subtle::ConstantTimeEq as _;
use tracing::info;

use super::next::{Origin, SignedIn, begin, key, known_browser, pending};
use crate::authority::Authority;
use crate::domain::authentication::Step;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::recovery_code;
use crate::ops::mail;
use crate::services::throttle::{Counter, ThrottleError};
use crate::store::{self, PendingSignIn, User};

/// The proof of a second factor.
#[derive(Debug)]
pub enum Proof {
    /// The code of an authenticator app.
    Totp(String),
    /// A recovery code.
    RecoveryCode(String),
    /// A passkey's answer, with the state of its challenge.
    Passkey {
        /// The state.
        state: String,
        /// The answer.
        answer: String,
    },
}

/// Why a second step is refused.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The sign-in has expired, or was begun in another browser.
    #[error("the sign-in has expired")]
    Expired,
    /// The proof is not right, or was used before.
    #[error("the second factor is not right")]
    Wrong,
    /// Too many tries, or they could not be counted.
    #[error(transparent)]
    Throttle(#[from] ThrottleError),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A step to be done.
#[derive(Debug)]
pub struct Verify {
    /// The reference of the sign-in under way.
    pub reference: String,
    /// The user's proof.
    pub proof: Proof,
    /// Whether this browser is to need no second factor for a while.
    pub remember: bool,
    /// The address that attempts are counted by.
    pub address: IpAddr,
}

/// Checks a second factor, and signs in. Returns the path that the sign-in leads to.
///
/// # Errors
/// [`VerifyError`].
pub async fn verify(
    authority: &Authority,
    command: Verify,
    origin: &Origin,
    caller: &Caller,
) -> Result<(SignedIn, String), VerifyError> {
    let (waiting, user) = pending(authority, &command.reference, &origin.binding)
        .await?
        .ok_or(VerifyError::Expired)?;
    let counters: Vec<Counter> = std::iter::once(Counter::Factor(user.id))
        .chain(Counter::address(command.address))
        .collect();
    authority.throttle.take(&counters, authority.now()).await?;
    let Some(step) = check(authority, &user, &command.proof, origin, caller).await? else {
        let event =
            authority.event(EventKind::FactorRefused, Actor::Anonymous, caller).user(user.id);
        authority.store.add_event(&event, authority.now()).await?;
        return Err(VerifyError::Wrong);
    };
    authority.throttle.give_back(&counters[..1]).await?;
    let under_way = (command.reference.as_str(), waiting);
    finish(authority, &user, under_way, Some(step), command.remember, origin, caller).await
}

/// Signs in after the last step; without one, where a second factor was put off.
pub(super) async fn finish(
    authority: &Authority,
    user: &User,
    (reference, waiting): (&str, PendingSignIn),
    step: Option<Step>,
    remember: bool,
    origin: &Origin,
    caller: &Caller,
) -> Result<(SignedIn, String), VerifyError> {
    let now = authority.now();
    // Of two requests that finish the same sign-in, one does.
    let taken = authority.store.take_pending_sign_in(&key(reference, &origin.binding), now).await?;
    taken.ok_or(VerifyError::Expired)?;
    let done = match step {
        Some(step) => waiting.done.and(step, now),
        None => waiting.done,
    };
    let browser = known_browser(authority, origin.browser_token.as_deref()).await?;
    let replaces = origin.session_token.as_deref();
    let signed_in = begin(authority, (user, &done), browser, replaces, caller).await?;
    if remember && let Some(ttl) = authority.config.second_factor.remember {
        authority.store.remember_browser(user.id, signed_in.browser_id, now + ttl).await?;
    }
    Ok((signed_in, waiting.return_to))
}

/// The step that a proof does; `None` when it is not right.
async fn check(
    authority: &Authority,
    user: &User,
    proof: &Proof,
    origin: &Origin,
    caller: &Caller,
) -> store::Result<Option<Step>> {
    let now = authority.now();
    match proof {
        Proof::Totp(code) => {
            let Some(row) = authority.store.totp(user.id).await? else { return Ok(None) };
            let Some(step) = authority.totp.check(&row, user.id, code, now) else {
                return Ok(None);
            };
            Ok(authority.store.use_totp_step(user.id, &step).await?.then_some(Step::Totp))
        }
        Proof::RecoveryCode(code) => {
            let event = authority
                .event(EventKind::RecoveryCodeUsed, Actor::User(user.id), caller)
                .user(user.id)
                .tell(mail::notice(authority, user.id, EventKind::RecoveryCodeUsed, caller));
            let hash = recovery_code::hash(user.id, code);
            Ok(authority
                .store
                .use_recovery_code(user.id, &hash, event, now)
                .await?
                .then_some(Step::RecoveryCode))
        }
        Proof::Passkey { state, answer } => {
            let Ok((credential_id, _)) = authority.passkeys.identify(answer) else {
                return Ok(None);
            };
            let found = authority.store.passkey(&credential_id).await?;
            let Some(row) = found.filter(|row| row.user_id == user.id) else { return Ok(None) };
            match authority.passkeys.finish_verification(
                (state, answer),
                &row.credential,
                &origin.binding,
                now,
            ) {
                Ok(used) if bool::from(used.credential_id.ct_eq(&credential_id)) => {
                    if !authority.store.use_challenge(&used.challenge, used.expires_at).await? {
                        return Ok(None);
                    }
                    let used = authority
                        .store
                        .use_passkey(row.id, &used.credential, used.synced, now)
                        .await?;
                    Ok(used.then_some(Step::Passkey))
                }
                Ok(_) => Ok(None),
                Err(refused) => {
                    info!(user = %user.id, %refused, "a passkey was refused");
                    Ok(None)
                }
            }
        }
    }
}
