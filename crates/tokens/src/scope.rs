use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A list of scope names (RFC 6749 §3.3), in the order given, without repetitions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope(String);

impl Scope {
    /// True if the list has the scope `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|scope| scope == name)
    }

    /// True if the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|name| !name.is_empty())
    }

    /// The names, separated by single spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if `other` has every scope of this list.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|name| other.contains(name))
    }

    /// The names for which `keep` returns true.
    #[must_use]
    pub fn retain(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.iter().all(&keep) {
            return self.clone();
        }
        let kept: Vec<&str> = self.iter().filter(|name| keep(name)).collect();
        Self(kept.join(" "))
    }
}

/// Names of a scope, at most.
pub const MAX_NAMES: usize = 64;
/// Bytes of a scope, at most.
pub const MAX_BYTES: usize = 1024;

impl FromStr for Scope {
    type Err = ();

    /// Parses names separated by single spaces, dropping repetitions. The empty text is the empty list.
    ///
    /// # Errors
    /// When a name is empty or has a character that RFC 6749 §3.3 does not allow, or there are more than [`MAX_NAMES`]
    /// names or [`MAX_BYTES`] bytes of them: comparing names takes time that grows with the square of their number.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() > MAX_BYTES || text.bytes().filter(|byte| *byte == b' ').count() >= MAX_NAMES
        {
            return Err(());
        }
        let valid = |byte: u8| {
            byte == 0x21 || (0x23..=0x5b).contains(&byte) || (0x5d..=0x7e).contains(&byte)
        };
        // A repetition is looked for in the text before each name; usually there is none, and nothing is allocated.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_few_names() {
        let names = |count: usize| vec!["a"; count].join(" ");
        assert!(names(MAX_NAMES).parse::<Scope>().is_ok());
        assert!(names(MAX_NAMES + 1).parse::<Scope>().is_err());
        assert!("x".repeat(MAX_BYTES).parse::<Scope>().is_ok());
        assert!("x".repeat(MAX_BYTES + 1).parse::<Scope>().is_err());
    }
}
