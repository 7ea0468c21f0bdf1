//! What becomes of a family when one of its tokens is presented (SPEC §2 rules 2 to 5, 7 and 11).
//!
//! A family is a counter. A presented token is genuine when this is asked (its MAC and secret hold, and the
//! right app presents it), so all that is left to decide is how its generation compares with the counter.

use std::time::Duration;

use foundation::time::Timestamp;

/// What the rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The generation of the newest token.
    pub generation: u32,
    /// When it became the newest.
    pub moved_at: Timestamp,
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
pub enum Verdict {
    /// It is the newest: the family moves on by one.
    Move,
    /// It is the immediate predecessor, in time, and its successor is unused: the same successor again.
    Again,
    /// It was used before: the family ends.
    Reuse,
    /// It does not count, and the family stays as it is.
    Refuse(Refusal),
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The family, its user, its sign-in or its app has ended.
    Ended,
    /// Too late.
    Expired,
    /// Newer than the family: the database is older than the token, as after a restored backup.
    Ahead,
}

impl Standing {
    /// Judges a refresh token of `generation`.
    pub fn judge_refresh(&self, generation: u32, now: Timestamp, grace: Duration) -> Verdict {
        if let Some(refusal) = self.refusal(generation, now) {
            return Verdict::Refuse(refusal);
        }
        if generation == self.generation {
            Verdict::Move
        } else if generation + 1 == self.generation && now < self.moved_at + grace {
            Verdict::Again
        } else {
            Verdict::Reuse
        }
    }

    /// Judges the delegation token. It works once, in time, without grace.
    pub fn judge_redemption(&self, now: Timestamp) -> Verdict {
        if let Some(refusal) = self.refusal(0, now) {
            return Verdict::Refuse(refusal);
        }
        if self.generation > 0 {
            Verdict::Reuse
        } else if now >= self.code_expires_at {
            Verdict::Refuse(Refusal::Expired)
        } else {
            Verdict::Move
        }
    }

    /// Whether the family could still move, whatever is presented.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.refusal(self.generation, now).is_none()
    }

    /// When it ends if nobody uses it.
    pub fn ends_at(&self) -> Timestamp {
        self.expires_at.min(self.idle_expires_at)
    }

    fn refusal(&self, generation: u32, now: Timestamp) -> Option<Refusal> {
        if self.ended {
            Some(Refusal::Ended)
        } else if now >= self.ends_at() {
            Some(Refusal::Expired)
        } else if generation > self.generation {
            Some(Refusal::Ahead)
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

    fn standing(generation: u32) -> Standing {
        Standing {
            generation,
            moved_at: at(100),
            code_expires_at: at(130),
            idle_expires_at: at(500),
            expires_at: at(900),
            ended: false,
        }
    }

    #[test]
    fn the_newest_moves_until_the_family_expires() {
        assert_eq!(standing(3).judge_refresh(3, at(499), GRACE), Verdict::Move);
        let expired = Verdict::Refuse(Refusal::Expired);
        assert_eq!(standing(3).judge_refresh(3, at(500), GRACE), expired);
        let absolute = Standing { idle_expires_at: at(2000), ..standing(3) };
        assert_eq!(absolute.judge_refresh(3, at(899), GRACE), Verdict::Move);
        assert_eq!(absolute.judge_refresh(3, at(900), GRACE), expired);
    }

    #[test]
    fn the_predecessor_is_answered_within_grace_alone() {
        assert_eq!(standing(3).judge_refresh(2, at(109), GRACE), Verdict::Again);
        assert_eq!(standing(3).judge_refresh(2, at(110), GRACE), Verdict::Reuse);
        assert_eq!(standing(3).judge_refresh(2, at(100), Duration::ZERO), Verdict::Reuse);
        assert_eq!(standing(3).judge_refresh(1, at(101), GRACE), Verdict::Reuse, "two behind");
    }

    #[test]
    fn what_expired_or_ended_is_refused_without_ending_anything() {
        assert_eq!(standing(3).judge_refresh(1, at(501), GRACE), Verdict::Refuse(Refusal::Expired));
        let ended = Standing { ended: true, ..standing(3) };
        for generation in 0..=4 {
            let verdict = ended.judge_refresh(generation, at(101), GRACE);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Ended));
        }
        assert!(!ended.is_live(at(101)) && standing(3).is_live(at(101)));
        assert!(!standing(3).is_live(at(500)));
    }

    #[test]
    fn a_token_from_after_a_restored_backup_is_refused_and_ends_nothing() {
        assert_eq!(standing(3).judge_refresh(4, at(101), GRACE), Verdict::Refuse(Refusal::Ahead));
    }

    #[test]
    fn a_delegation_token_works_once_in_time_and_has_no_grace() {
        assert_eq!(standing(0).judge_redemption(at(129)), Verdict::Move);
        assert_eq!(standing(0).judge_redemption(at(130)), Verdict::Refuse(Refusal::Expired));
        assert_eq!(standing(1).judge_redemption(at(101)), Verdict::Reuse);
        assert_eq!(standing(1).judge_redemption(at(131)), Verdict::Reuse, "still recognised");
        assert_eq!(standing(1).judge_redemption(at(500)), Verdict::Refuse(Refusal::Expired));
    }
}
