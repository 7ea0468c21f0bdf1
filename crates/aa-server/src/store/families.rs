use database::{execute, optional};
use foundation::time::Timestamp;
use serde_json::json;

use super::ends::{self, End};
use super::family::{Family, GraceElsewhere, resources};
use super::{Event, Result, Store, inconsistent};
use crate::domain::event::EndReason;
use crate::domain::family::FamilyState;
use crate::domain::ids::{BrowserId, BrowserSessionId, FamilyId, UserId};
use crate::domain::refresh_token::SecretHash;
use crate::domain::requested_claims::RequestedClaims;

/// Delegation tokens of one user, browser and client that wait to be redeemed, at most. A further one takes the place of the
/// oldest.
pub const MAX_OPEN_DELEGATIONS: i64 = 20;

/// A family to be made, with its delegation token out.
#[derive(Debug)]
pub struct NewFamily<'a> {
    /// The id: the family token.
    pub id: FamilyId,
    /// The hash of the secret in its tokens.
    pub secret_hash: SecretHash,
    /// The browser session it comes from.
    pub browser_session_id: BrowserSessionId,
    /// The client it is for.
    pub client_id: &'a str,
    /// The granted scope, as space-separated names.
    pub scope: &'a str,
    /// The audience of its application tokens.
    pub audience: &'a str,
    /// The redirect URI that the delegation token is sent to.
    pub redirect_uri: &'a str,
    /// Base64url SHA-256 of the PKCE verifier; none where the client does without PKCE.
    pub code_challenge: Option<&'a str>,
    /// The client's nonce, for the ID token.
    pub nonce: Option<&'a str>,
    /// The audiences that the request names.
    pub resources: &'a [String],
    /// The claims that the request asks for by name.
    pub requested_claims: &'a RequestedClaims,
    /// The thumbprint of the key that the delegation token is bound to.
    pub dpop_jkt: Option<&'a str>,
    /// The end of the delegation token.
    pub code_expires_at: Timestamp,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// The address of the authorization request.
    pub ip: &'a str,
    /// The user agent of the browser.
    pub user_agent: &'a str,
    /// The event of the user's consent, where the client needs it.
    pub event: Option<Event>,
}

#[derive(sqlx::FromRow)]
struct FamilyRow {
    id: FamilyId,
    secret_hash: Vec<u8>,
    generation: i64,
    user_id: UserId,
    user_epoch: i64,
    client_id: String,
    browser_id: BrowserId,
    scope: String,
    audience: String,
    auth_time: Timestamp,
    amr: String,
    redirect_uri: String,
    code_challenge: Option<String>,
    nonce: Option<String>,
    resources: Option<String>,
    requested_claims: Option<String>,
    code_expires_at: Timestamp,
    expires_at: Timestamp,
    rotated_at: Timestamp,
    rotated_ip: String,
    rotated_user_agent: String,
    idle_expires_at: Timestamp,
    grace_elsewhere: Option<String>,
    dpop_jkt: Option<String>,
    live: bool,
}

impl FamilyRow {
    fn read(self) -> Result<Family> {
        let unreadable = |column| inconsistent("families", column, self.id);
        let generation = u32::try_from(self.generation).map_err(|_| unreadable("generation"))?;
        let grace_elsewhere = self
            .grace_elsewhere
            .as_deref()
            .map(|text| serde_json::from_str(text).map_err(|_| unreadable("grace_elsewhere")))
            .transpose()?;
        let requested_claims = self
            .requested_claims
            .as_deref()
            .map(|text| serde_json::from_str(text).map_err(|_| unreadable("requested_claims")))
            .transpose()?;
        let scope = self.scope.parse().map_err(|()| unreadable("scope"))?;
        Ok(Family {
            id: self.id,
            secret_hash: SecretHash::from_stored(self.secret_hash),
            user_id: self.user_id,
            user_epoch: self.user_epoch,
            client_id: self.client_id,
            browser_id: self.browser_id,
            scope,
            audience: self.audience,
            auth_time: self.auth_time,
            amr: self.amr,
            redirect_uri: self.redirect_uri,
            code_challenge: self.code_challenge,
            nonce: self.nonce,
            resources: resources(self.resources.as_deref()),
            requested_claims: requested_claims.unwrap_or_default(),
            rotated_ip: self.rotated_ip,
            rotated_user_agent: self.rotated_user_agent,
            grace_elsewhere,
            dpop_jkt: self.dpop_jkt,
            state: FamilyState {
                generation,
                rotated_at: self.rotated_at,
                code_expires_at: self.code_expires_at,
                idle_expires_at: self.idle_expires_at,
                expires_at: self.expires_at,
                ended: !self.live,
            },
        })
    }
}

/// A redemption, as the compare-and-set needs it.
#[derive(Debug, Clone, Copy)]
pub struct Redeemed<'a> {
    /// The family as it was read.
    pub family: &'a Family,
    /// The end of the family unless it is rotated before.
    pub idle_expires_at: Timestamp,
    /// The address of the request.
    pub ip: &'a str,
    /// The user agent of the request.
    pub user_agent: &'a str,
    /// Whether the app may have several families in one browser.
    pub keep_others: bool,
    /// The thumbprint of the key that the family's refresh tokens are bound to.
    pub dpop_jkt: Option<&'a str>,
}

impl Store {
    /// Makes a family from a live browser session. `None` when that has ended meanwhile.
    pub async fn delegate(&self, family: &NewFamily<'_>, now: Timestamp) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        // Locks the sign-in: an end of it either comes first, and is seen here, or waits and sees the family.
        let locked = execute!(
            tx.on(),
            "UPDATE browser_sessions SET seen_at = $1 WHERE id = $2 AND ended_at IS NULL",
            now.millis(),
            family.browser_session_id
        )?;
        if locked == 0 {
            return Ok(None);
        }
        let resources = (!family.resources.is_empty()).then(|| family.resources.join("\n"));
        let requested_claims = *family.requested_claims != RequestedClaims::default();
        let requested_claims = requested_claims.then(|| json!(family.requested_claims).to_string());
        let made = execute!(
            tx.on(),
            "INSERT INTO families (id, secret_hash, generation, user_id, user_epoch, client_id, browser_id,
                 browser_session_id, scope, audience, auth_time, amr, redirect_uri, code_challenge, nonce,
                 code_expires_at, created_at, expires_at, rotated_at, rotated_ip, rotated_user_agent,
                 idle_expires_at, resources, requested_claims, dpop_jkt)
             SELECT $1, $2, 0, i.user_id, i.user_epoch, $3, i.browser_id,
                 i.id, $4, $5, i.auth_time, i.amr, $6, $7, $8,
                 $9, $10, $11, $10, $12, $13, $11, $14, $15, CAST($16 AS TEXT)
             FROM browser_sessions i JOIN users u ON u.id = i.user_id JOIN clients a ON a.client_id = $3
             WHERE i.id = $17 AND u.enabled AND u.epoch = i.user_epoch AND a.enabled",
            family.id,
            family.secret_hash.as_bytes(),
            family.client_id,
            family.scope,
            family.audience,
            family.redirect_uri,
            family.code_challenge,
            family.nonce,
            family.code_expires_at.millis(),
            now.millis(),
            family.expires_at.millis(),
            family.ip,
            family.user_agent,
            resources,
            requested_claims,
            family.dpop_jkt,
            family.browser_session_id
        )?;
        // Loading the authorization endpoint again and again does not fill the table.
        execute!(
            tx.on(),
            "DELETE FROM families WHERE id IN (
                 SELECT o.id FROM families o JOIN browser_sessions i
                     ON i.id = $1 AND o.user_id = i.user_id AND o.browser_id = i.browser_id
                 WHERE o.client_id = $2 AND o.generation = 0 AND o.id <> $3
                 ORDER BY o.id DESC LIMIT 100 OFFSET $4)",
            family.browser_session_id,
            family.client_id,
            family.id,
            MAX_OPEN_DELEGATIONS - 1
        )?;
        if let Some(event) = family.event.as_ref().filter(|_| made > 0) {
            event.write(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok((made > 0).then_some(()))
    }

    /// The family with this id. Its state tells whether it, its user, its app and its sign-in are live; a
    /// delegation token needs a live sign-in even where the app outlives one.
    pub async fn family(&self, id: FamilyId) -> Result<Option<Family>> {
        optional!(
            self.db.read(),
            FamilyRow,
            "SELECT f.id, f.secret_hash, f.generation, f.user_id, f.user_epoch, f.client_id, f.browser_id, f.scope,
                 f.audience, f.auth_time, f.amr, f.redirect_uri, f.code_challenge, f.nonce, f.resources,
                 f.requested_claims, f.code_expires_at, f.expires_at, f.rotated_at, f.rotated_ip, f.rotated_user_agent, f.idle_expires_at, f.grace_elsewhere,
                 f.dpop_jkt, f.ended_at IS NULL AND u.enabled AND u.epoch = f.user_epoch AND a.enabled
                     AND (i.ended_at IS NULL OR (a.outlives_sign_out AND f.generation > 0)) AS live
             FROM families f
             JOIN users u ON u.id = f.user_id
             JOIN clients a ON a.client_id = f.client_id
             JOIN browser_sessions i ON i.id = f.browser_session_id
             WHERE f.id = $1",
            id
        )?
        .map(FamilyRow::read)
        .transpose()
    }

    /// Redeems a delegation token: rotates the family from generation 0 to 1, and ends the older redeemed family of the
    /// same user, client and browser. `None` when the family is not at generation 0 any more, or something has ended.
    pub async fn redeem_family(
        &self,
        redeemed: &Redeemed<'_>,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<Family>> {
        let family = redeemed.family;
        let mut tx = self.db.begin().await?;
        // Redemptions of one browser come one after the other, so that two of them cannot both stay.
        execute!(
            tx.on(),
            "UPDATE user_browsers SET last_seen_at = $1 WHERE user_id = $2 AND browser_id = $3",
            now.millis(),
            family.user_id,
            family.browser_id
        )?;
        let rotated = optional!(
            tx.on(),
            FamilyRow,
            "UPDATE families SET generation = 1, rotated_at = $1, rotated_ip = $2, rotated_user_agent = $3,
                 idle_expires_at = CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END, dpop_jkt = $5
             WHERE id = $6 AND generation = 0 AND secret_hash = $7 AND ended_at IS NULL
               AND code_expires_at > $1 AND expires_at > $1
               AND EXISTS (SELECT 1 FROM users u
                           WHERE u.id = families.user_id AND u.enabled AND u.epoch = families.user_epoch)
               AND EXISTS (SELECT 1 FROM clients a WHERE a.client_id = families.client_id AND a.enabled)
               AND EXISTS (SELECT 1 FROM browser_sessions i
                           WHERE i.id = families.browser_session_id AND i.ended_at IS NULL)
             RETURNING id, secret_hash, generation, user_id, user_epoch, client_id, browser_id, scope, audience,
                 auth_time, amr, redirect_uri, code_challenge, nonce, resources, requested_claims,
                 code_expires_at, expires_at, rotated_at, rotated_ip, rotated_user_agent, idle_expires_at, grace_elsewhere,
                 dpop_jkt, ended_at IS NULL AS live",
            now.millis(),
            redeemed.ip,
            redeemed.user_agent,
            redeemed.idle_expires_at.millis(),
            redeemed.dpop_jkt,
            family.id,
            family.secret_hash.as_bytes()
        )?;
        let Some(rotated) = rotated else { return Ok(None) };
        if !redeemed.keep_others {
            ends::supersede(&mut tx, family, now).await?;
        }
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        rotated.read().map(Some)
    }

    /// Reads a family once no transaction holds its row: what a broken connection left open is decided then.
    ///
    /// Writes, so call it in a spawned task, as [`database::Db::begin`].
    pub async fn settled_family(&self, id: FamilyId) -> Result<Option<Family>> {
        let mut tx = self.db.begin().await?;
        execute!(tx.on(), "UPDATE families SET generation = generation WHERE id = $1", id)?;
        tx.commit().await?;
        self.family(id).await
    }

    /// Makes a delegation token redeemable again, the answer to whose redemption was never received.
    pub async fn undo_redemption(&self, family: &Family) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE families SET generation = 0 WHERE id = $1 AND generation = 1 AND rotated_at = $2
                 AND ended_at IS NULL",
            family.id,
            family.state.rotated_at.millis()
        )
        .map(drop)
    }

    /// Lets the grace of the last rotation begin now, because its answer was never received.
    pub async fn renew_grace(&self, family: &Family, now: Timestamp) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE families SET rotated_at = $1 WHERE id = $2 AND generation = $3 AND rotated_at = $4",
            now.millis(),
            family.id,
            i64::from(family.state.generation),
            family.state.rotated_at.millis()
        )
        .map(drop)
    }

    /// Records that a token was used from two places within its grace, if nothing of the kind was recorded before. Returns
    /// whether it was recorded.
    pub async fn record_grace_elsewhere(
        &self,
        family: FamilyId,
        elsewhere: &GraceElsewhere,
        event: Event,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let recorded = execute!(
            tx.on(),
            "UPDATE families SET grace_elsewhere = $1
             WHERE id = $2 AND generation = $3 AND grace_elsewhere IS NULL AND ended_at IS NULL",
            json!(elsewhere).to_string(),
            family,
            i64::from(elsewhere.generation)
        )?;
        if recorded == 0 {
            return Ok(false);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a family. Whether it was live until now; the event is written only then.
    pub async fn end_family(
        &self,
        id: FamilyId,
        reason: EndReason,
        detail: Option<&serde_json::Value>,
        event: Event,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let ended = End::Family(id).write(&mut tx, reason, detail, &event, now).await?.is_some();
        if ended {
            event.write(&mut tx, now).await?;
        }
        self.commit_end(tx).await?;
        Ok(ended)
    }
}
