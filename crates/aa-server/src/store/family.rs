use foundation::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokens::Scope;

use crate::domain::audience::GrantedAudience;
use crate::domain::family::FamilyState;
use crate::domain::ids::{BrowserId, FamilyId, UserId};
use crate::domain::refresh_token::SecretHash;
use crate::domain::requested_claims::RequestedClaims;

/// The state of a family after a rotation, from which its tokens are issued.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The family.
    pub family: FamilyId,
    /// The generation of its newest token.
    pub generation: u32,
    /// The user who delegated.
    pub user_id: UserId,
    /// The epoch of the user that it belongs to.
    pub user_epoch: i64,
    /// The granted scope.
    pub scope: Scope,
    /// The audience of its application tokens for which the client names none.
    pub audience: String,
    /// The time at which the user signed in.
    pub auth_time: Timestamp,
    /// Authentication methods, separated by spaces.
    pub amr: String,
    /// The client's nonce, for the ID token.
    pub nonce: Option<String>,
    /// The audiences that the authorization request named.
    pub resources: Vec<String>,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// The time of its end if it is not used again.
    pub ends_at: Timestamp,
}

/// A family, and whether it is live with its user, session and client.
#[derive(Debug, Clone)]
pub struct Family {
    /// The id: the family token.
    pub id: FamilyId,
    /// The hash of the secret in its tokens.
    pub secret_hash: SecretHash,
    /// The user who delegated.
    pub user_id: UserId,
    /// The epoch of the user that it belongs to.
    pub user_epoch: i64,
    /// The client it is for.
    pub client_id: String,
    /// The browser it was opened in.
    pub browser_id: BrowserId,
    /// The granted scope.
    pub scope: Scope,
    /// The audience of its application tokens for which the client names none.
    pub audience: String,
    /// The time at which the user signed in.
    pub auth_time: Timestamp,
    /// Authentication methods, separated by spaces.
    pub amr: String,
    /// The redirect URI that the delegation token was sent to.
    pub redirect_uri: String,
    /// Base64url SHA-256 of the PKCE verifier; none where the client does without PKCE.
    pub code_challenge: Option<String>,
    /// The client's nonce, for the ID token.
    pub nonce: Option<String>,
    /// The audiences that the authorization request named.
    pub resources: Vec<String>,
    /// The claims that the authorization request asked for by name.
    pub requested_claims: RequestedClaims,
    /// The address that its newest token was issued to.
    pub rotated_ip: String,
    /// The user agent that its newest token was issued to.
    pub rotated_user_agent: String,
    /// The places of a token that was answered within its grace although its successor had gone elsewhere.
    pub grace_elsewhere: Option<GraceElsewhere>,
    /// The thumbprint of the key that its newest token is bound to (RFC 9449).
    pub dpop_jkt: Option<String>,
    /// The state that the rules decide by.
    pub state: FamilyState,
}

/// A refresh token that was used from two places within its grace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraceElsewhere {
    /// The generation of its successor.
    pub generation: u32,
    /// The place that the successor was issued to first.
    pub first: Place,
    /// The place that it was issued to again.
    pub second: Place,
}

/// Two uses of one token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TwoPlaces {
    /// The place of the first use.
    pub first: Place,
    /// The place of the second use.
    pub second: Place,
}

/// An address and a user agent at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The address.
    pub ip: String,
    /// The user agent.
    pub user_agent: String,
    /// The time, as RFC 3339.
    pub at: String,
}

impl Grant {
    /// The audiences that an application token may be for.
    pub fn granted_audience(&self) -> GrantedAudience<'_> {
        GrantedAudience { default: &self.audience, named: &self.resources }
    }
}

impl Family {
    /// The audiences that an application token may be for.
    pub fn granted_audience(&self) -> GrantedAudience<'_> {
        GrantedAudience { default: &self.audience, named: &self.resources }
    }
}

/// The lines of the column `resources`. No audience has a line break.
pub(super) fn resources(column: Option<&str>) -> Vec<String> {
    column.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}

impl From<Family> for Grant {
    fn from(family: Family) -> Self {
        Self {
            family: family.id,
            generation: family.state.generation,
            user_id: family.user_id,
            user_epoch: family.user_epoch,
            scope: family.scope,
            audience: family.audience,
            auth_time: family.auth_time,
            amr: family.amr,
            nonce: family.nonce,
            resources: family.resources,
            expires_at: family.state.expires_at,
            ends_at: family.state.ends_at(),
        }
    }
}
