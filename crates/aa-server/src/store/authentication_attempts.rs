use std::time::Duration;

use database::{Tx, execute, optional};
use foundation::time::Timestamp;

use super::{Error, Result, Store};
use crate::domain::authorization_request::AuthorizationRequest;
use crate::domain::refresh_token::SecretHash;

/// The lifetime of an attempt.
pub const ATTEMPT_TTL: Duration = Duration::from_mins(30);
/// The greatest number of attempts of one browser. The oldest goes.
pub const MAX_ATTEMPTS: i64 = 50;
/// The time within which a pushed request has to be redeemed (RFC 9126 §2.2).
pub const PUSHED_REQUEST_TTL: Duration = Duration::from_secs(90);
/// Stands for `browser_hash` in a pushed request until a browser redeems it. No hash is empty.
const NO_BROWSER: &[u8] = &[];

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
        let mut tx = self.db.begin().await?;
        remove_oldest(&mut tx, &key.browser_hash, MAX_ATTEMPTS - 1, now).await?;
        let hashes = (&key.token_hash, key.browser_hash.as_bytes());
        insert(&mut tx, hashes, attempt, (now, ATTEMPT_TTL)).await?;
        tx.commit().await
    }

    /// Records a pushed request, until a browser redeems it within [`PUSHED_REQUEST_TTL`].
    pub async fn add_pushed_request(
        &self,
        token_hash: &SecretHash,
        request: &AuthenticationAttempt,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        insert(&mut tx, (token_hash, NO_BROWSER), request, (now, PUSHED_REQUEST_TTL)).await?;
        tx.commit().await
    }

    /// Makes a pushed request of this client an attempt of this browser, unless another browser has done so before. If the
    /// user has to sign in, then from now on.
    pub async fn redeem_pushed_request(
        &self,
        key: &AttemptKey,
        client_id: &str,
        now: Timestamp,
    ) -> Result<()> {
        let pushed = optional!(
            self.db.read(),
            (String,),
            "SELECT request FROM authentication_attempts
             WHERE token_hash = $1 AND browser_hash = $2 AND expires_at > $3",
            key.token_hash.as_bytes(),
            NO_BROWSER,
            now.millis()
        )?;
        let Some((request,)) = pushed else { return Ok(()) };
        if read_request(&request)?.client_id != client_id {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        // Of several browsers at once, one finds the row still without a browser.
        execute!(
            tx.on(),
            "UPDATE authentication_attempts SET browser_hash = $1, created_at = $2, expires_at = $3,
                 floor = CASE WHEN floor IS NULL THEN NULL ELSE $2 END
             WHERE token_hash = $4 AND browser_hash = $5 AND expires_at > $2",
            key.browser_hash.as_bytes(),
            now.millis(),
            (now + ATTEMPT_TTL).millis(),
            key.token_hash.as_bytes(),
            NO_BROWSER
        )?;
        remove_oldest(&mut tx, &key.browser_hash, MAX_ATTEMPTS, now).await?;
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
        let request = read_request(&row.request)?;
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

/// Removes the attempts of a browser that have expired, and the oldest above this number.
async fn remove_oldest(tx: &mut Tx, browser: &SecretHash, kept: i64, now: Timestamp) -> Result<()> {
    execute!(
        tx.on(),
        "DELETE FROM authentication_attempts
         WHERE browser_hash = $1 AND token_hash NOT IN (
             SELECT token_hash FROM authentication_attempts
             WHERE browser_hash = $1 AND expires_at > $2
             ORDER BY created_at DESC LIMIT $3)",
        browser.as_bytes(),
        now.millis(),
        kept
    )
    .map(drop)
}

async fn insert(
    tx: &mut Tx,
    (token_hash, browser_hash): (&SecretHash, &[u8]),
    attempt: &AuthenticationAttempt,
    (now, ttl): (Timestamp, Duration),
) -> Result<()> {
    let request = serde_json::to_string(&attempt.request).map_err(|_| unreadable())?;
    execute!(
        tx.on(),
        "INSERT INTO authentication_attempts
             (token_hash, browser_hash, request, floor, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        token_hash.as_bytes(),
        browser_hash,
        request,
        attempt.floor.map(Timestamp::millis),
        now.millis(),
        (now + ttl).millis()
    )
    .map(drop)
}

fn read_request(stored: &str) -> Result<AuthorizationRequest> {
    serde_json::from_str(stored).map_err(|_| unreadable())
}

fn unreadable() -> Error {
    Error::Inconsistent {
        table: "authentication_attempts",
        column: "request",
        row: "an attempt".to_owned(),
    }
}
