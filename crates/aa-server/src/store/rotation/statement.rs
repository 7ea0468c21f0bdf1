//! The statement that rotates one family, with its parameters and its row.

use database::rusqlite::{self, Statement};
use database::{Error, Result};
use foundation::time::Timestamp;
use sqlx::{Database, Encode, Type, query::Query};
use uuid::Uuid;

use crate::domain::ids::{FamilyId, UserId};
use crate::domain::refresh_token::SecretHash;
use crate::store::family::{Grant, resources};

/// Rotates one family, on either database. [`Rotation::query`] and [`Rotation::bind`] give its parameters.
///
/// Parameters first appear in the order of their numbers, because SQLite numbers them by first appearance.
pub const ROTATE: &str =
    "UPDATE families SET generation = generation + 1, rotated_at = $1, rotated_ip = $2,
         rotated_user_agent = $3,
         idle_expires_at = CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END
     WHERE id = $5 AND generation = $6 AND generation > 0 AND secret_hash = $7 AND client_id = $8
       AND ended_at IS NULL AND expires_at > $1 AND idle_expires_at > $1
       AND EXISTS (SELECT 1 FROM users u
                   WHERE u.id = families.user_id AND u.enabled AND u.epoch = families.user_epoch)
       AND EXISTS (SELECT 1 FROM clients a JOIN browser_sessions i ON i.id = families.browser_session_id
                   WHERE a.client_id = families.client_id AND a.enabled AND a.version = $9
                     AND (i.ended_at IS NULL OR a.outlives_sign_out))
       AND (dpop_jkt IS NULL OR dpop_jkt = $10)
     RETURNING id, user_id, scope, audience, auth_time, amr, nonce, expires_at, idle_expires_at,
         user_epoch, resources";

/// The columns that a rotation returns, in this order.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct RotatedRow {
    pub(super) id: FamilyId,
    pub(super) user_id: UserId,
    pub(super) scope: String,
    pub(super) audience: String,
    pub(super) auth_time: Timestamp,
    pub(super) amr: String,
    pub(super) nonce: Option<String>,
    pub(super) expires_at: Timestamp,
    pub(super) idle_expires_at: Timestamp,
    pub(super) user_epoch: i64,
    pub(super) resources: Option<String>,
}

/// A request to rotate a family, made with its newest refresh token.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The family that the token belongs to.
    pub family: FamilyId,
    /// The generation of the token.
    pub generation: u32,
    /// The hash of the secret in the token.
    pub secret_hash: SecretHash,
    /// The client that presents the token.
    pub client_id: String,
    /// The version of the client's metadata that the client was authenticated with.
    pub client_version: i64,
    /// The time at which the family expires unless it is rotated again.
    pub idle_expires_at: Timestamp,
    /// The address of the caller.
    pub ip: String,
    /// The caller's `User-Agent`.
    pub user_agent: String,
    /// The thumbprint of the key that the request proves (RFC 9449); empty if it proves none.
    pub dpop_jkt: String,
    /// The time of the request.
    pub now: Timestamp,
}

impl Rotation {
    /// [`ROTATE`] with this rotation's parameters, for a connection of sqlx.
    pub fn query<'q, DB>(&'q self) -> Query<'q, DB, DB::Arguments>
    where
        DB: Database,
        i64: Encode<'q, DB> + Type<DB>,
        Uuid: Encode<'q, DB> + Type<DB>,
        &'q str: Encode<'q, DB> + Type<DB>,
        &'q [u8]: Encode<'q, DB> + Type<DB>,
    {
        sqlx::query(ROTATE)
            .bind(self.now.millis())
            .bind(self.ip.as_str())
            .bind(self.user_agent.as_str())
            .bind(self.idle_expires_at.millis())
            .bind(self.family.uuid())
            .bind(i64::from(self.generation))
            .bind(self.secret_hash.as_bytes())
            .bind(self.client_id.as_str())
            .bind(self.client_version)
            .bind(self.dpop_jkt.as_str())
    }

    /// Binds this rotation's parameters to [`ROTATE`], prepared on a connection of rusqlite.
    ///
    /// # Errors
    /// When the statement has other parameters.
    pub fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, self.now.millis())?;
        statement.raw_bind_parameter(2, self.ip.as_str())?;
        statement.raw_bind_parameter(3, self.user_agent.as_str())?;
        statement.raw_bind_parameter(4, self.idle_expires_at.millis())?;
        statement.raw_bind_parameter(5, &self.family.uuid().as_bytes()[..])?;
        statement.raw_bind_parameter(6, self.generation)?;
        statement.raw_bind_parameter(7, self.secret_hash.as_bytes())?;
        statement.raw_bind_parameter(8, self.client_id.as_str())?;
        statement.raw_bind_parameter(9, self.client_version)?;
        statement.raw_bind_parameter(10, self.dpop_jkt.as_str())
    }

    /// Decides whether this rotation must fail because `other`, made no later than this one, has failed.
    pub(super) fn is_duplicate_of(&self, other: &Self) -> bool {
        self.now >= other.now
            && self.family == other.family
            && self.generation == other.generation
            && self.secret_hash == other.secret_hash
            && self.client_id == other.client_id
            && self.client_version == other.client_version
            && self.dpop_jkt == other.dpop_jkt
    }

    pub(super) fn grant(&self, row: RotatedRow) -> Result<Grant> {
        let scope = row.scope.parse().map_err(|()| Error::Inconsistent {
            table: "families",
            column: "scope",
            row: row.id.to_string(),
        })?;
        Ok(Grant {
            family: row.id,
            generation: self.generation + 1,
            user_id: row.user_id,
            user_epoch: row.user_epoch,
            scope,
            audience: row.audience,
            auth_time: row.auth_time,
            amr: row.amr,
            nonce: row.nonce,
            resources: resources(row.resources.as_deref()),
            expires_at: row.expires_at,
            ends_at: row.idle_expires_at,
        })
    }
}
