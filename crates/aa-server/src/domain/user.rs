//! Rules for the data of users: addresses, names.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::MixedScript;

use super::message::Message;

/// The path of a user's picture.
pub fn picture_path(name: &str) -> String {
    format!("/pictures/{name}.png")
}

/// Why the data of a user cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUser {
    /// The address is none, or one that mail cannot safely be sent to.
    #[error("Please give an e-mail address such as ann@example.com.")]
    Email,
    /// The name is too long, or has control characters.
    #[error("Please give a name of at most 100 characters.")]
    Name,
    /// The time zone is none that can be chosen.
    #[error("Please choose a time zone from the list.")]
    TimeZone,
}

impl InvalidUser {
    /// The text in the catalogue.
    pub const fn message(self) -> Message {
        match self {
            Self::Email => Message::new("wrong-email"),
            Self::Name => Message::new("wrong-name"),
            Self::TimeZone => Message::new("wrong-time-zone"),
        }
    }
}

/// A syntactically acceptable e-mail address. It identifies a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The address as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as it is compared: addresses that differ in case alone belong to one user.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = InvalidUser;

    /// One `@` with something on both sides, at most 254 bytes, and no character that a mail header, a list of
    /// addresses or a log line could take for something else. Letters beyond ASCII are possible, but none that make the address
    /// look like another: each part is of one script (UTS #39 §5.1), and in the form that compatible characters are brought
    /// into (NFKC).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text: String = text.trim().nfc().collect();
        let wrong = InvalidUser::Email;
        let (local, domain) = text.split_once('@').ok_or(wrong)?;
        let forbidden =
            |c: char| c.is_control() || c.is_whitespace() || ",;:<>()[]\\\"".contains(c);
        let fits = text.len() <= 254
            && !local.is_empty()
            && !domain.contains('@')
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !text.contains(forbidden)
            && text.nfkc().eq(text.chars())
            && std::iter::once(local).chain(domain.split('.')).all(MixedScript::is_single_script);
        if fits { Ok(Self(text)) } else { Err(wrong) }
    }
}

/// Checks a display name: trimmed, at most 100 characters, no control characters.
///
/// # Errors
/// [`InvalidUser::Name`].
pub fn check_name(name: &str) -> Result<String, InvalidUser> {
    let name = name.trim();
    if name.chars().count() > 100 || name.contains(char::is_control) {
        return Err(InvalidUser::Name);
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_be_two_things_are_refused() {
        for text in [
            "ann@example.com",
            " Ann.O'Neil+x@sub.example.com ",
            "änn@exämple.com",
            "анна@пример.example",
        ] {
            assert!(text.parse::<Email>().is_ok(), "{text}");
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for text in [
            "",
            "ann",
            "@example.com",
            "a@b",
            "a@b@c.d",
            "a,b@c.d",
            "a b@c.d",
            "<a@c.d>",
            "a\r\n@c.d",
            "a@.d",
            "a@d.",
            // A Cyrillic letter among Latin ones, and letters of double width.
            "\u{430}nn@example.com",
            "ann@ex\u{430}mple.com",
            "\u{ff41}nn@example.com",
            &long,
        ] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
    }
}
