//! Authentication of a user in steps. The methods (`amr`) and the time (`auth_time`) of a sign-in come out of the
//! steps that were done.

use foundation::time::Timestamp;

/// A step of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The user gives the password of the account.
    Password,
}

impl Step {
    /// The steps that every sign-in needs, in the order in which they are asked for.
    pub const REQUIRED: &'static [Self] = &[Self::Password];

    /// The authentication method reference (RFC 8176 §2).
    pub fn method(self) -> &'static str {
        match self {
            Self::Password => "pwd",
        }
    }
}

/// The steps that a user has done.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// The first required step that is still to be done; `None` when the user is signed in.
    pub fn next_step(&self) -> Option<Step> {
        let done = |step: &Step| self.steps().any(|(known, _)| known == *step);
        Step::REQUIRED.iter().copied().find(|step| !done(step))
    }

    /// The methods used, separated by spaces, each once, in the order of the steps (`amr`, OpenID Connect Core §2).
    pub fn amr(&self) -> String {
        let mut methods: Vec<&str> = Vec::new();
        for (step, _) in self.steps() {
            if !methods.contains(&step.method()) {
                methods.push(step.method());
            }
        }
        methods.join(" ")
    }

    /// The time of the last step (`auth_time`, OpenID Connect Core §2).
    pub fn auth_time(&self) -> Timestamp {
        self.steps().map(|(_, at)| at).max().unwrap_or(self.first.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_time_come_out_of_the_steps() {
        let at = Timestamp::from_millis;
        let once = Authentication::begin(Step::Password, at(1_000));
        assert_eq!((once.amr().as_str(), once.auth_time()), ("pwd", at(1_000)));
        assert_eq!(once.next_step(), None);
        let again = once.and(Step::Password, at(3_000)).and(Step::Password, at(2_000));
        assert_eq!((again.amr().as_str(), again.auth_time()), ("pwd", at(3_000)));
    }
}
