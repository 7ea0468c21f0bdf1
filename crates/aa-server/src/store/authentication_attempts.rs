use std::time::Duration;

use database::{execute, optional};
use foundation::time::Timestamp;

use super::{Error, Result, Store};
use crate::domain::authorization_request::AuthorizationRequest;
use crate::domain::refresh_token::SecretHash;

/// The lifetime of an attempt.
pub const ATTEMPT_TTL: Duration = Duration::from_mins(30);
/// The greatest number of attempts of one browser. The oldest goes.
pub const MAX_ATTEMPTS: i64 = 50;

/// The name of an attempt. Both parts are needed to find it.
#[derive(Debug, Clone)]
pub struct AttemptKey {
    /// SHA-256 of the reference, 256 random bits.
    pub token_hash: SecretHash,
    /// SHA-256 of the CSRF cookie of the browser that began it.
    pub browser_hash: SecretHash,
}

/// An attempt to sign in that an authorization request waits for.
#[derive(Debug, Clone)]
pub struct AuthenticationAttempt {
    /// The request.
    pub request: AuthorizationRequest,
    /// The user must sign in after this moment; `None` if any sign-in will do.
    pub floor: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    request: String,
    floor: Option<i64>,
    completed_at: Option<i64>,
}

impl Store {
    /// Records an attempt, and removes the oldest of the same browser above [`MAX_ATTEMPTS`].
    pub async fn add_attempt(
        &self,
        key: &AttemptKey,
        attempt: &AuthenticationAttempt,
        now: Timestamp,
    ) -> Result<()> {
        let request = serde_json::to_string(&attempt.request).map_err(|_| unreadable())?;
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "DELETE FROM authentication_attempts
             WHERE browser_hash = $1 AND token_hash NOT IN (
                 SELECT token_hash FROM authentication_attempts
                 WHERE browser_hash = $1 AND expires_at > $2
                 ORDER BY created_at DESC LIMIT $3)",
            key.browser_hash.as_bytes(),
            now.millis(),
            MAX_ATTEMPTS - 1
        )?;
        execute!(
            tx.on(),
            "INSERT INTO authentication_attempts
                 (token_hash, browser_hash, request, floor, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            key.token_hash.as_bytes(),
            key.browser_hash.as_bytes(),
            request,
            attempt.floor.map(Timestamp::millis),
            now.millis(),
            (now + ATTEMPT_TTL).millis()
        )?;
        tx.commit().await
    }

    /// The attempt of this browser with this reference, until it expires.
    ///
    /// # Errors
    /// Also when the stored request cannot be read.
    pub async fn attempt(
        &self,
        key: &AttemptKey,
        now: Timestamp,
    ) -> Result<Option<AuthenticationAttempt>> {
        let found = optional!(
            self.db.read(),
            AttemptRow,
            "SELECT request, floor, completed_at FROM authentication_attempts
             WHERE token_hash = $1 AND browser_hash = $2 AND expires_at > $3",
            key.token_hash.as_bytes(),
            key.browser_hash.as_bytes(),
            now.millis()
        )?;
        let Some(row) = found else { return Ok(None) };
        let request = serde_json::from_str(&row.request).map_err(|_| unreadable())?;
        let floor = row.floor.max(row.completed_at).map(Timestamp::from_millis);
        Ok(Some(AuthenticationAttempt { request, floor }))
    }

    /// Uses a sign-in of this time for an attempt. `false` if the attempt has used it, or a later one, before, or has
    /// expired.
    pub async fn complete_attempt(
        &self,
        key: &AttemptKey,
        auth_time: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        // Not before the sign-in, even if the clock of the replica that recorded it is ahead.
        let completed_at = now.max(auth_time);
        let updated = execute!(
            self.db.write(),
            "UPDATE authentication_attempts SET completed_at = $1
             WHERE token_hash = $2 AND browser_hash = $3 AND expires_at > $4
               AND (completed_at IS NULL OR completed_at < $5)",
            completed_at.millis(),
            key.token_hash.as_bytes(),
            key.browser_hash.as_bytes(),
            now.millis(),
            auth_time.millis()
        )?;
        Ok(updated > 0)
    }
}

fn unreadable() -> Error {
    Error::Inconsistent {
        table: "authentication_attempts",
        column: "request",
        row: "an attempt".to_owned(),
    }
}
