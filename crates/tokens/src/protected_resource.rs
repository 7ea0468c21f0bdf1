use std::fmt;

use serde_json::{Value, json};

/// Where every resource server publishes its metadata (RFC 9728 §3), before the path of its own if it has one.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What an API says of itself (RFC 9728): who issues its tokens, which scopes it knows, and how tokens are sent.
///
/// Serve [`ProtectedResource::to_json`] at [`ProtectedResource::path`], as `application/json` and to everyone, and let the
/// refusals name its address ([`Guard::with_metadata`](crate::Guard::with_metadata), feature `fetch`). A client that is
/// refused finds the authority by it.
///
/// ```
/// use tokens::ProtectedResource;
///
/// # fn main() -> Result<(), tokens::InvalidResource> {
/// let notes = ProtectedResource::new("https://api.example/notes", "https://aa.example")?
///     .with_name("Notes")
///     .with_scopes(["notes:read", "notes:write"]);
/// assert_eq!(notes.path(), "/.well-known/oauth-protected-resource/notes");
/// assert_eq!(notes.url(), "https://api.example/.well-known/oauth-protected-resource/notes");
/// assert_eq!(notes.to_json()["authorization_servers"][0], "https://aa.example");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedResource {
    resource: String,
    /// The length of scheme and authority in `resource`.
    origin: usize,
    authorization_server: String,
    scopes: Vec<String>,
    name: Option<String>,
}

/// The resource identifier is no absolute http or https URL, or has a user, a query or a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidResource;

impl fmt::Display for InvalidResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource is named by its https URL, without user, query and fragment")
    }
}

impl std::error::Error for InvalidResource {}

impl ProtectedResource {
    /// An API by its URL, as clients call it, and the issuer of the tokens that it accepts.
    ///
    /// Clients compare the URL as an exact string (RFC 9728 §3.3), and may ask the authority for a token by it (`resource`,
    /// RFC 8707): then the audience of the API has to be that URL. RFC 9728 §2 wants https; http is accepted for development.
    ///
    /// # Errors
    /// [`InvalidResource`].
    pub fn new(resource: &str, authorization_server: &str) -> Result<Self, InvalidResource> {
        let rest = resource.strip_prefix("https://").or_else(|| resource.strip_prefix("http://"));
        let rest = rest.ok_or(InvalidResource)?;
        let authority = rest.split('/').next().unwrap_or_default();
        // What is written into a header and JSON is a URL as it is sent: printable ASCII (RFC 3986 §2).
        let is_clean = |c: char| c.is_ascii_graphic() && !"\"\\<>@?#".contains(c);
        if authority.is_empty() || !rest.chars().all(is_clean) {
            return Err(InvalidResource);
        }
        Ok(Self {
            resource: resource.to_owned(),
            origin: resource.len() - rest.len() + authority.len(),
            authorization_server: authorization_server.to_owned(),
            scopes: Vec::new(),
            name: None,
        })
    }

    /// With the scopes that clients may ask for (`scopes_supported`).
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// With the name that people are shown (`resource_name`).
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The path at which the metadata are served: the well-known one, and after it the path of the API (RFC 9728 §3.1).
    pub fn path(&self) -> String {
        let own = &self.resource[self.origin..];
        format!("{WELL_KNOWN}{}", if own == "/" { "" } else { own })
    }

    /// The address of the metadata, for `resource_metadata` in challenges (RFC 9728 §5.1).
    pub fn url(&self) -> String {
        format!("{}{}", &self.resource[..self.origin], self.path())
    }

    /// The metadata (RFC 9728 §2). Tokens are accepted in the header alone.
    pub fn to_json(&self) -> Value {
        let mut metadata = json!({
            "resource": self.resource,
            "authorization_servers": [self.authorization_server],
            "bearer_methods_supported": ["header"],
        });
        if !self.scopes.is_empty() {
            metadata["scopes_supported"] = json!(self.scopes);
        }
        if let Some(name) = &self.name {
            metadata["resource_name"] = json!(name);
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_stands_between_host_and_path() {
        for (resource, path) in [
            ("https://a.example", WELL_KNOWN.to_owned()),
            ("https://a.example/", WELL_KNOWN.to_owned()),
            ("https://a.example:8443/notes", format!("{WELL_KNOWN}/notes")),
            ("http://localhost:8081/v1/notes/", format!("{WELL_KNOWN}/v1/notes/")),
        ] {
            let known = ProtectedResource::new(resource, "https://aa.example").unwrap();
            assert_eq!(known.path(), path, "{resource}");
            let origin = resource.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
            assert_eq!(known.url(), format!("{origin}{path}"));
            assert_eq!(known.to_json()["resource"], resource, "an exact string");
        }
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        for resource in [
            "notes",
            "urn:notes",
            "https://",
            "https:///notes",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/#x",
            "https://a.example/?x",
            "https://a.example/\"x",
            "https://a.example/\r\nx",
            "https://a.example/ä",
            "https://a example",
        ] {
            let refused = ProtectedResource::new(resource, "https://aa.example");
            assert_eq!(refused, Err(InvalidResource), "{resource}");
        }
    }

    #[test]
    fn the_metadata_have_what_there_is() {
        let plain = ProtectedResource::new("https://a.example", "https://aa.example").unwrap();
        let expected = json!({
            "resource": "https://a.example",
            "authorization_servers": ["https://aa.example"],
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(plain.to_json(), expected);
        let full = plain.with_name("A").with_scopes(["a:read"]).to_json();
        assert_eq!(
            (&full["resource_name"], &full["scopes_supported"]),
            (&json!("A"), &json!(["a:read"]))
        );
    }
}
