use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ended_set::Ids;
use crate::{Actor, Claims};

/// What tells which ends concern a session of an app: ids and times of its newest application token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionIdentity {
    sub: String,
    sid: Option<Uuid>,
    #[serde(default)]
    user_epoch: Option<i64>,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
    iat: i64,
    exp: i64,
}

impl SessionIdentity {
    /// Reads an application token that the authority's token endpoint has sent, and whose signature is therefore not
    /// verified. `None` for a token of another form.
    pub fn of_received(token: &str) -> Option<Self> {
        let (_, rest) = token.split_once('.')?;
        let (payload, _) = rest.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// The family.
    pub fn sid(&self) -> Option<Uuid> {
        self.sid
    }

    /// Time at which the token expires, in Unix seconds.
    pub fn expires_at(&self) -> i64 {
        self.exp
    }
}

impl From<&Claims> for SessionIdentity {
    fn from(claims: &Claims) -> Self {
        Self {
            sub: claims.sub.to_string(),
            sid: claims.sid,
            user_epoch: claims.user_epoch,
            client_id: claims.client_id.clone(),
            act: claims.act.clone(),
            iat: claims.iat,
            exp: claims.exp,
        }
    }
}

impl<'a> From<&'a SessionIdentity> for Ids<'a> {
    fn from(session: &'a SessionIdentity) -> Self {
        Self {
            user: Uuid::try_parse(&session.sub).ok(),
            sid: session.sid,
            user_epoch: session.user_epoch,
            client_id: &session.client_id,
            act: session.act.as_ref(),
            iat: session.iat,
        }
    }
}
