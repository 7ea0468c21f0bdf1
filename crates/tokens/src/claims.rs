use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Reject, Scope, strict_json};

/// The claims of an application token (RFC 9068 §2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The issuer: the authority.
    pub iss: String,
    /// The subject: a user, or the client itself.
    pub sub: Subject,
    /// The audience. The authority writes one; several are accepted.
    #[serde(serialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// The client that the token was issued to.
    pub client_id: String,
    /// Time of issue, in Unix seconds.
    pub iat: i64,
    /// Expiry, in Unix seconds.
    pub exp: i64,
    /// Start of validity, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The unique id of the token.
    pub jti: String,
    /// The family (session) that the token was issued from; none for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// The number of times that all sessions of the user had been ended before this family began; none for a service, or in
    /// a token of an older authority. The end of a user's sessions concerns the tokens of smaller epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_epoch: Option<i64>,
    /// The granted scopes.
    pub scope: Scope,
    /// Time of the user's sign-in, in Unix seconds; none for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// Methods used at the sign-in (RFC 8176); none for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// The key that the token is bound to (RFC 9449 §6); none in a bearer token. `Guard` checks that the request proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// The party acting for the subject, after a token exchange (RFC 8693 §4.1): a client by its id, then those before it, and
    /// last the client whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The user's roles, for clients configured to receive them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The user's e-mail address, for clients configured to receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user's name, for clients configured to receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The key that a token is bound to (RFC 7800 §3.1), by its thumbprint (RFC 9449 §6.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The thumbprint of the public key (RFC 7638 with SHA-256).
    pub jkt: String,
}

/// The subject of a token (`sub`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, by id.
    User(Uuid),
    /// A service acting for itself: `app:` and its `client_id`.
    App(String),
}

impl Subject {
    /// The id of the user; `None` for a service.
    pub fn user(&self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(*id),
            Self::App(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::App(client_id) => write!(f, "app:{client_id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_prefix("app:") {
            Some("") => Err(()),
            Some(client_id) => Ok(Self::App(client_id.to_owned())),
            None => Uuid::try_parse(text).map(Self::User).map_err(|_| ()),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The party acting for the subject (RFC 8693 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The subject identifier of the acting party.
    pub sub: String,
    /// The `client_id` of the acting party.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The party that acted before it in the chain of delegation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

impl Actor {
    /// The party itself, and those that acted before it, the latest first.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |actor| actor.act.as_deref())
    }
}

fn one_or_many<S: Serializer>(aud: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match aud {
        [one] => one.serialize(serializer),
        many => many.serialize(serializer),
    }
}

/// The claims as the authority writes them, borrowed from the JSON: known members only, none twice, no escapes.
/// Any other JSON is left to [`Claims::from_object`], which also names the fault.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    #[serde(default, deserialize_with = "not_null")]
    nbf: Option<i64>,
    jti: &'a str,
    #[serde(default, deserialize_with = "not_null")]
    sid: Option<&'a str>,
    #[serde(default, deserialize_with = "not_null")]
    user_epoch: Option<i64>,
    scope: &'a str,
    #[serde(default, deserialize_with = "not_null")]
    auth_time: Option<i64>,
    #[serde(default, deserialize_with = "not_null")]
    amr: Option<Vec<String>>,
    #[serde(default, deserialize_with = "not_null")]
    cnf: Option<Confirmation>,
    #[serde(default, deserialize_with = "not_null")]
    roles: Option<Vec<String>>,
    #[serde(default, deserialize_with = "not_null")]
    email: Option<&'a str>,
    #[serde(default, deserialize_with = "not_null")]
    name: Option<&'a str>,
}

/// Deserializes a member that, if present, must not be `null`.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl PlainClaims<'_> {
    fn into_claims(self) -> Option<Claims> {
        let not_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let sub: Subject = self.sub.parse().ok()?;
        let has_sign_in = self.sid.is_some() && self.auth_time.is_some() && self.amr.is_some();
        if sub.user().is_some() && !has_sign_in {
            return None;
        }
        Some(Claims {
            iss: not_empty(self.iss)?,
            sub,
            aud: vec![self.aud.to_owned()],
            client_id: not_empty(self.client_id)?,
            iat: self.iat,
            exp: self.exp,
            nbf: self.nbf,
            jti: not_empty(self.jti)?,
            sid: self.sid.map(Uuid::try_parse).transpose().ok()?,
            user_epoch: self.user_epoch,
            scope: self.scope.parse().ok()?,
            auth_time: self.auth_time,
            amr: self.amr,
            cnf: self.cnf,
            act: None,
            roles: self.roles,
            email: self.email.map(str::to_owned),
            name: self.name.map(str::to_owned),
        })
    }
}

impl Claims {
    /// Parses claims; JSON with duplicate members is rejected.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Reject> {
        let text = std::str::from_utf8(json).ok();
        let plain = text.and_then(|text| serde_json::from_str::<PlainClaims<'_>>(text).ok());
        match plain.and_then(PlainClaims::into_claims) {
            Some(claims) => Ok(claims),
            None => Self::from_object(&strict_json::parse_object(json)?),
        }
    }

    /// Converts a JSON object. A required claim that is missing, and any claim of the wrong type, is rejected.
    fn from_object(json: &Map<String, Value>) -> Result<Self, Reject> {
        let claims = ClaimsReader(json);
        let sub: Subject = claims.text("sub")?.parse().map_err(|()| Reject::InvalidClaim("sub"))?;
        let sid = claims.optional("sid", |value| Uuid::try_parse(value.as_str()?).ok())?;
        let auth_time = claims.optional("auth_time", Value::as_i64)?;
        let amr = claims.optional("amr", string_list)?;
        if sub.user().is_some() {
            sid.ok_or(Reject::MissingClaim("sid"))?;
            auth_time.ok_or(Reject::MissingClaim("auth_time"))?;
            amr.as_ref().ok_or(Reject::MissingClaim("amr"))?;
        }
        Ok(Self {
            iss: claims.text("iss")?.to_owned(),
            sub,
            aud: claims.required("aud", audience)?,
            client_id: claims.text("client_id")?.to_owned(),
            iat: claims.required("iat", Value::as_i64)?,
            exp: claims.required("exp", Value::as_i64)?,
            nbf: claims.optional("nbf", Value::as_i64)?,
            jti: claims.text("jti")?.to_owned(),
            sid,
            user_epoch: claims.optional("user_epoch", Value::as_i64)?,
            scope: claims.required("scope", |value| value.as_str()?.parse().ok())?,
            auth_time,
            amr,
            // A confirmation of another kind is not ignored: the token would count as a bearer token.
            cnf: claims.optional("cnf", |value| Confirmation::deserialize(value).ok())?,
            act: claims.optional("act", |value| Actor::deserialize(value).ok())?,
            roles: claims.optional("roles", string_list)?,
            email: claims.optional("email", |value| Some(value.as_str()?.to_owned()))?,
            name: claims.optional("name", |value| Some(value.as_str()?.to_owned()))?,
        })
    }
}

/// Reads claims from a JSON object by name and type.
struct ClaimsReader<'a>(&'a Map<String, Value>);

impl<'a> ClaimsReader<'a> {
    fn optional<T>(
        &self,
        name: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Reject> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(Reject::InvalidClaim(name)),
        }
    }

    fn required<T>(
        &self,
        name: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T, Reject> {
        self.optional(name, read)?.ok_or(Reject::MissingClaim(name))
    }

    fn text(&self, name: &'static str) -> Result<&'a str, Reject> {
        self.required(name, |value| value.as_str().filter(|text| !text.is_empty()))
    }
}

fn string_list(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Reads `aud`: one string, or an array of at least one (RFC 7519 §4.1.3).
fn audience(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        many => string_list(many).filter(|list| !list.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;

    fn parse_strictly(json: &[u8]) -> Result<Claims, Reject> {
        Claims::from_object(&strict_json::parse_object(json)?)
    }

    /// Values that claims have, and values that they must not have.
    fn value() -> impl Strategy<Value = Value> {
        select(vec![
            json!("text"),
            json!(""),
            json!("quo\"te"),
            json!("app:worker"),
            json!("0190a0a0-0000-7000-8000-000000000001"),
            json!(1),
            json!(-1),
            json!(1.0),
            json!(u64::MAX),
            json!(null),
            json!(true),
            json!([]),
            json!(["pwd", "otp"]),
            json!([1]),
            json!({ "sub": "x" }),
            json!({ "jkt": "x" }),
            json!({ "jkt": "x", "x5t#S256": "y" }),
        ])
    }

    const NAMES: [&str; 19] = [
        "iss",
        "sub",
        "aud",
        "client_id",
        "iat",
        "exp",
        "nbf",
        "jti",
        "sid",
        "user_epoch",
        "scope",
        "auth_time",
        "amr",
        "cnf",
        "act",
        "roles",
        "email",
        "name",
        "more",
    ];

    proptest! {
        /// The fast path and the strict one give the same claims, or the same reason.
        #[test]
        fn both_parsers_agree(
            changes in prop::collection::vec((select(NAMES.to_vec()), prop::option::of(value())), 0..4),
            duplicate in prop::option::of(select(NAMES.to_vec())),
            space in select(vec!["", " "]),
        ) {
            let mut claims = json!({
                "iss": "i", "sub": "0190a0a0-0000-7000-8000-000000000001", "aud": "a", "client_id": "c",
                "iat": 1, "exp": 2, "jti": "j", "sid": "0190a0a0-0000-7000-8000-000000000002",
                "user_epoch": 3, "scope": "a b", "auth_time": 1, "amr": ["pwd"], "email": "e", "roles": ["admin"],
            });
            for (name, value) in changes {
                match value {
                    Some(value) => claims[name] = value,
                    None => drop(claims.as_object_mut().unwrap().remove(name)),
                }
            }
            let mut text = claims.to_string();
            if let Some(name) = duplicate {
                text = text.replacen('{', &format!("{{\"{name}\":{space}1,"), 1);
            }
            prop_assert_eq!(Claims::parse(text.as_bytes()), parse_strictly(text.as_bytes()), "{}", text);
        }
    }
}
