//! The authority's own metrics, beside those of requests.

use std::sync::OnceLock;

use metrics::{Counter, Unit, counter, describe_counter, describe_gauge, gauge};

/// The outcome of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RefreshOutcome {
    /// Answered with tokens, of a new generation or, within grace, of the one before.
    Answered,
    /// Ended with its family, because its token was used before.
    Reused,
    /// Refused.
    Refused,
    /// The database did not answer, or nothing could be signed.
    Fault,
}

/// Describes every metric, and tells the version of this program.
pub fn describe() {
    describe_counter!(
        "aa_events_total",
        "Events by kind, as `events list` shows them: identity.started, identity.refused, family.reuse and so on"
    );
    describe_counter!("aa_refusals_total", "Refused requests of clients by OAuth error code");
    describe_counter!("aa_refreshes_total", "Refresh requests by outcome");
    describe_counter!(
        "aa_refreshes_within_grace_total",
        "Refreshes of a predecessor that were answered with its successor"
    );
    describe_counter!(
        "aa_family_grace_elsewhere_total",
        "Refreshes within grace from another place than the successor's"
    );
    describe_counter!("aa_throttled_total", "Attempts that a counter had no try left for");
    describe_counter!(
        "aa_password_hashes_busy_total",
        "Passwords that were not checked because too many waited"
    );
    describe_gauge!("aa_waiting_rotations", "Refreshes that wait for the database");
    describe_gauge!("aa_database_connections", "Connections to the database by state: idle, used");
    describe_gauge!("aa_waiting_deliveries", "Messages to other systems that wait");
    describe_gauge!("aa_feed_followers", "Followers of ended sessions that are connected here");
    describe_gauge!("aa_feed_ends", "Ended sessions, users and apps that are published");
    describe_gauge!(
        "aa_feed_oldest_follower_seconds",
        Unit::Seconds,
        "Age of the oldest end that a follower, seen in the last minute at any replica, has not confirmed; up to 20 is usual"
    );
    describe_gauge!(
        "aa_clock_offset_seconds",
        Unit::Seconds,
        "How far this machine's clock is from the database's, whichever is ahead"
    );
    describe_gauge!("aa_build_info", "1, with the version as label");
    gauge!("aa_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Counts a refresh.
pub fn count_refresh(outcome: RefreshOutcome) {
    // Looking a counter up takes longer than counting.
    static COUNTERS: [OnceLock<Counter>; 4] = [const { OnceLock::new() }; 4];
    let of_outcome = || counter!("aa_refreshes_total", "outcome" => <&str>::from(outcome));
    COUNTERS[outcome as usize].get_or_init(of_outcome).increment(1);
}
