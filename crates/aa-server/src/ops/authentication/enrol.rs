//! Setting a second factor up as a step of the sign-in, where a policy or an app demands one.

use std::net::IpAddr;

use super::next::{Demand, Origin, SignedIn, begin, enrolment, key, known_browser, pending};
use super::verify::{VerifyError, finish};
use crate::authority::Authority;
use crate::domain::authentication::{Enrolment, Step};
use crate::domain::caller::Caller;
use crate::ops::account::factors::{self, FactorError};
use crate::services::throttle::Counter;
use crate::store::{PendingSignIn, User};

/// Whether the user of a sign-in under way may put it off, and until when.
pub fn of(authority: &Authority, pending: &PendingSignIn, user: &User) -> Enrolment {
    let demand = if pending.must_enrol { Demand::TwoFactors } else { Demand::Policy };
    enrolment(authority, user, demand)
}

/// What the user sets up.
#[derive(Debug)]
pub enum Setup {
    /// An authenticator app: the state of the secret, and a code.
    Totp {
        /// The state.
        state: String,
        /// The code.
        code: String,
    },
    /// A passkey: the state of the challenge, and the answer.
    Passkey {
        /// The state.
        state: String,
        /// The answer.
        answer: String,
    },
    /// Nothing yet.
    Later,
}

/// What has come of it.
#[derive(Debug)]
pub struct Enrolled {
    /// The new session.
    pub signed_in: SignedIn,
    /// Where the sign-in leads to.
    pub return_to: String,
    /// The recovery codes that were made, to be shown once.
    pub codes: Vec<String>,
}

/// Sets a second factor up, or puts that off, and signs in.
///
/// # Errors
/// [`VerifyError`]; [`VerifyError::Expired`] also when it may not be put off, or there is a factor by now.
pub async fn enrol(
    authority: &Authority,
    (reference, setup): (&str, Setup),
    origin: &Origin,
    address: IpAddr,
    caller: &Caller,
) -> Result<Enrolled, VerifyError> {
    let (waiting, user) =
        pending(authority, reference, &origin.binding).await?.ok_or(VerifyError::Expired)?;
    // A user who has a factor has to show it: enrolment is no way around it.
    if authority.store.factor_counts(user.id).await?.any() {
        return Err(VerifyError::Expired);
    }
    let counters: Vec<Counter> =
        std::iter::once(Counter::Factor(user.id)).chain(Counter::address(address)).collect();
    authority.throttle.take(&counters, authority.now()).await?;
    let wrong = |refused: FactorError| match refused {
        FactorError::Store(cause) => VerifyError::Store(cause),
        _ => VerifyError::Wrong,
    };
    let step = match &setup {
        Setup::Totp { state, code } => {
            factors::add_totp(authority, &user, (state, code), &origin.binding, caller)
                .await
                .map_err(wrong)?;
            Step::Totp
        }
        Setup::Passkey { state, answer } => {
            factors::add_passkey(authority, &user, (state, answer), &origin.binding, caller)
                .await
                .map_err(wrong)?;
            Step::Passkey
        }
        Setup::Later => {
            if !matches!(of(authority, &waiting, &user), Enrolment::Soon(_)) {
                return Err(VerifyError::Expired);
            }
            let (signed_in, return_to) =
                put_off(authority, &user, waiting, reference, origin, caller).await?;
            return Ok(Enrolled { signed_in, return_to, codes: Vec::new() });
        }
    };
    authority.throttle.give_back(&counters[..1]).await?;
    let codes = factors::make_recovery_codes(authority, &user, caller).await?;
    let done = finish(authority, &user, (reference, waiting), step, false, origin, caller).await?;
    let (signed_in, return_to) = done;
    Ok(Enrolled { signed_in, return_to, codes })
}

async fn put_off(
    authority: &Authority,
    user: &User,
    waiting: PendingSignIn,
    reference: &str,
    origin: &Origin,
    caller: &Caller,
) -> Result<(SignedIn, String), VerifyError> {
    let taken = authority
        .store
        .take_pending_sign_in(&key(reference, &origin.binding), authority.now())
        .await?;
    taken.ok_or(VerifyError::Expired)?;
    let browser = known_browser(authority, origin.browser_token.as_deref()).await?;
    let replaces = origin.session_token.as_deref();
    let signed_in = begin(authority, (user, &waiting.done), browser, replaces, caller).await?;
    Ok((signed_in, waiting.return_to))
}
