use database::{execute, optional};
use foundation::time::Timestamp;

use super::{Event, Result, Store, inconsistent};
use crate::domain::device::{DeviceState, POLL_INTERVAL, SLOW_DOWN, UserCode};
use crate::domain::ids::{BrowserId, BrowserSessionId, FamilyId};
use crate::domain::refresh_token::SecretHash;

/// A device's request to be recorded.
#[derive(Debug)]
pub struct NewDeviceAuthorization<'a> {
    /// The id of the family that its approval makes.
    pub family: FamilyId,
    /// The hash of the secret in the device code.
    pub secret_hash: SecretHash,
    /// The code that the user types.
    pub user_code: &'a UserCode,
    /// The client.
    pub client_id: &'a str,
    /// The requested scope, as space-separated names.
    pub scope: &'a str,
    /// The audience of the application tokens.
    pub audience: &'a str,
    /// The address of the request.
    pub ip: &'a str,
    /// The user agent of the device.
    pub user_agent: &'a str,
    /// The end of both codes.
    pub expires_at: Timestamp,
}

/// A device's request to be signed in.
#[derive(Debug, Clone)]
pub struct DeviceAuthorization {
    /// The id of the family that its approval makes.
    pub family: FamilyId,
    /// The hash of the secret in the device code.
    pub secret_hash: SecretHash,
    /// The client.
    pub client_id: String,
    /// The address of the request.
    pub ip: String,
    /// The user agent of the device.
    pub user_agent: String,
    /// How far it has come.
    pub state: DeviceState,
    /// The time of the request.
    pub created_at: Timestamp,
    /// The end of both codes.
    pub expires_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    family_id: FamilyId,
    secret_hash: Vec<u8>,
    client_id: String,
    ip: String,
    user_agent: String,
    state: String,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl Row {
    fn read(self) -> Result<DeviceAuthorization> {
        let unreadable = |_| inconsistent("device_authorizations", "state", self.family_id);
        Ok(DeviceAuthorization {
            family: self.family_id,
            secret_hash: SecretHash::from_stored(self.secret_hash),
            client_id: self.client_id,
            ip: self.ip,
            user_agent: self.user_agent,
            state: self.state.parse().map_err(unreadable)?,
            created_at: self.created_at,
            expires_at: self.expires_at,
        })
    }
}

/// A family to be made by the approval of a device's request.
#[derive(Debug)]
pub struct NewDeviceFamily {
    /// The request.
    pub request: FamilyId,
    /// The browser session in which the user approves: its user, and how they signed in.
    pub approved_in: BrowserSessionId,
    /// The device, which is a browser of its own.
    pub device: BrowserId,
    /// The hashes of the two cookies that the device does not have: of secrets that were forgotten at once.
    pub no_cookies: [SecretHash; 2],
    /// The device's session.
    pub session: BrowserSessionId,
    /// The name of the device on the sessions page, until the user gives it another.
    pub name: String,
    /// The absolute end of the family.
    pub expires_at: Timestamp,
}

/// The answer to a device that asks whether its request was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// Not yet.
    Pending,
    /// Not yet, and it has asked too soon: its interval has grown.
    TooSoon,
    /// The request is not pending any more.
    Decided,
}

impl Store {
    /// Records a device's request.
    ///
    /// # Errors
    /// Also [`Error::Conflict`](super::Error::Conflict) when the user code is taken.
    pub async fn add_device_authorization(
        &self,
        request: &NewDeviceAuthorization<'_>,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO device_authorizations
                 (family_id, secret_hash, user_code, client_id, scope, audience, ip, user_agent, state,
                  interval_seconds, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            request.family,
            request.secret_hash.as_bytes(),
            request.user_code.as_str(),
            request.client_id,
            request.scope,
            request.audience,
            request.ip,
            request.user_agent,
            DeviceState::Pending.as_str(),
            POLL_INTERVAL,
            now,
            request.expires_at
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// The request with this device code.
    pub async fn device_authorization(
        &self,
        family: FamilyId,
    ) -> Result<Option<DeviceAuthorization>> {
        let found = optional!(
            self.db.read(),
            Row,
            "SELECT family_id, secret_hash, client_id, ip, user_agent, state, created_at, expires_at
             FROM device_authorizations WHERE family_id = $1",
            family
        )?;
        found.map(Row::read).transpose()
    }

    /// The request with this user code that waits for an answer, of an enabled client.
    pub async fn pending_device_authorization(
        &self,
        user_code: &UserCode,
        now: Timestamp,
    ) -> Result<Option<DeviceAuthorization>> {
        let found = optional!(
            self.db.read(),
            Row,
            "SELECT d.family_id, d.secret_hash, d.client_id, d.ip, d.user_agent, d.state, d.created_at, d.expires_at
             FROM device_authorizations d JOIN clients a ON a.client_id = d.client_id
             WHERE d.user_code = $1 AND d.state = 'pending' AND d.expires_at > $2 AND a.enabled",
            user_code.as_str(),
            now
        )?;
        found.map(Row::read).transpose()
    }

    /// Records that a device asks whether its request was approved. Of parallel calls one is in time.
    pub async fn poll_device_authorization(
        &self,
        family: FamilyId,
        now: Timestamp,
    ) -> Result<Poll> {
        let in_time = execute!(
            self.db.write(),
            "UPDATE device_authorizations SET polled_at = $1
             WHERE family_id = $2 AND state = 'pending'
               AND (polled_at IS NULL OR polled_at + interval_seconds * 1000 <= $1)",
            now,
            family
        )?;
        if in_time > 0 {
            return Ok(Poll::Pending);
        }
        let too_soon = execute!(
            self.db.write(),
            "UPDATE device_authorizations SET polled_at = $1, interval_seconds = interval_seconds + $2
             WHERE family_id = $3 AND state = 'pending'",
            now,
            SLOW_DOWN,
            family
        )?;
        Ok(if too_soon > 0 { Poll::TooSoon } else { Poll::Decided })
    }

    /// Approves a request: makes its family, with the device as a browser of its own. `None` when the request does not wait
    /// any more, or the user's session, the user or the client has ended meanwhile.
    pub async fn approve_device(
        &self,
        family: &NewDeviceFamily,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let approved = execute!(
            tx.on(),
            "UPDATE device_authorizations SET state = 'approved'
             WHERE family_id = $1 AND state = 'pending' AND expires_at > $2",
            family.request,
            now
        )?;
        // Locks the session: an end of it either comes first, and is seen here, or comes after the approval.
        let locked = execute!(
            tx.on(),
            "UPDATE browser_sessions SET seen_at = $1 WHERE id = $2 AND ended_at IS NULL",
            now,
            family.approved_in
        )?;
        if approved == 0 || locked == 0 {
            return Ok(None);
        }
        let [browser_hash, session_hash] = &family.no_cookies;
        execute!(
            tx.on(),
            "INSERT INTO browsers (id, token_hash, created_at) VALUES ($1, $2, $3)",
            family.device,
            browser_hash.as_bytes(),
            now
        )?;
        execute!(
            tx.on(),
            "INSERT INTO user_browsers (user_id, browser_id, name, first_seen_at, last_seen_at, ip, user_agent)
             SELECT i.user_id, $1, $2, $3, $3, d.ip, d.user_agent
             FROM browser_sessions i JOIN device_authorizations d ON d.family_id = $4 WHERE i.id = $5",
            family.device,
            family.name.as_str(),
            now,
            family.request,
            family.approved_in
        )?;
        // Idle from the start: it signs no one in at the authority's own pages, and is no sign-in on the sessions page.
        execute!(
            tx.on(),
            "INSERT INTO browser_sessions (id, token_hash, user_id, user_epoch, browser_id, amr, auth_time,
                                     seen_at, idle_expires_at, expires_at)
             SELECT $1, $2, i.user_id, i.user_epoch, $3, i.amr, i.auth_time, $4, $4, $5
             FROM browser_sessions i WHERE i.id = $6",
            family.session,
            session_hash.as_bytes(),
            family.device,
            now,
            family.expires_at,
            family.approved_in
        )?;
        let made = execute!(
            tx.on(),
            "INSERT INTO families (id, secret_hash, generation, user_id, user_epoch, client_id, browser_id,
                 browser_session_id, scope, audience, auth_time, amr, redirect_uri,
                 code_expires_at, created_at, expires_at, rotated_at, rotated_ip, rotated_user_agent,
                 idle_expires_at)
             SELECT d.family_id, d.secret_hash, 0, i.user_id, i.user_epoch, d.client_id, i.browser_id,
                 i.id, d.scope, d.audience, i.auth_time, i.amr, '',
                 d.expires_at, $1, $2, $1, d.ip, d.user_agent, $2
             FROM device_authorizations d JOIN browser_sessions i ON i.id = $3
                 JOIN users u ON u.id = i.user_id JOIN clients a ON a.client_id = d.client_id
             WHERE d.family_id = $4 AND u.enabled AND u.epoch = i.user_epoch AND a.enabled",
            now,
            family.expires_at,
            family.session,
            family.request
        )?;
        if made == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// Refuses a request. `None` when it does not wait any more.
    pub async fn deny_device(
        &self,
        request: FamilyId,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let denied = execute!(
            tx.on(),
            "UPDATE device_authorizations SET state = 'denied'
             WHERE family_id = $1 AND state = 'pending' AND expires_at > $2",
            request,
            now
        )?;
        if denied == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }
}
