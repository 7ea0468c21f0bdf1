use database::all;
use foundation::time::Timestamp;
use uuid::Uuid;

use super::family::TwoPlaces;
use super::{Result, Store, inconsistent};
use crate::domain::ids::{BrowserId, FamilyId, UserId};

/// A line of the sessions page, before it is put into words.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SessionRow {
    /// The family.
    pub id: FamilyId,
    /// The app.
    pub client_id: String,
    /// The browser.
    pub browser_id: BrowserId,
    /// The browser's name, if the user gave one.
    pub browser_name: String,
    /// The user agent of the browser.
    pub browser_user_agent: String,
    /// The address that the browser was last seen at.
    pub browser_ip: String,
    /// The time the browser was first seen.
    pub browser_first_seen_at: Timestamp,
    /// The time the browser was last seen.
    pub browser_last_seen_at: Timestamp,
    /// The time the app was opened.
    pub created_at: Timestamp,
    /// The time of the last rotation.
    pub rotated_at: Timestamp,
    /// The address that it was last rotated from.
    pub rotated_ip: String,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// The end for lack of use.
    pub idle_expires_at: Timestamp,
    /// The time the family itself was ended.
    pub ended_at: Option<Timestamp>,
    /// The reason of that end.
    pub end_reason: Option<String>,
    end_detail: Option<String>,
    grace_elsewhere: Option<String>,
    /// The time the user's epoch was ended.
    pub epoch_ended_at: Option<Timestamp>,
    /// The reason of that end.
    pub epoch_reason: Option<String>,
    /// The time the browser session was ended, if that ends this family.
    pub browser_session_ended_at: Option<Timestamp>,
    /// The reason of that end.
    pub browser_session_reason: Option<String>,
}

impl SessionRow {
    /// The places of the two uses of a token for which the family was ended.
    ///
    /// # Errors
    /// [`Error::Inconsistent`].
    pub fn places_of_reuse(&self) -> Result<TwoPlaces> {
        let places = self.end_detail.as_deref().and_then(|text| serde_json::from_str(text).ok());
        places.ok_or_else(|| inconsistent("families", "end_detail", self.id))
    }

    /// The places from which a token was used within its grace, if they are two.
    ///
    /// # Errors
    /// [`Error::Inconsistent`].
    pub fn places_of_grace(&self) -> Result<Option<TwoPlaces>> {
        let read = |text| {
            serde_json::from_str(text)
                .map_err(|_| inconsistent("families", "grace_elsewhere", self.id))
        };
        self.grace_elsewhere.as_deref().map(read).transpose()
    }
}

impl Store {
    /// Up to `limit` sessions of a user, the last opened first, before the one with this id. `live` chooses between those
    /// that are live and those that have ended after `since`.
    pub async fn sessions_before(
        &self,
        user: UserId,
        position: Option<FamilyId>,
        limit: u32,
        (live, since): (bool, Timestamp),
        now: Timestamp,
    ) -> Result<Vec<SessionRow>> {
        all!(
            self.db.read(),
            SessionRow,
            "SELECT f.id, f.client_id, f.browser_id, d.name AS browser_name,
                 d.user_agent AS browser_user_agent, d.ip AS browser_ip,
                 d.first_seen_at AS browser_first_seen_at, d.last_seen_at AS browser_last_seen_at,
                 f.created_at, f.rotated_at, f.rotated_ip, f.expires_at, f.idle_expires_at,
                 f.ended_at, f.end_reason, f.end_detail, f.grace_elsewhere,
                 COALESCE(e.ended_at, x.ended_at) AS epoch_ended_at, COALESCE(e.reason, x.reason) AS epoch_reason,
                 CASE WHEN a.outlives_sign_out THEN NULL ELSE i.ended_at END AS browser_session_ended_at,
                 i.end_reason AS browser_session_reason
             FROM families f
             JOIN user_browsers d ON d.user_id = f.user_id AND d.browser_id = f.browser_id
             JOIN browser_sessions i ON i.id = f.browser_session_id
             JOIN clients a ON a.client_id = f.client_id
             JOIN users u ON u.id = f.user_id
             LEFT JOIN ends e ON e.id = f.user_id AND e.user_epoch = f.user_epoch
             -- An epoch without an end of its own ended with everything.
             LEFT JOIN ends x ON f.user_epoch <> u.epoch AND e.id IS NULL AND x.kind = 'everything'
                 AND x.id = (SELECT o.id FROM ends o WHERE o.kind = 'everything' AND o.ended_at >= f.created_at
                             ORDER BY o.ended_at LIMIT 1)
             WHERE f.user_id = $1 AND f.id < $2 AND f.generation > 0
               AND (f.ended_at IS NULL OR f.ended_at > $3)
               AND (f.user_epoch = u.epoch OR COALESCE(e.ended_at, x.ended_at) > $3)
               AND f.expires_at > $3
               AND (f.ended_at IS NULL AND f.user_epoch = u.epoch AND f.expires_at > $4
                    AND f.idle_expires_at > $4 AND (i.ended_at IS NULL OR a.outlives_sign_out)) = $5
             ORDER BY f.id DESC LIMIT $6",
            user,
            position.unwrap_or_else(|| Uuid::max().into()),
            since.millis(),
            now.millis(),
            live,
            i64::from(limit)
        )
    }
}
