//! Redirect URIs: which ones a client may register, and which one of a request is registered.

use foundation::origin::is_loopback;
use url::Url;

/// Checks a redirect URI that is to be registered: https, http of this machine, or a native app's own scheme
/// (RFC 8252 §7), without fragment, wildcard and credentials.
///
/// # Errors
/// With the reason, as the end of a sentence about the URI.
pub fn check(uri: &str) -> Result<(), &'static str> {
    let url = Url::parse(uri).map_err(|_| "is not a valid absolute URL")?;
    if url.fragment().is_some() || uri.contains('#') {
        return Err("has a fragment");
    }
    if uri.contains('*') {
        return Err("has a wildcard, which would not match anything: URIs are compared exactly");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("is http and not this machine: use https"),
        "javascript" | "data" | "vbscript" | "file" | "blob" | "about" => {
            Err("has a scheme that runs or shows content")
        }
        // A native app's own scheme (RFC 8252 §7.1).
        scheme if scheme.contains('.') => Ok(()),
        _ => Err("has a scheme that is neither https nor a native app's, such as com.example.app"),
    }
}

/// Compares the redirect URI of a request with a registered one, as exact strings (RFC 9700 §4.1.3). With
/// `any_loopback_port`, the port of a loopback address may differ (RFC 8252 §7.3).
pub fn matches(registered: &str, given: &str, any_loopback_port: bool) -> bool {
    registered == given || (any_loopback_port && same_but_loopback_port(registered, given))
}

/// Whether the host is a loopback address as such, not a name for one (RFC 8252 §7.3).
pub fn is_loopback_literal(url: &Url) -> bool {
    matches!(url.host_str(), Some("127.0.0.1" | "[::1]"))
}

fn same_but_loopback_port(registered: &str, given: &str) -> bool {
    let (Ok(mut registered), Ok(url)) = (Url::parse(registered), Url::parse(given)) else {
        return false;
    };
    // The URL as text must be what was parsed: nothing may hide in a second spelling.
    is_loopback_literal(&url)
        && url.scheme() == "http"
        && url.as_str() == given
        && registered.set_port(url.port()).is_ok()
        && registered == url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_match_exactly() {
        let registered = "https://app.example/cb";
        assert!(matches(registered, registered, false));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?x=1",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example/x/../cb",
            "https://app.example.evil/cb",
            "https://app.example@evil/cb",
            "http://app.example/cb",
            "",
        ] {
            assert!(!matches(registered, other, false), "{other}");
            assert!(!matches(registered, other, true), "{other}");
        }
    }

    #[test]
    fn a_loopback_native_app_may_vary_its_port_and_nothing_else() {
        let registered = "http://127.0.0.1/cb";
        assert!(matches(registered, "http://127.0.0.1:51234/cb", true));
        for other in [
            "http://localhost:51234/cb",
            "http://127.0.0.1:51234/other",
            "http://127.0.0.1:51234/cb?x",
            "https://127.0.0.1:51234/cb",
            "http://127.0.0.1:51234@evil/cb",
            "http://127.1:51234/cb",
            "http://127.0.0.1.evil:51234/cb",
        ] {
            assert!(!matches(registered, other, true), "{other}");
        }
        assert!(!matches(registered, "http://127.0.0.1:51234/cb", false));
    }

    #[test]
    fn what_cannot_be_registered_says_why() {
        for uri in [
            "http://app.example/cb",
            "https://app.example/cb#x",
            "https://*.example/cb",
            "javascript:alert(1)",
            "/cb",
            "myapp:/cb",
            "https://u:p@app.example/cb",
        ] {
            assert!(check(uri).is_err(), "{uri}");
        }
        for uri in ["https://app.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"] {
            assert_eq!(check(uri), Ok(()), "{uri}");
        }
    }
}
