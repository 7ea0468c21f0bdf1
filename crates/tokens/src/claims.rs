use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Reject;

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
pub struct Scope(Vec<String>);

impl Scope {
    /// Whether this scope is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|scope| scope == name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether every one of these is in `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|name| other.contains(name))
    }

    /// Those names for which `keep` answers true.
    #[must_use]
    pub fn retain(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|name| keep(name)).cloned().collect())
    }
}

impl FromStr for Scope {
    type Err = ();

    /// Names are separated by single spaces; repeated ones count once. The empty text is the empty list.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut names: Vec<String> = Vec::new();
        if text.is_empty() {
            return Ok(Self(names));
        }
        for name in text.split(' ') {
            let valid = |byte: u8| {
                byte == 0x21 || (0x23..=0x5b).contains(&byte) || (0x5d..=0x7e).contains(&byte)
            };
            if name.is_empty() || !name.bytes().all(valid) {
                return Err(());
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok(Self(names))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

impl Claims {
    /// Reads claims by type. What is missing or of the wrong type is refused, never defaulted.
    pub(crate) fn read(json: &Map<String, Value>) -> Result<Self, Reject> {
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
