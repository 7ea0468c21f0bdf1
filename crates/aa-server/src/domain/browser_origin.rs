//! The origins from which browser apps may call the endpoints for clients (Fetch, CORS protocol): those of the redirect URIs
//! of public clients.

use std::collections::HashSet;

use url::Url;

use super::client::ClientMetadata;
use super::redirect_uri::is_loopback_literal;

/// Origins, each as browsers write it. Those of loopback addresses count with any port, as their redirect URIs do
/// (RFC 8252 §7.3).
#[derive(Debug, Clone, Default)]
pub struct BrowserOrigins {
    exact: HashSet<String>,
    /// Without the port.
    any_port: HashSet<String>,
}

impl BrowserOrigins {
    /// The origins of a client: none unless it is public. A scheme of the client's own has no origin.
    pub fn of(client: &ClientMetadata) -> Self {
        let mut origins = Self::default();
        origins.add(client);
        origins
    }

    /// Adds the origins of a client.
    pub fn add(&mut self, client: &ClientMetadata) {
        if !client.is_public() {
            return;
        }
        for uri in &client.redirect_uris {
            match Url::parse(uri) {
                Ok(url) if is_loopback_literal(&url) && url.scheme() == "http" => {
                    self.any_port.extend(without_port(url));
                }
                Ok(url) if matches!(url.scheme(), "http" | "https") => {
                    self.exact.insert(url.origin().ascii_serialization());
                }
                _ => {}
            }
        }
    }

    /// Whether this value of an `Origin` header is one of them, as an exact string but for the port of a loopback address.
    pub fn contains(&self, origin: &str) -> bool {
        if self.exact.contains(origin) {
            return true;
        }
        let Some(url) = Url::parse(origin).ok().filter(is_loopback_literal) else { return false };
        // The origin as text must be what was parsed: nothing may hide in a second spelling.
        url.origin().ascii_serialization() == origin
            && without_port(url).is_some_and(|origin| self.any_port.contains(&origin))
    }
}

fn without_port(mut url: Url) -> Option<String> {
    url.set_port(None).ok()?;
    Some(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::ClientType;

    fn origins(kind: ClientType, uris: &[&str]) -> BrowserOrigins {
        let mut client = ClientMetadata::named("app", "App", kind);
        client.redirect_uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        BrowserOrigins::of(&client)
    }

    #[test]
    fn only_the_exact_origin_of_a_redirect_uri_counts() {
        let known = origins(
            ClientType::Public,
            &["https://app.example/cb", "http://localhost:3000/cb", "com.example.app:/cb"],
        );
        for origin in ["https://app.example", "http://localhost:3000"] {
            assert!(known.contains(origin), "{origin}");
        }
        for origin in [
            "http://app.example",
            "https://app.example:8443",
            "https://app.example:443",
            "https://app.example/",
            "https://APP.example",
            "https://app.example.evil",
            "https://evil.app.example",
            "https://app.example@evil",
            "http://localhost:3001",
            "http://localhost",
            "com.example.app:",
            "com.example.app://",
            "com.example.app",
            "null",
            "",
        ] {
            assert!(!known.contains(origin), "{origin}");
        }
    }

    #[test]
    fn loopback_addresses_may_vary_the_port_and_nothing_else() {
        let known = origins(ClientType::Public, &["http://127.0.0.1/cb", "http://[::1]:1/cb"]);
        for origin in ["http://127.0.0.1", "http://127.0.0.1:5173", "http://[::1]:5173"] {
            assert!(known.contains(origin), "{origin}");
        }
        for origin in [
            "https://127.0.0.1:5173",
            "http://127.0.0.2:5173",
            "http://127.1:5173",
            "http://localhost:5173",
            "http://127.0.0.1:5173/",
            "http://127.0.0.1:05173",
            "http://x@127.0.0.1:5173",
        ] {
            assert!(!known.contains(origin), "{origin}");
        }
    }

    #[test]
    fn clients_with_a_secret_have_none() {
        for kind in [ClientType::Confidential, ClientType::Service, ClientType::Api] {
            assert!(!origins(kind, &["https://app.example/cb"]).contains("https://app.example"));
        }
    }
}
