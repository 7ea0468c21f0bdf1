//! The browser and the system that a `User-Agent` header names (RFC 9110 §10.1.5), for lists of sessions and letters.
//!
//! The header is the client's own word: what is read here is shown to people and decides nothing.

use std::fmt;

use super::message::Message;

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

/// Products and the names that people know them by. The first one found counts: most browsers name others too.
const BROWSERS: [(&str, &str); 17] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
    ("Safari/", "Safari"),
];

/// Systems, as [`BROWSERS`]: Android names Linux too, and an iPhone macOS.
const SYSTEMS: [(&str, &str); 9] = [
    ("Windows", "Windows"),
    ("iPhone", "iOS (iPhone)"),
    ("iPad", "iOS (iPad)"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
];

/// The browser and system that a `User-Agent` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserAgent {
    /// The name of the browser.
    pub browser: Option<&'static str>,
    /// The name of the operating system.
    pub system: Option<&'static str>,
    /// The kind of device.
    pub device: Device,
}

impl UserAgent {
    /// Reads a `User-Agent`.
    pub fn of(header: &str) -> Self {
        let named = |names: &[(&str, &'static str)]| {
            names.iter().find(|(part, _)| header.contains(part)).map(|(_, name)| *name)
        };
        let system = named(&SYSTEMS);
        let is_mobile = header.contains("Mobile");
        let device = match system {
            Some("iOS (iPhone)") => Device::Phone,
            Some("iOS (iPad)") => Device::Tablet,
            _ if header.contains("Tablet") => Device::Tablet,
            Some("Android") if !is_mobile => Device::Tablet,
            _ if is_mobile => Device::Phone,
            _ => Device::Computer,
        };
        Self { browser: named(&BROWSERS), system, device }
    }

    /// True if it is a person's browser by its own account, and not a program.
    pub const fn is_browser(&self) -> bool {
        self.browser.is_some() && self.system.is_some()
    }

    /// The text in the catalogue: "Firefox on Linux".
    pub fn message(&self) -> Message {
        match (self.browser, self.system) {
            (Some(name), Some(system)) => {
                Message::new("agent").with("name", name).with("system", system)
            }
            (Some(name), None) => Message::new("agent-name").with("name", name),
            (None, Some(system)) => Message::new("agent-system").with("system", system),
            (None, None) => Message::new("agent-unknown"),
        }
    }
}

/// In English, for operators.
impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.browser, self.system) {
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
    fn browsers_have_names() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let safari = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0";
        for (header, name, device) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
                "Firefox on Linux",
                Device::Computer,
            ),
            (
                format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {safari} Safari/605.1.15"),
                "Safari on macOS",
                Device::Computer,
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36"
                ),
                "Chrome on Windows",
                Device::Computer,
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
                ),
                "Edge on Windows",
                Device::Computer,
            ),
            (
                format!(
                    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0"
                ),
                "Opera on ChromeOS",
                Device::Computer,
            ),
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/140.0.0.0 Mobile Safari/537.36"
                ),
                "Chrome on Android",
                Device::Phone,
            ),
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Safari/537.36"
                ),
                "Samsung Internet on Android",
                Device::Tablet,
            ),
            (
                "Mozilla/5.0 (Android 15; Tablet; rv:140.0) Gecko/140.0 Firefox/140.0".to_owned(),
                "Firefox on Android",
                Device::Tablet,
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {safari} Mobile/15E148 Safari/604.1"
                ),
                "Safari on iOS (iPhone)",
                Device::Phone,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1".to_owned(),
                "Chrome on iOS (iPad)",
                Device::Tablet,
            ),
            ("\u{1b}[31m".to_owned(), "An unknown browser", Device::Computer),
            ("curl/8.14.1".to_owned(), "An unknown browser", Device::Computer),
            (String::new(), "An unknown browser", Device::Computer),
        ] {
            let read = UserAgent::of(&header);
            assert_eq!((read.to_string().as_str(), read.device), (name, device), "{header}");
        }
    }
}
