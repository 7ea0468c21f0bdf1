use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::ends::End;
use super::{Event, Result, Store};
use crate::domain::event::EndReason;
use crate::domain::ids::{BrowserId, BrowserSessionId, FamilyId, UserId};
use crate::domain::refresh_token::SecretHash;

/// One sign-in of one user in one browser, live when it was read.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct BrowserSession {
    /// The id of the browser.
    pub id: BrowserSessionId,
    /// The user who signed in.
    pub user_id: UserId,
    /// The browser of the sign-in.
    pub browser_id: BrowserId,
    /// The epoch of the user at the sign-in.
    pub user_epoch: i64,
    /// Authentication methods, separated by spaces.
    pub amr: String,
    /// The time of the last step of the sign-in.
    pub auth_time: Timestamp,
    /// The time of the last recorded use.
    pub seen_at: Timestamp,
}

/// A sign-in to be recorded.
#[derive(Debug)]
pub struct NewBrowserSession<'a> {
    /// Its id.
    pub id: BrowserSessionId,
    /// The hash of the token in the cookie.
    pub token_hash: SecretHash,
    /// The user who signed in.
    pub user_id: UserId,
    /// The epoch under which the password was checked.
    pub user_epoch: i64,
    /// The browser of the sign-in.
    pub browser_id: BrowserId,
    /// Set when the browser is new.
    pub browser_token_hash: Option<SecretHash>,
    /// Authentication methods, separated by spaces.
    pub amr: &'a str,
    /// The time of the last step of the sign-in.
    pub auth_time: Timestamp,
    /// The address of the request.
    pub ip: &'a str,
    /// The user agent of the browser.
    pub user_agent: &'a str,
    /// The end, unless it is used before.
    pub idle_expires_at: Timestamp,
    /// The end in any case.
    pub expires_at: Timestamp,
    /// The previous session of this browser. It ends, whichever user it belongs to.
    pub replaces: Option<SecretHash>,
}

/// A browser in which a user is signed in.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SignedInBrowser {
    /// Its id.
    pub id: BrowserId,
    /// The name that the user gave it, or empty.
    pub name: String,
    /// The time the user was first seen in it.
    pub first_seen_at: Timestamp,
    /// The time the user was last seen in it.
    pub last_seen_at: Timestamp,
    /// The address that it was last seen at.
    pub ip: String,
    /// The browser's user agent.
    pub user_agent: String,
}

/// Browsers that are listed, at most.
const MAX_BROWSERS: i64 = 100;

impl Store {
    /// The browsers in which a user is signed in, whether or not an app is open there, the last used first.
    pub async fn signed_in_browsers(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<SignedInBrowser>> {
        all!(
            self.db.read(),
            SignedInBrowser,
            "SELECT b.browser_id AS id, b.name, b.first_seen_at, b.last_seen_at, b.ip, b.user_agent
             FROM user_browsers b
             WHERE b.user_id = $1 AND EXISTS (
                 SELECT i.id FROM browser_sessions i JOIN users u ON u.id = i.user_id
                 WHERE i.user_id = b.user_id AND i.browser_id = b.browser_id AND i.ended_at IS NULL
                   AND i.expires_at > $2 AND i.idle_expires_at > $2 AND u.epoch = i.user_epoch)
             ORDER BY b.last_seen_at DESC LIMIT $3",
            user,
            now,
            MAX_BROWSERS
        )
    }

    /// The browser with this cookie.
    pub async fn browser(&self, token_hash: &SecretHash) -> Result<Option<BrowserId>> {
        let found = optional!(
            self.db.read(),
            (BrowserId,),
            "SELECT id FROM browsers WHERE token_hash = $1",
            token_hash.as_bytes()
        )?;
        Ok(found.map(|(id,)| id))
    }

    /// Whether a user has signed in on a browser before.
    pub async fn is_known_browser(&self, user: UserId, browser: BrowserId) -> Result<bool> {
        let found = optional!(
            self.db.read(),
            (i64,),
            "SELECT first_seen_at FROM user_browsers WHERE user_id = $1 AND browser_id = $2",
            user,
            browser
        )?;
        Ok(found.is_some())
    }

    /// Records a sign-in, and ends the one it replaces.
    pub async fn sign_in(
        &self,
        browser_session: &NewBrowserSession<'_>,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        if let Some(token_hash) = &browser_session.browser_token_hash {
            execute!(
                tx.on(),
                "INSERT INTO browsers (id, token_hash, created_at) VALUES ($1, $2, $3)",
                browser_session.browser_id,
                token_hash.as_bytes(),
                now.millis()
            )?;
        }
        execute!(
            tx.on(),
            "INSERT INTO user_browsers (user_id, browser_id, name, first_seen_at, last_seen_at, ip, user_agent)
             VALUES ($1, $2, '', $3, $3, $4, $5)
             ON CONFLICT (user_id, browser_id)
             DO UPDATE SET last_seen_at = $3, ip = $4, user_agent = $5",
            browser_session.user_id,
            browser_session.browser_id,
            now.millis(),
            browser_session.ip,
            browser_session.user_agent
        )?;
        if let Some(old) = &browser_session.replaces {
            let reason = EndReason::SignedInAgain;
            let ended = End::BrowserSession(old).write(&mut tx, reason, None, &event, now).await?;
            // Signing in again as the same user (to prove it is still them) keeps their apps signed in.
            if let Some(ended) =
                ended.filter(|ended| ended.user_id == Some(browser_session.user_id))
            {
                execute!(
                    tx.on(),
                    "UPDATE families SET browser_session_id = $1
                     WHERE user_id = $2 AND browser_id = $3 AND ended_at IS NULL
                       AND browser_session_id = $4",
                    browser_session.id,
                    browser_session.user_id,
                    browser_session.browser_id,
                    ended.browser_session_id
                )?;
            }
        }
        execute!(
            tx.on(),
            "INSERT INTO browser_sessions (id, token_hash, user_id, user_epoch, browser_id, amr, auth_time,
                                     seen_at, idle_expires_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            browser_session.id,
            browser_session.token_hash.as_bytes(),
            browser_session.user_id,
            browser_session.user_epoch,
            browser_session.browser_id,
            browser_session.amr,
            browser_session.auth_time.millis(),
            now.millis(),
            browser_session.idle_expires_at.millis(),
            browser_session.expires_at.millis()
        )?;
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await
    }

    /// The live session with this cookie: neither it nor its user's epoch has ended, and the user is enabled.
    pub async fn browser_session(
        &self,
        token_hash: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<BrowserSession>> {
        optional!(
            self.db.read(),
            BrowserSession,
            "SELECT i.id, i.user_id, i.browser_id, i.user_epoch, i.amr, i.auth_time, i.seen_at
             FROM browser_sessions i JOIN users u ON u.id = i.user_id
             WHERE i.token_hash = $1 AND i.ended_at IS NULL AND i.expires_at > $2
               AND i.idle_expires_at > $2 AND u.enabled AND u.epoch = i.user_epoch",
            token_hash.as_bytes(),
            now.millis()
        )
    }

    /// Whether an app has a live family of this user in this browser.
    pub async fn is_open_in_browser(
        &self,
        client_id: &str,
        session: &BrowserSession,
        now: Timestamp,
    ) -> Result<bool> {
        let found = optional!(
            self.db.read(),
            (i64,),
            "SELECT f.generation FROM families f
             JOIN clients a ON a.client_id = f.client_id
             JOIN browser_sessions i ON i.id = f.browser_session_id
             WHERE f.user_id = $1 AND f.browser_id = $2 AND f.client_id = $3 AND f.user_epoch = $4
               AND f.generation > 0 AND f.ended_at IS NULL AND f.expires_at > $5 AND f.idle_expires_at > $5
               AND (i.ended_at IS NULL OR a.outlives_sign_out)
             LIMIT 1",
            session.user_id,
            session.browser_id,
            client_id,
            session.user_epoch,
            now
        )?;
        Ok(found.is_some())
    }

    /// Whether a family, live or ended, belongs to a browser session.
    pub async fn belongs_to_session(
        &self,
        family: FamilyId,
        browser_session: BrowserSessionId,
    ) -> Result<bool> {
        let found = optional!(
            self.db.read(),
            (i64,),
            "SELECT generation FROM families WHERE id = $1 AND browser_session_id = $2",
            family,
            browser_session
        )?;
        Ok(found.is_some())
    }

    /// Records that a browser session and its browser were used.
    pub async fn touch_browser_session(
        &self,
        browser_session: &BrowserSession,
        idle_expires_at: Timestamp,
        (ip, user_agent): (&str, &str),
        now: Timestamp,
    ) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE browser_sessions SET seen_at = $1,
                 idle_expires_at = CASE WHEN expires_at < $2 THEN expires_at ELSE $2 END
             WHERE id = $3 AND ended_at IS NULL",
            now.millis(),
            idle_expires_at.millis(),
            browser_session.id
        )?;
        execute!(
            self.db.write(),
            "UPDATE user_browsers SET last_seen_at = $1, ip = $2, user_agent = $3
             WHERE user_id = $4 AND browser_id = $5",
            now.millis(),
            ip,
            user_agent,
            browser_session.user_id,
            browser_session.browser_id
        )
        .map(drop)
    }

    /// Signs out: ends the session, and with it its families. Returns whether there was one to end.
    pub async fn sign_out(
        &self,
        token_hash: &SecretHash,
        event: Event,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let end = End::BrowserSession(token_hash);
        let ended = end.write(&mut tx, EndReason::SignedOut, None, &event, now).await?.is_some();
        if ended {
            event.write(&mut tx, now).await?;
        }
        self.commit_end(tx).await?;
        Ok(ended)
    }

    /// Ends one browser of a user: its sessions and its families. `None` when it is not theirs.
    pub async fn end_browser(
        &self,
        user: UserId,
        browser: BrowserId,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let known = optional!(
            tx.on(),
            (i64,),
            "SELECT first_seen_at FROM user_browsers WHERE user_id = $1 AND browser_id = $2",
            user,
            browser
        )?;
        if known.is_none() {
            return Ok(None);
        }
        let end = End::Browser { user, browser };
        end.write(&mut tx, EndReason::RevokedByUser, None, &event, now).await?;
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(Some(()))
    }

    /// Names a browser of a user's. `None` when it is not theirs.
    pub async fn rename_browser(
        &self,
        user: UserId,
        browser: BrowserId,
        name: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let renamed = execute!(
            tx.on(),
            "UPDATE user_browsers SET name = $1 WHERE user_id = $2 AND browser_id = $3",
            name,
            user,
            browser
        )?;
        if renamed == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }
}
