//! Ends that an authority publishes before the tokens they concern have expired (contract §3, `GET /revocations`).
//!
//! The authority writes these types, followers read them. Members that a follower does not know are ignored; an end of
//! a kind that it does not know is not, because it could not apply it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An end, with all that is needed to tell which tokens it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The tokens that it concerns.
    #[serde(flatten)]
    pub of: Revoked,
    /// The reason, as the authority stores it: `signed_out`, `revoked_by_user` and so on.
    pub reason: String,
    /// Time of the end, in Unix seconds.
    pub ended_at: i64,
    /// Time from which no token that it concerns can be valid any more, in Unix seconds. A verifier adds its leeway.
    pub until: i64,
}

/// The tokens that an end concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Revoked {
    /// Tokens of these families.
    Families {
        /// The families: the claim `sid`.
        sids: Vec<Uuid>,
    },
    /// Tokens of a user whose `user_epoch` is not greater than `epoch`, or missing.
    User {
        /// The user: the claim `sub`.
        sub: Uuid,
        /// The epoch that ended.
        epoch: i64,
        /// Families that stay, with all their tokens.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except: Vec<Uuid>,
    },
    /// Tokens of a client that were issued before a time.
    Client {
        /// The client: the claim `client_id`.
        client_id: String,
        /// The time, in Unix seconds: the claim `iat` is smaller.
        issued_before: i64,
    },
    /// All tokens that were issued before a time.
    Everything {
        /// The time, in Unix seconds: the claim `iat` is smaller.
        issued_before: i64,
    },
}

/// The answer of `GET /revocations` as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// The position after the last end: `after` of the next request.
    pub cursor: String,
    /// True when the position that was asked for is not known any more. The list then has everything that can still matter.
    #[serde(default)]
    pub start_over: bool,
    /// The ends, oldest first.
    pub revocations: Vec<Revocation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_the_form_that_the_contract_gives_them() {
        let sid = Uuid::from_u128(1);
        let revocation = |of| Revocation {
            of,
            reason: "signed_out".to_owned(),
            ended_at: 1_800_000_000,
            until: 1_800_000_330,
        };
        let cases = [
            (
                revocation(Revoked::Families { sids: vec![sid] }),
                r#"{"type":"families","sids":["00000000-0000-0000-0000-000000000001"],"reason":"signed_out","ended_at":1800000000,"until":1800000330}"#,
            ),
            (
                revocation(Revoked::User { sub: sid, epoch: 2, except: Vec::new() }),
                r#"{"type":"user","sub":"00000000-0000-0000-0000-000000000001","epoch":2,"reason":"signed_out","ended_at":1800000000,"until":1800000330}"#,
            ),
            (
                revocation(Revoked::Client { client_id: "bff".to_owned(), issued_before: 7 }),
                r#"{"type":"client","client_id":"bff","issued_before":7,"reason":"signed_out","ended_at":1800000000,"until":1800000330}"#,
            ),
            (
                revocation(Revoked::Everything { issued_before: 7 }),
                r#"{"type":"everything","issued_before":7,"reason":"signed_out","ended_at":1800000000,"until":1800000330}"#,
            ),
        ];
        for (revocation, json) in cases {
            assert_eq!(serde_json::to_string(&revocation).unwrap(), json);
            assert_eq!(serde_json::from_str::<Revocation>(json).unwrap(), revocation);
        }
        let unknown = r#"{"type":"planet","reason":"x","ended_at":1,"until":2}"#;
        assert!(serde_json::from_str::<Revocation>(unknown).is_err());
    }
}
