//! The claims about a user, and the scopes that ask for them (OpenID Connect Core §5.1, §5.4): one table.

use foundation::time::Timestamp;
use serde_json::{Map, Value, json};

/// The data about a user that claims are made of.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The name; the address if there is none.
    pub name: &'a str,
    /// The given name; empty if there is none.
    pub given_name: &'a str,
    /// The family name; empty if there is none.
    pub family_name: &'a str,
    /// The address.
    pub email: &'a str,
    /// Whether the user has proved to read mail at the address, or an operator has vouched for it.
    pub email_verified: bool,
    /// The tag of the chosen language; empty if none is chosen.
    pub language: &'a str,
    /// The name of the chosen time zone in the IANA database.
    pub zone: Option<&'static str>,
    /// The URL of the picture.
    pub picture: Option<&'a str>,
    /// Role names, separated by spaces.
    pub roles: &'a str,
    /// Names of groups, one a line.
    pub groups: &'a str,
    /// The time of the last change of these.
    pub updated_at: Timestamp,
}

/// A claim about a user.
#[derive(Debug)]
pub struct UserClaim {
    /// The name of the claim.
    pub name: &'static str,
    /// The scope that asks for it.
    pub scope: &'static str,
    /// Whether the scope puts it into ID tokens too. What is not there is at the `UserInfo` endpoint.
    pub in_id_token: bool,
    value: fn(&Person<'_>) -> Option<Value>,
}

const fn claim(
    name: &'static str,
    scope: &'static str,
    in_id_token: bool,
    value: fn(&Person<'_>) -> Option<Value>,
) -> UserClaim {
    UserClaim { name, scope, in_id_token, value }
}

/// Every claim about users.
pub const USER_CLAIMS: &[UserClaim] = &[
    claim("name", "profile", true, |person| Some(json!(person.name))),
    claim("given_name", "profile", true, |person| known(person.given_name)),
    claim("family_name", "profile", true, |person| known(person.family_name)),
    claim("preferred_username", "profile", true, |person| Some(json!(person.email))),
    claim("locale", "profile", true, |person| known(person.language)),
    claim("zoneinfo", "profile", true, |person| person.zone.map(|zone| json!(zone))),
    claim("picture", "profile", false, |person| person.picture.map(|url| json!(url))),
    claim("updated_at", "profile", false, |person| Some(json!(person.updated_at.secs()))),
    claim("email", "email", true, |person| Some(json!(person.email))),
    claim("email_verified", "email", true, |person| Some(json!(person.email_verified))),
    claim("roles", "roles", false, |person| {
        Some(json!(person.roles.split_whitespace().collect::<Vec<_>>()))
    }),
    claim("groups", "groups", false, |person| {
        Some(json!(person.groups.lines().collect::<Vec<_>>()))
    }),
];

fn known(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!(text))
}

/// The claims that are wanted and known.
pub fn about(person: &Person<'_>, wanted: impl Fn(&UserClaim) -> bool) -> Map<String, Value> {
    USER_CLAIMS
        .iter()
        .filter(|claim| wanted(claim))
        .filter_map(|claim| Some((claim.name.to_owned(), (claim.value)(person)?)))
        .collect()
}

/// Whether a scope is about a user, so that a client acting for itself has no use for it.
pub fn is_user_scope(name: &str) -> bool {
    super::client::DEFAULT_SCOPES.split(' ').any(|known| known == name)
        || USER_CLAIMS.iter().any(|claim| claim.scope == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_brings_its_claims_and_what_is_not_known_is_left_out() {
        let person = Person {
            name: "Ann",
            given_name: "",
            family_name: "",
            email: "ann@example.com",
            email_verified: true,
            language: "",
            zone: None,
            picture: None,
            roles: "admin auditor",
            groups: "Sales EMEA\nops",
            updated_at: Timestamp::from_millis(1_500),
        };
        let of = |scope: &str| Value::from(about(&person, |claim| claim.scope == scope));
        assert_eq!(
            of("profile"),
            json!({ "name": "Ann", "preferred_username": "ann@example.com", "updated_at": 1 })
        );
        assert_eq!(of("email"), json!({ "email": "ann@example.com", "email_verified": true }));
        assert_eq!(of("roles"), json!({ "roles": ["admin", "auditor"] }));
        assert_eq!(of("groups"), json!({ "groups": ["Sales EMEA", "ops"] }));
        assert_eq!(of("address"), json!({}));
        let french = Person { language: "fr", roles: "", groups: "", family_name: "Lee", ..person };
        assert_eq!(about(&french, |claim| claim.name == "family_name")["family_name"], "Lee");
        assert_eq!(about(&french, |claim| claim.name == "groups")["groups"], json!([]));
        assert_eq!(about(&french, |claim| claim.name == "locale")["locale"], "fr");
        assert_eq!(about(&french, |claim| claim.name == "roles")["roles"], json!([]));
    }

    #[test]
    fn scopes_of_users_are_told_from_those_of_apis() {
        for name in ["openid", "profile", "email", "offline_access", "roles", "groups"] {
            assert!(is_user_scope(name), "{name}");
        }
        assert!(!is_user_scope("notes:read"));
    }
}
