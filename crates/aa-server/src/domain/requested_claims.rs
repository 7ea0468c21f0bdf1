//! The `claims` parameter (OpenID Connect Core §5.5): single claims that a client asks for, beside those of its scope.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::claims::USER_CLAIMS;

/// Bytes of the parameter, at most.
const MAX_BYTES: usize = 4_096;

/// The place that a claim is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimTarget {
    /// The ID token.
    IdToken,
    /// The answer of the `UserInfo` endpoint.
    Userinfo,
}

/// The claims about the user that a request asks for by name. They are kept with the family.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestedClaims {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    id_token: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    userinfo: BTreeSet<String>,
}

impl RequestedClaims {
    /// Whether the claim of this name was asked for, there.
    pub fn asks(&self, target: ClaimTarget, name: &str) -> bool {
        self.names(target).contains(name)
    }

    /// Whether no claim was asked for, there.
    pub fn is_empty(&self, target: ClaimTarget) -> bool {
        self.names(target).is_empty()
    }

    fn names(&self, target: ClaimTarget) -> &BTreeSet<String> {
        match target {
            ClaimTarget::IdToken => &self.id_token,
            ClaimTarget::Userinfo => &self.userinfo,
        }
    }
}

/// The parameter: claims to be released, and conditions that the sign-in has to meet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimsParameter {
    /// The claims to be released.
    pub claims: RequestedClaims,
    /// The only users whom the client accepts, if it names any (`sub` with a value, §3.1.2.2).
    pub subjects: Option<Vec<String>>,
    /// The levels that the client wants, if it names any (`acr` with values, §5.5.1.1).
    pub acr_values: Option<Vec<String>>,
    /// Whether the request fails without one of these levels.
    pub acr_is_essential: bool,
}

/// The parameter is longer than 4 KiB, is no JSON, or is not built as §5.5 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("claims cannot be read")]
pub struct MalformedClaims;

impl ClaimsParameter {
    /// Reads the parameter. Members, claims and languages that are not known are left out, as §5.5 asks for; whether a claim
    /// is `essential` makes no difference but for `acr`, because what there is is released either way.
    ///
    /// # Errors
    /// [`MalformedClaims`].
    pub fn parse(text: &str) -> Result<Self, MalformedClaims> {
        if text.len() > MAX_BYTES {
            return Err(MalformedClaims);
        }
        // Nested 128 deep at most, or it is an error of the parser.
        let value: Value = serde_json::from_str(text).map_err(|_| MalformedClaims)?;
        let parameter = value.as_object().ok_or(MalformedClaims)?;
        let id_token = read_member(parameter, "id_token")?;
        let userinfo = read_member(parameter, "userinfo")?;
        let find = |name: &str| id_token.iter().find(|claim| claim.name == name);
        let acr = find("acr");
        let subjects = [find("sub"), userinfo.iter().find(|claim| claim.name == "sub")];
        Ok(Self {
            subjects: both(subjects.map(|sub| sub.and_then(|claim| claim.values.clone()))),
            acr_values: acr.and_then(|claim| claim.values.clone()),
            acr_is_essential: acr.is_some_and(|claim| claim.essential),
            claims: RequestedClaims {
                id_token: known_names(&id_token),
                userinfo: known_names(&userinfo),
            },
        })
    }
}

/// A claim of the parameter. Of its values only texts count.
struct ClaimRequest {
    name: String,
    essential: bool,
    values: Option<Vec<String>>,
}

fn read_member(
    parameter: &Map<String, Value>,
    name: &str,
) -> Result<Vec<ClaimRequest>, MalformedClaims> {
    match parameter.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(claims)) => claims.iter().map(read_claim).collect(),
        Some(_) => Err(MalformedClaims),
    }
}

fn read_claim((name, request): (&String, &Value)) -> Result<ClaimRequest, MalformedClaims> {
    let members = match request {
        Value::Null => &Map::new(),
        Value::Object(members) => members,
        _ => return Err(MalformedClaims),
    };
    let essential = match members.get("essential") {
        None => false,
        Some(essential) => essential.as_bool().ok_or(MalformedClaims)?,
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let values = match (members.get("value"), members.get("values")) {
        (None, None) => None,
        (Some(value), None) => Some(text(value).into_iter().collect()),
        (None, Some(Value::Array(values))) if !values.is_empty() => {
            Some(values.iter().filter_map(text).collect())
        }
        _ => return Err(MalformedClaims),
    };
    Ok(ClaimRequest { name: name.clone(), essential, values })
}

/// The values that both lists have, where both are there.
fn both([one, other]: [Option<Vec<String>>; 2]) -> Option<Vec<String>> {
    match (one, other) {
        (Some(one), Some(other)) => {
            Some(one.into_iter().filter(|value| other.contains(value)).collect())
        }
        (one, other) => one.or(other),
    }
}

fn known_names(claims: &[ClaimRequest]) -> BTreeSet<String> {
    let names = claims.iter().map(|claim| &claim.name);
    names.filter(|name| USER_CLAIMS.iter().any(|claim| claim.name == **name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_asked_for_in_their_place() {
        let read = ClaimsParameter::parse(
            r#"{"userinfo": {"email": {"essential": true}, "name": null, "name#de": null, "shoe_size": null},
                "id_token": {"locale": {"value": "de"}, "auth_time": {"essential": true}}, "other": [1]}"#,
        )
        .unwrap();
        let asks = |target, name| read.claims.asks(target, name);
        assert!(asks(ClaimTarget::Userinfo, "email") && asks(ClaimTarget::Userinfo, "name"));
        assert!(asks(ClaimTarget::IdToken, "locale") && !asks(ClaimTarget::IdToken, "email"));
        let kept = serde_json::to_string(&read.claims).unwrap();
        assert_eq!(kept, r#"{"id_token":["locale"],"userinfo":["email","name"]}"#);
        assert_eq!(serde_json::from_str::<RequestedClaims>(&kept).unwrap(), read.claims);
        assert_eq!((read.subjects, read.acr_values, read.acr_is_essential), (None, None, false));
    }

    #[test]
    fn subjects_and_levels_are_conditions() {
        let read = |text: &str| ClaimsParameter::parse(text).unwrap();
        let one =
            read(r#"{"id_token": {"sub": {"value": "ann"}, "acr": {"values": ["aal2", 7]}}}"#);
        assert_eq!(one.subjects, Some(vec!["ann".to_owned()]));
        assert_eq!((one.acr_values, one.acr_is_essential), (Some(vec!["aal2".to_owned()]), false));
        let essential = read(r#"{"id_token": {"acr": {"essential": true, "value": "aal2"}}}"#);
        assert!(essential.acr_is_essential);
        let both = r#"{"id_token": {"sub": {"values": ["ann", "ben"]}}, "userinfo": {"sub": {"value": "ben"}}}"#;
        assert_eq!(read(both).subjects, Some(vec!["ben".to_owned()]));
        let no_user = read(r#"{"id_token": {"sub": {"value": 7}}}"#);
        assert_eq!(no_user.subjects, Some(Vec::new()), "no user has a number");
    }

    #[test]
    fn what_is_not_built_as_the_standard_has_it_is_refused() {
        for text in [
            "",
            "[]",
            "null",
            "{",
            r#"{"id_token": []}"#,
            r#"{"id_token": "email"}"#,
            r#"{"id_token": {"email": true}}"#,
            r#"{"id_token": {"email": [true]}}"#,
            r#"{"userinfo": {"email": {"essential": "true"}}}"#,
            r#"{"id_token": {"sub": {"values": []}}}"#,
            r#"{"id_token": {"sub": {"values": "ann"}}}"#,
            r#"{"id_token": {"sub": {"value": "ann", "values": ["ben"]}}}"#,
        ] {
            assert_eq!(ClaimsParameter::parse(text), Err(MalformedClaims), "{text}");
        }
        let deep = format!(r#"{{"x": {}{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
        assert_eq!(ClaimsParameter::parse(&deep), Err(MalformedClaims));
        let long = format!(r#"{{"x": "{}"}}"#, "x".repeat(MAX_BYTES));
        assert_eq!(ClaimsParameter::parse(&long), Err(MalformedClaims));
    }
}
