//! Rules for the data of users: addresses, names, descriptions of their browsers.

use std::fmt;
use std::str::FromStr;

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
    type Err = &'static str;

    /// One `@` with something on both sides, at most 254 bytes, and no character that a mail header, a list of
    /// addresses or a log line could take for something else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let wrong = "Please give an e-mail address such as ann@example.com.";
        let (local, domain) = text.split_once('@').ok_or(wrong)?;
        let forbidden =
            |c: char| c.is_control() || c.is_whitespace() || ",;:<>()[]\\\"".contains(c);
        let fits = text.len() <= 254
            && !local.is_empty()
            && !domain.contains('@')
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !text.contains(forbidden);
        if fits { Ok(Self(text.to_owned())) } else { Err(wrong) }
    }
}

/// Checks a display name: trimmed, at most 100 characters, no control characters.
///
/// # Errors
/// With a text for the user that says what to change.
pub fn check_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    if name.chars().count() > 100 || name.contains(char::is_control) {
        return Err("Please give a name of at most 100 characters.");
    }
    Ok(name.to_owned())
}

/// Browser and operating system of a `User-Agent`, in words: "Firefox on Linux".
pub fn describe_browser(user_agent: &str) -> String {
    let parser = woothee::parser::Parser::new();
    let known = |text: &str| (text != "UNKNOWN").then(|| text.to_owned());
    let (name, system) =
        parser.parse(user_agent).map_or((None, None), |found| (known(found.name), known(found.os)));
    let system = system.map(|system| match system.as_str() {
        "Mac OSX" => "macOS".to_owned(),
        "iPhone" | "iPad" | "iPod" => format!("iOS ({system})"),
        windows if windows.starts_with("Windows") => "Windows".to_owned(),
        _ => system,
    });
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name,
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "An unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_be_two_things_are_refused() {
        for text in ["ann@example.com", " Ann.O'Neil+x@sub.example.com ", "änn@exämple.com"] {
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
            &long,
        ] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
    }

    #[test]
    fn browsers_have_names() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(describe_browser(firefox), "Firefox on Linux");
        let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15";
        assert_eq!(describe_browser(safari), "Safari on macOS");
        assert_eq!(describe_browser("\u{1b}[31m"), "An unknown browser");
        assert_eq!(describe_browser(""), "An unknown browser");
    }
}
