//! The public URL of a program: its origin for browsers and the prefix of its cookies.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// A base URL without path, query, fragment or credentials, as browsers use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    https: bool,
    loopback: bool,
}

impl PublicUrl {
    /// The URL without a slash at the end: an origin, and an issuer.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for https.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// True if browsers treat it as trustworthy although it is http: `localhost`, `*.localhost`, `127.0.0.1`.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The host without the port.
    pub fn host(&self) -> String {
        let url = Url::parse(&self.text).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The URL of a path that starts with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The name of a cookie: with the `__Host-` prefix (RFC 6265bis §4.1.3.2) whenever the URL is https.
    pub fn cookie_name(&self, name: &str) -> String {
        if self.https { format!("__Host-{name}") } else { name.to_owned() }
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url =
            Url::parse(text).map_err(|error| format!("`{text}` is not a valid URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{text}` is neither http nor https"));
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "`{text}` must be a scheme, a host and perhaps a port, and nothing more"
            ));
        }
        Ok(Self {
            text: url.origin().ascii_serialization(),
            https: url.scheme() == "https",
            loopback: is_loopback(&url),
        })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A comma-separated list of origins, each exactly as browsers write it.
///
/// # Errors
/// A message that names the invalid origin.
pub fn origins(list: &str) -> Result<Vec<PublicUrl>, String> {
    let trimmed = list.split(',').map(str::trim);
    trimmed.filter(|origin| !origin.is_empty()).map(str::parse).collect()
}

/// True if the URL's host is loopback by a name that browsers accept as such.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_urls_are_accepted() {
        let url: PublicUrl = "https://AA.example:443/".parse().unwrap();
        assert_eq!(url.as_str(), "https://aa.example");
        assert_eq!(url.cookie_name("aa_identity"), "__Host-aa_identity");
        for text in
            ["ftp://x", "https://x/path", "https://u:p@x", "https://x?y", "https://x#y", "x"]
        {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_what_browsers_trust() {
        for (text, loopback) in [
            ("http://localhost:8080", true),
            ("http://aa.localhost", true),
            ("http://127.0.0.1:1", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://notlocalhost", false),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!(url.is_loopback(), loopback, "{text}");
            assert_eq!(url.cookie_name("c"), "c");
        }
    }
}
