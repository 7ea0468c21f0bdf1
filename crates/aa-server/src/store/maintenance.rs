use std::time::Duration;

use database::execute;
use foundation::time::Timestamp;
use tracing::warn;
use uuid::Uuid;

use super::{Result, Store};

/// Rows a single statement removes: writers wait for no longer than that takes.
const BATCH: i64 = 500;
const DAY: Duration = Duration::from_hours(24);
/// The time for which ended sessions stay to be read about.
pub const REMEMBERED: Duration = Duration::from_hours(30 * 24);

/// The time for which a browser is known after its last use: as long as browsers keep a cookie.
const BROWSER_RETENTION: Duration = Duration::from_hours(400 * 24);

/// Rows that nothing refers to any more, of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
enum Old {
    /// Families past their absolute end, with which the reuse of any of their tokens is recognised, and 30 days more to be
    /// read about.
    Families,
    /// Families that were never redeemed, a day or two after they were made; if the job did not run for so long, they go
    /// with the others.
    Undelivered,
    BrowserSessions,
    Ends,
    Attempts,
    PendingSignIns,
    Confirmations,
    Challenges,
    DeviceAuthorizations,
    ClientAssertions,
    Tries,
    Invitations,
    ClientSecrets,
    Events,
    UserBrowsers,
    Browsers,
}

impl Store {
    /// Removes what nothing refers to any more, in batches. Returns how many rows were removed. What cannot be removed does
    /// not keep the rest.
    ///
    /// # Errors
    /// The last failure, after everything was tried.
    pub async fn remove_old(&self, now: Timestamp, events_kept: Duration) -> Result<u64> {
        let (mut removed, mut failure) = (0, None);
        for old in <Old as strum::VariantArray>::VARIANTS {
            loop {
                match self.remove_batch(*old, now, events_kept).await {
                    Ok(0) => break,
                    Ok(some) => removed += some,
                    Err(error) => {
                        warn!(%error, ?old, "old rows could not be removed");
                        failure = Some(error);
                        break;
                    }
                }
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    /// Removes a batch of what was good for a short time.
    async fn remove_expired(&self, old: Old, now: Timestamp) -> Result<u64> {
        let db = self.db.write();
        match old {
            Old::PendingSignIns => execute!(
                db,
                "DELETE FROM pending_sign_ins WHERE token_hash IN (
                     SELECT token_hash FROM pending_sign_ins WHERE expires_at < $1 LIMIT $2)",
                now,
                BATCH
            ),
            Old::Confirmations => execute!(
                db,
                "DELETE FROM confirmations WHERE token_hash IN (
                     SELECT token_hash FROM confirmations WHERE expires_at < $1 LIMIT $2)",
                now,
                BATCH
            ),
            // A day later, so that a device that comes late is told that its code has expired.
            Old::DeviceAuthorizations => execute!(
                db,
                "DELETE FROM device_authorizations WHERE family_id IN (
                     SELECT family_id FROM device_authorizations WHERE expires_at < $1 LIMIT $2)",
                now - DAY,
                BATCH
            ),
            Old::ClientAssertions => execute!(
                db,
                "DELETE FROM client_assertions WHERE (client_id, jti_hash) IN (
                     SELECT client_id, jti_hash FROM client_assertions WHERE expires_at < $1 LIMIT $2)",
                now,
                BATCH
            ),
            _ => execute!(
                db,
                "DELETE FROM used_challenges WHERE challenge_hash IN (
                     SELECT challenge_hash FROM used_challenges WHERE expires_at < $1 LIMIT $2)",
                now,
                BATCH
            ),
        }
    }

    async fn remove_batch(&self, old: Old, now: Timestamp, events_kept: Duration) -> Result<u64> {
        let remembered = now - REMEMBERED;
        let a_day_ago = now - DAY;
        let forgotten = now - BROWSER_RETENTION;
        let db = self.db.write();
        match old {
            Old::Families => execute!(
                db,
                "DELETE FROM families WHERE id IN (
                     SELECT id FROM families WHERE expires_at < $1 LIMIT $2)",
                remembered,
                BATCH
            ),
            // Ids sort by time, so this looks at the families of two days and not at all of them.
            Old::Undelivered => execute!(
                db,
                "DELETE FROM families WHERE id IN (
                     SELECT id FROM families
                     WHERE id >= $1 AND id < $2 AND generation = 0 AND code_expires_at < $3 LIMIT $4)",
                first_id_at(a_day_ago - 2 * DAY),
                first_id_at(a_day_ago),
                a_day_ago,
                BATCH
            ),
            Old::BrowserSessions => execute!(
                db,
                "DELETE FROM browser_sessions WHERE id IN (
                     SELECT i.id FROM browser_sessions i
                     WHERE i.expires_at < $1
                       AND NOT EXISTS (SELECT 1 FROM families f WHERE f.browser_session_id = i.id
                                         AND f.user_id = i.user_id AND f.browser_id = i.browser_id)
                     LIMIT $2)",
                remembered,
                BATCH
            ),
            Old::Ends => execute!(
                db,
                "DELETE FROM ends WHERE (id, user_epoch) IN (
                     SELECT id, user_epoch FROM ends WHERE ended_at < $1 LIMIT $2)",
                remembered - DAY,
                BATCH
            ),
            Old::PendingSignIns
            | Old::Confirmations
            | Old::Challenges
            | Old::DeviceAuthorizations
            | Old::ClientAssertions => self.remove_expired(old, now).await,
            Old::Attempts => execute!(
                db,
                "DELETE FROM authentication_attempts WHERE token_hash IN (
                     SELECT token_hash FROM authentication_attempts WHERE expires_at <= $1 LIMIT $2)",
                now,
                BATCH
            ),
            Old::Tries => match self.shared_tries() {
                Some(tries) => tries.remove_full(now).await,
                None => Ok(0),
            },
            Old::Invitations => {
                execute!(db, "DELETE FROM invitations WHERE expires_at < $1", remembered)
            }
            Old::ClientSecrets => {
                execute!(db, "DELETE FROM client_secrets WHERE expires_at < $1", a_day_ago)
            }
            Old::Events => execute!(
                db,
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 LIMIT $2)",
                now - events_kept,
                BATCH
            ),
            Old::UserBrowsers => execute!(
                db,
                "DELETE FROM user_browsers WHERE (user_id, browser_id) IN (
                     SELECT d.user_id, d.browser_id FROM user_browsers d
                     WHERE d.last_seen_at < $1
                       AND NOT EXISTS (SELECT 1 FROM families f
                                       WHERE f.user_id = d.user_id AND f.browser_id = d.browser_id)
                       AND NOT EXISTS (SELECT 1 FROM browser_sessions i
                                       WHERE i.user_id = d.user_id AND i.browser_id = d.browser_id)
                     LIMIT $2)",
                forgotten,
                BATCH
            ),
            Old::Browsers => execute!(
                db,
                "DELETE FROM browsers WHERE id IN (
                     SELECT b.id FROM browsers b
                     WHERE b.created_at < $1
                       AND NOT EXISTS (SELECT 1 FROM user_browsers d WHERE d.browser_id = b.id)
                       AND NOT EXISTS (SELECT 1 FROM browser_sessions i WHERE i.browser_id = b.id)
                     LIMIT $2)",
                forgotten,
                BATCH
            ),
        }
    }
}

/// The least of the ids (UUID version 7) that are made at this moment.
fn first_id_at(moment: Timestamp) -> Uuid {
    let millis = u64::try_from(moment.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}
