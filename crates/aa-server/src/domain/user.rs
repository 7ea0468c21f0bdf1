//! Rules for the data of users: addresses, names, descriptions of their browsers.

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

/// The kind of device that a browser runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Device {
    /// A desktop or notebook computer, or unknown.
    Computer,
    /// A phone.
    Phone,
    /// A tablet.
    Tablet,
}

/// The browser and system that a `User-Agent` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The name of the browser.
    pub name: Option<String>,
    /// The name of the operating system.
    pub system: Option<String>,
    /// The kind of device.
    pub device: Device,
}

impl Agent {
    /// Reads a `User-Agent`.
    pub fn of(user_agent: &str) -> Self {
        let parser = woothee::parser::Parser::new();
        let Some(found) = parser.parse(user_agent) else {
            return Self { name: None, system: None, device: Device::Computer };
        };
        let known = |text: &str| (text != "UNKNOWN").then(|| text.to_owned());
        let is_tablet = found.os == "iPad" || user_agent.contains("Tablet");
        let is_phone = found.category == "smartphone" || found.category == "mobilephone";
        let device = if is_tablet {
            Device::Tablet
        } else if is_phone {
            Device::Phone
        } else {
            Device::Computer
        };
        let system = known(found.os).map(|system| match system.as_str() {
            "Mac OSX" => "macOS".to_owned(),
            "iPhone" | "iPad" | "iPod" => format!("iOS ({system})"),
            windows if windows.starts_with("Windows") => "Windows".to_owned(),
            _ => system,
        });
        Self { name: known(found.name), system, device }
    }

    /// Whether a person's browser says so, and not a program.
    pub fn is_browser(&self) -> bool {
        self.name.is_some() && self.system.is_some()
    }

    /// The text in the catalogue: "Firefox on Linux".
    pub fn message(&self) -> Message {
        match (&self.name, &self.system) {
            (Some(name), Some(system)) => {
                Message::new("agent").with("name", name.as_str()).with("system", system.as_str())
            }
            (Some(name), None) => Message::new("agent-name").with("name", name.as_str()),
            (None, Some(system)) => Message::new("agent-system").with("system", system.as_str()),
            (None, None) => Message::new("agent-unknown"),
        }
    }
}

/// In English, for operators.
impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.system) {
            (Some(name), Some(system)) => write!(f, "{name} on {system}"),
            (Some(name), None) => f.write_str(name),
            (None, Some(system)) => write!(f, "A browser on {system}"),
            (None, None) => f.write_str("An unknown browser"),
        }
    }
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

    #[test]
    fn browsers_have_names() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(Agent::of(firefox).to_string(), "Firefox on Linux");
        let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15";
        assert_eq!(Agent::of(safari).to_string(), "Safari on macOS");
        assert_eq!(Agent::of("\u{1b}[31m").to_string(), "An unknown browser");
        assert_eq!(Agent::of("").to_string(), "An unknown browser");
    }
}
