//! JSON whose objects have no duplicate members at any depth (RFC 7515 §4, RFC 8725 §3.10).
//!
//! Parsers differ in which duplicate they keep, `serde_json` keeps the last: two of them could read different values
//! from one token.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The reason that a text is not strict JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StrictJsonError {
    Malformed,
    DuplicateMember,
}

const DUPLICATE: &str = "duplicate member";

/// Parses a text that is a single JSON object.
pub(crate) fn parse_object(text: &[u8]) -> Result<Map<String, Value>, StrictJsonError> {
    match serde_json::from_slice::<Strict>(text) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Err(error) if error.to_string().starts_with(DUPLICATE) => {
            Err(StrictJsonError::DuplicateMember)
        }
        Ok(_) | Err(_) => Err(StrictJsonError::Malformed),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let Strict(value) = access.next_value()?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_members_are_rejected_at_every_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[{"b":1,"\u0062":2}]}"#]
        {
            assert_eq!(parse_object(text.as_bytes()), Err(StrictJsonError::DuplicateMember));
        }
    }

    #[test]
    fn only_a_single_object_is_accepted() {
        assert!(parse_object(br#"{"a":{"a":[1,-1,1.5,"x",null,true]}}"#).is_ok());
        for text in ["", "[]", "1", "null", "{} {}", "{\"a\":1,}", "{\"a\":NaN}", "{'a':1}"] {
            assert_eq!(parse_object(text.as_bytes()), Err(StrictJsonError::Malformed), "{text}");
        }
        assert_eq!(
            parse_object("[".repeat(100_000).as_bytes()),
            Err(StrictJsonError::Malformed),
            "deep nesting neither overflows the stack nor passes"
        );
    }
}
