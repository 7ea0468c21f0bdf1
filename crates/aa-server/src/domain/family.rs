//! The decision about a family when one of its tokens is presented (`docs/contract.md#rule-2` to `#rule-5`, `#rule-11`).
//!
//! A family is a counter. A presented token is genuine when this is asked (its MAC and secret hold, and the
//! right app presents it), so all that is left to decide is how its generation compares with the counter.

use std::time::Duration;

use foundation::time::Timestamp;

/// What the rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyState {
    /// The generation of the newest token.
    pub generation: u32,
    /// When it became the newest.
    pub rotated_at: Timestamp,
    /// Until when a delegation token may be redeemed.
    pub code_expires_at: Timestamp,
    /// Until when the next move has to come.
    pub idle_expires_at: Timestamp,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// Whether it was ended, by itself or with its user, sign-in or app.
    pub ended: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is the newest: the family rotation on by one.
    Rotate,
    /// It is the immediate predecessor, in time, and its successor is unused: the same successor again.
    Retry,
    /// It was used before: the family ends.
    Reuse,
    /// It does not count, and the family stays as it is.
    Reject(Rejection),
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The family, its user, its sign-in or its app has ended.
    Ended,
    /// Too late.
    Expired,
    /// Newer than the family: the database is older than the token, as after a restored backup.
    NewerThanStored,
}

impl Rejection {
    /// The reason, for the operator.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ended => "the session has ended",
            Self::Expired => "the token has expired",
            Self::NewerThanStored => "the token is newer than the session in the database",
        }
    }
}

impl FamilyState {
    /// Judges a refresh token of `generation`.
    pub fn decide_refresh(&self, generation: u32, now: Timestamp, grace: Duration) -> Decision {
        if let Some(rejection) = self.rejection(generation, now) {
            return Decision::Reject(rejection);
        }
        if generation == self.generation {
            Decision::Rotate
        } else if generation + 1 == self.generation && now < self.rotated_at + grace {
            Decision::Retry
        } else {
            Decision::Reuse
        }
    }

    /// Judges the delegation token. It works once, in time, without grace.
    pub fn decide_redemption(&self, now: Timestamp) -> Decision {
        if let Some(rejection) = self.rejection(0, now) {
            return Decision::Reject(rejection);
        }
        if self.generation > 0 {
            Decision::Reuse
        } else if now >= self.code_expires_at {
            Decision::Reject(Rejection::Expired)
        } else {
            Decision::Rotate
        }
    }

    /// Whether the family could still move, whatever is presented.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.rejection(self.generation, now).is_none()
    }

    /// The time of its end if it is not used again.
    pub fn ends_at(&self) -> Timestamp {
        self.expires_at.min(self.idle_expires_at)
    }

    fn rejection(&self, generation: u32, now: Timestamp) -> Option<Rejection> {
        if self.ended {
            Some(Rejection::Ended)
        } else if now >= self.ends_at() {
            Some(Rejection::Expired)
        } else if generation > self.generation {
            Some(Rejection::NewerThanStored)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn state(generation: u32) -> FamilyState {
        FamilyState {
            generation,
            rotated_at: at(100),
            code_expires_at: at(130),
            idle_expires_at: at(500),
            expires_at: at(900),
            ended: false,
        }
    }

    #[test]
    fn the_newest_moves_until_the_family_expires() {
        assert_eq!(state(3).decide_refresh(3, at(499), GRACE), Decision::Rotate);
        let expired = Decision::Reject(Rejection::Expired);
        assert_eq!(state(3).decide_refresh(3, at(500), GRACE), expired);
        let absolute = FamilyState { idle_expires_at: at(2000), ..state(3) };
        assert_eq!(absolute.decide_refresh(3, at(899), GRACE), Decision::Rotate);
        assert_eq!(absolute.decide_refresh(3, at(900), GRACE), expired);
    }

    #[test]
    fn the_predecessor_is_answered_within_grace_alone() {
        assert_eq!(state(3).decide_refresh(2, at(109), GRACE), Decision::Retry);
        assert_eq!(state(3).decide_refresh(2, at(110), GRACE), Decision::Reuse);
        assert_eq!(state(3).decide_refresh(2, at(100), Duration::ZERO), Decision::Reuse);
        assert_eq!(state(3).decide_refresh(1, at(101), GRACE), Decision::Reuse, "two behind");
    }

    #[test]
    fn what_expired_or_ended_is_refused_without_ending_anything() {
        assert_eq!(
            state(3).decide_refresh(1, at(501), GRACE),
            Decision::Reject(Rejection::Expired)
        );
        let ended = FamilyState { ended: true, ..state(3) };
        for generation in 0..=4 {
            let decision = ended.decide_refresh(generation, at(101), GRACE);
            assert_eq!(decision, Decision::Reject(Rejection::Ended));
        }
        assert!(!ended.is_live(at(101)) && state(3).is_live(at(101)));
        assert!(!state(3).is_live(at(500)));
    }

    #[test]
    fn a_token_from_after_a_restored_backup_is_refused_and_ends_nothing() {
        assert_eq!(
            state(3).decide_refresh(4, at(101), GRACE),
            Decision::Reject(Rejection::NewerThanStored)
        );
    }

    #[test]
    fn a_delegation_token_works_once_in_time_and_has_no_grace() {
        assert_eq!(state(0).decide_redemption(at(129)), Decision::Rotate);
        assert_eq!(state(0).decide_redemption(at(130)), Decision::Reject(Rejection::Expired));
        assert_eq!(state(1).decide_redemption(at(101)), Decision::Reuse);
        assert_eq!(state(1).decide_redemption(at(131)), Decision::Reuse, "still recognised");
        assert_eq!(state(1).decide_redemption(at(500)), Decision::Reject(Rejection::Expired));
    }
}
