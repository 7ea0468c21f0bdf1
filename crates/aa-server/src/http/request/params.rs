//! Form-encoded parameters, of a query or a body, each at most once (RFC 6749 §3.1).

use url::form_urlencoded;

/// The most parameters one request may have.
const MAX_PARAMS: usize = 64;
/// The longest value, in bytes.
const MAX_VALUE: usize = 8 * 1024;

/// Parameters in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

/// Why parameters cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParams {
    /// More than 64, or a value longer than 8 KiB.
    #[error("there are too many parameters, or one is too long")]
    TooMuch,
    /// Not UTF-8, or with a character that no parameter has.
    #[error("a parameter is not valid text")]
    NotText,
    /// One of them is there twice.
    #[error("the parameter `{0}` is there more than once")]
    Repeated(&'static str),
    /// One of them must be there.
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
}

impl Params {
    /// Reads form-encoded text.
    ///
    /// # Errors
    /// [`BadParams::TooMuch`], [`BadParams::NotText`].
    pub fn parse(text: &[u8]) -> Result<Self, BadParams> {
        let mut params = Vec::new();
        for (name, value) in form_urlencoded::parse(text) {
            if params.len() == MAX_PARAMS || value.len() > MAX_VALUE || name.len() > MAX_VALUE {
                return Err(BadParams::TooMuch);
            }
            // The parser replaces what is not UTF-8. A database cannot keep a NUL in a text.
            if name.contains(['\u{fffd}', '\0']) || value.contains(['\u{fffd}', '\0']) {
                return Err(BadParams::NotText);
            }
            params.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(params))
    }

    /// A parameter's value. An empty one counts as left out (RFC 6749 §3.1).
    ///
    /// # Errors
    /// [`BadParams::Repeated`].
    pub fn get(&self, name: &'static str) -> Result<Option<&str>, BadParams> {
        let mut found = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let value = found.next();
        if found.next().is_some() {
            return Err(BadParams::Repeated(name));
        }
        Ok(value.map(String::as_str).filter(|value| !value.is_empty()))
    }

    /// Every value of a parameter that may be there more than once, each once, without empty ones.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (_, value) in self.0.iter().filter(|(known, value)| known == name && !value.is_empty())
        {
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        values
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// [`BadParams::Repeated`], [`BadParams::Missing`].
    pub fn need(&self, name: &'static str) -> Result<&str, BadParams> {
        self.get(name)?.ok_or(BadParams::Missing(name))
    }

    /// Whether a parameter is there, even if it is empty.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The name of one that is there more than once, though it is not `repeatable`.
    pub fn repeated(&self, repeatable: &str) -> Option<&str> {
        self.0.iter().enumerate().find_map(|(index, (name, _))| {
            let is_repeated = self.0[..index].iter().any(|(earlier, _)| earlier == name);
            (is_repeated && name != repeatable).then_some(name.as_str())
        })
    }

    /// Names and values, in the order they came.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// As form-encoded text.
    pub fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_there_once_or_not_at_all() {
        let params = Params::parse(b"a=1&b=&c=x+y%26&c=2").unwrap();
        assert_eq!(params.get("a"), Ok(Some("1")));
        assert_eq!(params.get("b"), Ok(None));
        assert_eq!(params.get("z"), Ok(None));
        assert_eq!(params.get("c"), Err(BadParams::Repeated("c")));
        assert_eq!(params.need("b"), Err(BadParams::Missing("b")));
        assert_eq!(params.repeated(""), Some("c"));
        assert_eq!(params.repeated("c"), None);
        assert_eq!(params.all("c"), ["x y&", "2"]);
        assert!(params.all("b").is_empty());
    }

    #[test]
    fn what_is_no_text_or_too_much_is_refused() {
        for text in [&b"a=%ff"[..], b"a=%00", b"%00=1"] {
            assert_eq!(Params::parse(text).unwrap_err(), BadParams::NotText);
        }
        assert_eq!(Params::parse("a=1&".repeat(65).as_bytes()).unwrap_err(), BadParams::TooMuch);
        let long = format!("a={}", "x".repeat(MAX_VALUE + 1));
        assert_eq!(Params::parse(long.as_bytes()).unwrap_err(), BadParams::TooMuch);
    }
}
