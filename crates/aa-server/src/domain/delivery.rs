//! When a delivery of the outbox is tried again, and when it is given up.

use std::time::Duration;

use foundation::time::Timestamp;

foundation::uuid_id! {
    /// The id of a delivery. It sorts by the time at which the delivery was made.
    DeliveryId
}

/// The wait after the first failed attempt; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest wait between two attempts.
const MAX_RETRY: Duration = Duration::from_hours(1);
/// The age at which a delivery is given up.
pub const MAX_AGE: Duration = Duration::from_hours(72);

/// The time of the next attempt after `attempts` failed ones; `None` when the delivery is given up.
///
/// `jitter` spreads retries over the second half of the wait, so that deliveries that failed together do not come back
/// together: any random number will do.
pub fn next_attempt(
    created_at: Timestamp,
    attempts: u32,
    jitter: u64,
    now: Timestamp,
) -> Option<Timestamp> {
    if now.since(created_at) >= MAX_AGE {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(20);
    let wait = FIRST_RETRY.saturating_mul(1 << doublings).min(MAX_RETRY);
    let half = wait / 2;
    let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    Some(now + half + Duration::from_millis(jitter % spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour_and_end_after_three_days() {
        let start = Timestamp::from_millis(0);
        let wait = |attempts, jitter| next_attempt(start, attempts, jitter, start).unwrap();
        assert_eq!(wait(1, 0), start + Duration::from_millis(2_500));
        assert_eq!(wait(2, 0), start + Duration::from_secs(5));
        assert_eq!(wait(3, 0), start + Duration::from_secs(10));
        assert_eq!(wait(60, 0), start + Duration::from_mins(30));
        for jitter in [1, 77_777, u64::MAX] {
            assert!(wait(60, jitter) <= start + MAX_RETRY, "{jitter}");
        }
        assert_eq!(next_attempt(start, 1, 0, start + MAX_AGE), None);
    }
}
