use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Reject, strict_json};

/// The claims of an application token (RFC 9068 §2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The authority that issued it.
    pub iss: String,
    /// Who it speaks for.
    pub sub: Subject,
    /// Whom it is for. The authority writes one; a reader accepts several.
    #[serde(serialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// The app it was issued to.
    pub client_id: String,
    /// When it was issued, in Unix seconds.
    pub iat: i64,
    /// When it stops being valid, in Unix seconds.
    pub exp: i64,
    /// When it starts being valid, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Its unique id.
    pub jti: String,
    /// The family (session) it was made from; none for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// What it allows.
    pub scope: Scope,
    /// When the person signed in, in Unix seconds; none for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How the person signed in (RFC 8176); none for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// Who acts for the subject, after a token exchange (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The person's roles, for apps that are set to receive them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The person's e-mail address, for apps that are set to receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The person's name, for apps that are set to receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A person.
    User(Uuid),
    /// A service, by its `client_id`.
    App(String),
}

impl Subject {
    /// The person, if it is one.
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

/// A list of scope names (RFC 6749 §3.3), in order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope(String);

impl Scope {
    /// Whether this scope is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|scope| scope == name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|name| !name.is_empty())
    }

    /// The names, separated by single spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every one of these is in `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|name| other.contains(name))
    }

    /// Those names for which `keep` answers true.
    #[must_use]
    pub fn retain(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept: Vec<&str> = self.iter().filter(|name| keep(name)).collect();
        Self(kept.join(" "))
    }
}

impl FromStr for Scope {
    type Err = ();

    /// Names are separated by single spaces; repeated ones count once. The empty text is the empty list.
    fn from_str(text: &str) -> Result<Self, ()> {
        let valid = |byte: u8| {
            byte == 0x21 || (0x23..=0x5b).contains(&byte) || (0x5d..=0x7e).contains(&byte)
        };
        // Each name, and where it begins: whether one is repeated is looked for in what stands before it.
        let mut start = 0;
        let mut repeated = false;
        for name in text.split(' ').filter(|_| !text.is_empty()) {
            if name.is_empty() || !name.bytes().all(valid) {
                return Err(());
            }
            repeated |= text[..start].split(' ').any(|before| before == name);
            start += name.len() + 1;
        }
        if !repeated {
            return Ok(Self(text.to_owned()));
        }
        let mut names: Vec<&str> = Vec::new();
        for name in text.split(' ') {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(Self(names.join(" ")))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Who acts for the subject (RFC 8693 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The acting party.
    pub sub: String,
    /// The `client_id` of the acting party.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Who acted before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

fn one_or_many<S: Serializer>(aud: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match aud {
        [one] => one.serialize(serializer),
        many => many.serialize(serializer),
    }
}

/// Claims as the authority writes them, read without a copy: nothing but what is known, no member twice, no escapes.
/// Whatever is not so plain is read by [`Claims::read`], which says what is wrong with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    #[serde(default, deserialize_with = "there")]
    nbf: Option<i64>,
    jti: &'a str,
    #[serde(default, deserialize_with = "there")]
    sid: Option<&'a str>,
    scope: &'a str,
    #[serde(default, deserialize_with = "there")]
    auth_time: Option<i64>,
    #[serde(default, deserialize_with = "there")]
    amr: Option<Vec<String>>,
    #[serde(default, deserialize_with = "there")]
    roles: Option<Vec<String>>,
    #[serde(default, deserialize_with = "there")]
    email: Option<&'a str>,
    #[serde(default, deserialize_with = "there")]
    name: Option<&'a str>,
}

/// A value that is not `null`.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl Plain<'_> {
    fn into_claims(self) -> Option<Claims> {
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let sub: Subject = self.sub.parse().ok()?;
        let of_a_person = self.sid.is_some() && self.auth_time.is_some() && self.amr.is_some();
        if sub.user().is_some() && !of_a_person {
            return None;
        }
        Some(Claims {
            iss: filled(self.iss)?,
            sub,
            aud: vec![self.aud.to_owned()],
            client_id: filled(self.client_id)?,
            iat: self.iat,
            exp: self.exp,
            nbf: self.nbf,
            jti: filled(self.jti)?,
            sid: self.sid.map(Uuid::try_parse).transpose().ok()?,
            scope: self.scope.parse().ok()?,
            auth_time: self.auth_time,
            amr: self.amr,
            act: None,
            roles: self.roles,
            email: self.email.map(str::to_owned),
            name: self.name.map(str::to_owned),
        })
    }
}

impl Claims {
    /// Reads claims from JSON without duplicate members.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Reject> {
        let text = std::str::from_utf8(json).ok();
        let plain = text.and_then(|text| serde_json::from_str::<Plain<'_>>(text).ok());
        match plain.and_then(Plain::into_claims) {
            Some(claims) => Ok(claims),
            None => Self::read(&strict_json::parse_object(json)?),
        }
    }

    /// Reads claims by type. What is missing or of the wrong type is refused, never defaulted.
    fn read(json: &Map<String, Value>) -> Result<Self, Reject> {
        let claims = Reader(json);
        let sub: Subject = claims.text("sub")?.parse().map_err(|()| Reject::InvalidClaim("sub"))?;
        let sid = claims.optional("sid", |value| Uuid::try_parse(value.as_str()?).ok())?;
        let auth_time = claims.optional("auth_time", Value::as_i64)?;
        let amr = claims.optional("amr", strings)?;
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
            scope: claims.required("scope", |value| value.as_str()?.parse().ok())?,
            auth_time,
            amr,
            act: claims.optional("act", |value| Actor::deserialize(value).ok())?,
            roles: claims.optional("roles", strings)?,
            email: claims.optional("email", |value| Some(value.as_str()?.to_owned()))?,
            name: claims.optional("name", |value| Some(value.as_str()?.to_owned()))?,
        })
    }
}

struct Reader<'a>(&'a Map<String, Value>);

impl<'a> Reader<'a> {
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

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// One string or an array of strings (RFC 7519 §4.1.3).
fn audience(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        many => strings(many).filter(|list| !list.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;

    fn slowly(json: &[u8]) -> Result<Claims, Reject> {
        Claims::read(&strict_json::parse_object(json)?)
    }

    /// What stands in claims, and what better did not.
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
        ])
    }

    const NAMES: [&str; 17] = [
        "iss",
        "sub",
        "aud",
        "client_id",
        "iat",
        "exp",
        "nbf",
        "jti",
        "sid",
        "scope",
        "auth_time",
        "amr",
        "act",
        "roles",
        "email",
        "name",
        "more",
    ];

    proptest! {
        /// Both ways of reading give the same claims, or the same reason.
        #[test]
        fn plain_claims_are_read_alike(
            changes in prop::collection::vec((select(NAMES.to_vec()), prop::option::of(value())), 0..4),
            twice in prop::option::of(select(NAMES.to_vec())),
            space in select(vec!["", " "]),
        ) {
            let mut claims = json!({
                "iss": "i", "sub": "0190a0a0-0000-7000-8000-000000000001", "aud": "a", "client_id": "c",
                "iat": 1, "exp": 2, "jti": "j", "sid": "0190a0a0-0000-7000-8000-000000000002",
                "scope": "a b", "auth_time": 1, "amr": ["pwd"], "email": "e", "roles": ["admin"],
            });
            for (name, value) in changes {
                match value {
                    Some(value) => claims[name] = value,
                    None => drop(claims.as_object_mut().unwrap().remove(name)),
                }
            }
            let mut text = claims.to_string();
            if let Some(name) = twice {
                text = text.replacen('{', &format!("{{\"{name}\":{space}1,"), 1);
            }
            prop_assert_eq!(Claims::parse(text.as_bytes()), slowly(text.as_bytes()), "{}", text);
        }
    }
}
