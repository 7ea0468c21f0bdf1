//! Authentication of a user in steps. The methods (`amr`), the level (`acr`) and the time (`auth_time`) of a sign-in come
//! out of the steps that were done.

use foundation::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The level of one factor (NIST SP 800-63B).
pub const AAL1: &str = "aal1";
/// The level of two factors (NIST SP 800-63B).
pub const AAL2: &str = "aal2";
/// The method that stands for several factors (RFC 8176 §2).
const MULTI_FACTOR: &str = "mfa";

/// A step of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The user gives the password of the account.
    Password,
    /// The user gives a code that was mailed.
    MailCode,
    /// The user shows a passkey, and their authenticator has verified them by PIN, finger or face: two factors in one.
    Passkey,
    /// The user gives the code of an authenticator app.
    Totp,
    /// The user gives a recovery code, instead of another second factor.
    RecoveryCode,
}

impl Step {
    /// The authentication method references (RFC 8176 §2).
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Password => &["pwd"],
            Self::MailCode | Self::Totp | Self::RecoveryCode => &["otp"],
            Self::Passkey => &["pop", "user"],
        }
    }

    /// Whether it can come second.
    pub fn is_second_factor(self) -> bool {
        matches!(self, Self::Passkey | Self::Totp | Self::RecoveryCode)
    }
}

/// The steps that a user has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    first: (Step, Timestamp),
    later: Vec<(Step, Timestamp)>,
}

impl Authentication {
    /// Starts with a first step, done at this moment.
    pub fn begin(step: Step, at: Timestamp) -> Self {
        Self { first: (step, at), later: Vec::new() }
    }

    /// Adds a step, done at this moment.
    #[must_use]
    pub fn and(mut self, step: Step, at: Timestamp) -> Self {
        self.later.push((step, at));
        self
    }

    fn steps(&self) -> impl Iterator<Item = (Step, Timestamp)> {
        std::iter::once(self.first).chain(self.later.iter().copied())
    }

    /// Whether two factors were shown.
    pub fn is_multi_factor(&self) -> bool {
        self.first.0 == Step::Passkey || self.later.iter().any(|(step, _)| step.is_second_factor())
    }

    /// The methods used, separated by spaces, each once, in the order of the steps (`amr`, OpenID Connect Core §2).
    pub fn amr(&self) -> String {
        let mut methods: Vec<&str> = Vec::new();
        for method in self.steps().flat_map(|(step, _)| step.methods()) {
            if !methods.contains(method) {
                methods.push(method);
            }
        }
        if self.is_multi_factor() {
            methods.push(MULTI_FACTOR);
        }
        methods.join(" ")
    }

    /// The time of the last step (`auth_time`, OpenID Connect Core §2).
    pub fn auth_time(&self) -> Timestamp {
        self.steps().map(|(_, at)| at).max().unwrap_or(self.first.1)
    }
}

/// Whether two factors were shown, by the methods of a sign-in.
pub fn is_multi_factor(amr: &str) -> bool {
    amr.split(' ').any(|method| method == MULTI_FACTOR)
}

/// The level of a sign-in by its methods (`acr`, OpenID Connect Core §2).
pub fn acr(amr: &str) -> &'static str {
    if is_multi_factor(amr) { AAL2 } else { AAL1 }
}

/// The users who need a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FactorPolicy {
    /// Only users who want one.
    #[default]
    Optional,
    /// Administrators.
    Admins,
    /// Every user.
    Everybody,
}

/// Whether a user without a second factor has to set one up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// The user needs none.
    Optional,
    /// From this time on. Until then they may put it off.
    Soon(Timestamp),
    /// Before they are signed in.
    Required,
}

impl FactorPolicy {
    /// Whether a user has to set a second factor up, by this policy, which is in force from `from` on.
    pub fn enrolment(self, is_admin: bool, from: Option<Timestamp>, now: Timestamp) -> Enrolment {
        let concerned = match self {
            Self::Optional => false,
            Self::Admins => is_admin,
            Self::Everybody => true,
        };
        match from {
            _ if !concerned => Enrolment::Optional,
            Some(from) if from > now => Enrolment::Soon(from),
            _ => Enrolment::Required,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_level_and_time_come_out_of_the_steps() {
        let at = Timestamp::from_millis;
        let once = Authentication::begin(Step::Password, at(1_000));
        assert_eq!((once.amr().as_str(), once.auth_time()), ("pwd", at(1_000)));
        assert_eq!(acr(&once.amr()), AAL1);
        let again = once.clone().and(Step::Password, at(3_000)).and(Step::Password, at(2_000));
        assert_eq!((again.amr().as_str(), again.auth_time()), ("pwd", at(3_000)));
        for (step, amr) in [
            (Step::Totp, "pwd otp mfa"),
            (Step::Passkey, "pwd pop user mfa"),
            (Step::RecoveryCode, "pwd otp mfa"),
        ] {
            let both = once.clone().and(step, at(2_000));
            assert_eq!((both.amr().as_str(), acr(&both.amr())), (amr, AAL2));
        }
        let passkey = Authentication::begin(Step::Passkey, at(0));
        assert_eq!((passkey.amr().as_str(), acr(&passkey.amr())), ("pop user mfa", AAL2));
        assert_eq!(acr(&Authentication::begin(Step::MailCode, at(0)).amr()), AAL1);
    }

    #[test]
    fn a_policy_concerns_some_users_from_a_day_on() {
        let at = Timestamp::from_millis;
        let day = Some(at(10));
        assert_eq!(FactorPolicy::Optional.enrolment(true, None, at(0)), Enrolment::Optional);
        assert_eq!(FactorPolicy::Admins.enrolment(false, None, at(0)), Enrolment::Optional);
        assert_eq!(FactorPolicy::Admins.enrolment(true, None, at(0)), Enrolment::Required);
        assert_eq!(FactorPolicy::Everybody.enrolment(false, day, at(9)), Enrolment::Soon(at(10)));
        assert_eq!(FactorPolicy::Everybody.enrolment(false, day, at(10)), Enrolment::Required);
        assert_eq!("everybody".parse(), Ok(FactorPolicy::Everybody));
    }
}
