//! Setting a second factor up as a step of the sign-in, where a policy or an app demands one.

use std::net::IpAddr;

use super::next::{Demand, Origin, SignedIn, enrolment, pending};
use super::verify::{VerifyError, finish};
use crate::authority::Authority;
use crate::domain::authentication::{Enrolment, Step};
use crate::domain::caller::Caller;
use crate::domain::refresh_token::SecretHash;
use crate::ops::account::factors::{self, FactorError};
use crate::services::throttle::Counter;
use crate::store::{PendingSignIn, User};

/// Whether the user of a sign-in under way may put it off, and until when.
pub fn of(authority: &Authority, pending: &PendingSignIn, user: &User) -> Enrolment {
    let demand = if pending.must_enrol { Demand::TwoFactors } else { Demand::Policy };
    enrolment(authority, user, demand)
}

/// A second factor to be set up.
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
}

/// The result of an enrolment.
#[derive(Debug)]
pub struct Enrolled {
    /// The new session.
    pub signed_in: SignedIn,
    /// Where the sign-in leads to.
    pub return_to: String,
    /// The recovery codes that were made, to be shown once.
    pub codes: Vec<String>,
}

/// Sets a second factor up, or puts that off without one, and signs in.
///
/// # Errors
/// [`VerifyError`]; [`VerifyError::Expired`] also when it may not be put off, or there is a factor by now.
pub async fn enrol(
    authority: &Authority,
    (reference, setup): (&str, Option<Setup>),
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
    let (step, codes) = match setup {
        Some(setup) => {
            let step = set_up(authority, &user, &setup, &origin.binding, address, caller).await?;
            (Some(step), factors::make_recovery_codes(authority, &user, caller).await?)
        }
        None if matches!(of(authority, &waiting, &user), Enrolment::Soon(_)) => (None, Vec::new()),
        None => return Err(VerifyError::Expired),
    };
    let under_way = (reference, waiting);
    let (signed_in, return_to) =
        finish(authority, &user, under_way, step, false, origin, caller).await?;
    Ok(Enrolled { signed_in, return_to, codes })
}

/// Adds a factor; tries are counted, as those of the second step are.
async fn set_up(
    authority: &Authority,
    user: &User,
    setup: &Setup,
    binding: &SecretHash,
    address: IpAddr,
    caller: &Caller,
) -> Result<Step, VerifyError> {
    let counters: Vec<Counter> =
        std::iter::once(Counter::Factor(user.id)).chain(Counter::address(address)).collect();
    authority.throttle.take(&counters, authority.now()).await?;
    let wrong = |refused: FactorError| match refused {
        FactorError::Store(cause) => VerifyError::Store(cause),
        _ => VerifyError::Wrong,
    };
    let step = match setup {
        Setup::Totp { state, code } => {
            factors::add_totp(authority, user, (state, code), binding, caller)
                .await
                .map_err(wrong)?;
            Step::Totp
        }
        Setup::Passkey { state, answer } => {
            factors::add_passkey(authority, user, (state, answer), binding, caller)
                .await
                .map_err(wrong)?;
            Step::Passkey
        }
    };
    authority.throttle.give_back(&counters[..1]).await?;
    Ok(step)
}
