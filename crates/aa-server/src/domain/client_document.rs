//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document): a client whose id is the URL of its metadata. Here
//! it is an agent, and which APIs it may ask for is said by them.

use foundation::origin::is_loopback;
use serde::Deserialize;
use serde_json::Value;
use tokens::Scope;
use url::Url;

use super::client::{ClientMetadata, ClientType, OFFLINE_ACCESS};
use super::redirect_uri;

/// Bytes of a document, at most.
pub const MAX_BYTES: usize = 16 * 1024;
/// Bytes of an address of a document, at most.
const MAX_ID_BYTES: usize = 512;
/// Redirect URIs of a document, at most, and the bytes of one.
const MAX_URIS: usize = 50;
const MAX_URI_BYTES: usize = 2_000;
/// Bytes of a `scope`, at most.
const MAX_SCOPE_BYTES: usize = 2_000;

/// Whether a client id has the form of an address, which no registered client's has.
pub fn is_address(client_id: &str) -> bool {
    client_id.contains("://")
}

/// Checks that a client id can be the address of a document (draft §3): https with a path, in the one spelling that there is of it,
/// without user, query and fragment. http is for development: at a loopback address, and where the authority is at one.
///
/// # Errors
/// The reason, as the end of a sentence about the address.
pub fn check_address(client_id: &str, is_development: bool) -> Result<(), &'static str> {
    let url = Url::parse(client_id).map_err(|_| "is no URL")?;
    let is_local = is_development && url.scheme() == "http" && is_loopback(&url);
    match () {
        () if client_id.len() > MAX_ID_BYTES => Err("is too long"),
        () if url.scheme() != "https" && !is_local => Err("is not https"),
        () if !url.username().is_empty() || url.password().is_some() => Err("has a user"),
        () if url.query().is_some() || url.fragment().is_some() => Err("has a query or a fragment"),
        () if matches!(url.path(), "" | "/") => Err("has no path"),
        // Dot segments, upper-case hosts, default ports and the like: one document has one id.
        () if url.as_str() != client_id => Err("is spelt otherwise than browsers do"),
        () => Ok(()),
    }
}

/// The members that are understood. Others are ignored: a document is written for every server.
#[derive(Deserialize)]
struct Members {
    client_id: String,
    client_name: String,
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    client_secret: Option<Value>,
    client_secret_expires_at: Option<Value>,
}

/// Reads the document at the address that is `client_id`.
///
/// *Checks* that it names this very address, has no secret, and can be an agent. *Does not check* the address.
///
/// # Errors
/// The reason, for the operator.
pub fn parse(client_id: &str, text: &[u8]) -> Result<ClientMetadata, String> {
    let members: Members = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if members.client_id != client_id {
        return Err("client_id: it is not the address of the document".to_owned());
    }
    if members.client_secret.is_some() || members.client_secret_expires_at.is_some() {
        return Err("client_secret: a public document has none".to_owned());
    }
    let has_keys = members.jwks.is_some() || members.jwks_uri.is_some();
    match members.token_endpoint_auth_method.as_deref() {
        None | Some("none") if !has_keys => {}
        Some("private_key_jwt") if has_keys => {}
        _ => {
            return Err(
                "token_endpoint_auth_method: none, or private_key_jwt with jwks or jwks_uri"
                    .to_owned(),
            );
        }
    }
    let has = |list: &Option<Vec<String>>, name: &str| {
        list.as_ref().is_some_and(|list| list.iter().any(|one| one == name))
    };
    if members.grant_types.is_some() && !has(&members.grant_types, "authorization_code") {
        return Err("grant_types: an agent needs authorization_code".to_owned());
    }
    if members.response_types.is_some() && !has(&members.response_types, "code") {
        return Err("response_types: an agent needs code".to_owned());
    }
    let uris = &members.redirect_uris;
    if uris.is_empty() || uris.len() > MAX_URIS || uris.iter().any(|it| it.len() > MAX_URI_BYTES) {
        return Err(format!("redirect_uris: 1 to {MAX_URIS}, of {MAX_URI_BYTES} bytes"));
    }
    for uri in uris {
        redirect_uri::check(uri).map_err(|why| format!("redirect_uris: `{uri}` {why}"))?;
    }
    let scope = members.scope.unwrap_or_default();
    let scope: Result<Scope, ()> =
        if scope.len() > MAX_SCOPE_BYTES { Err(()) } else { scope.parse() };
    let scope = scope.map_err(|()| "scope: it cannot be read".to_owned())?;
    let name = members.client_name.trim().to_owned();
    // What turns the direction of text could make a page say something else.
    if name.contains(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return Err("client_name: it turns the direction of text".to_owned());
    }
    let metadata = ClientMetadata {
        redirect_uris: members.redirect_uris,
        scopes: scope.iter().map(str::to_owned).collect(),
        always_refresh: has(&members.grant_types, "refresh_token"),
        jwks: members.jwks,
        jwks_uri: members.jwks_uri,
        ..ClientMetadata::named(client_id, &name, ClientType::Agent)
    };
    metadata.check()?;
    Ok(metadata)
}

/// Why a request of such an agent is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiError {
    /// It does not name one API.
    Target,
    /// The API lets it have nothing of what it asks for.
    Scope,
}

impl ClientMetadata {
    /// Whether its id is the address of its metadata. Its `scopes` are then those that the document names, of which none are its
    /// own by that: see [`agent_apis`](Self::agent_apis). `always_refresh` says that the document names refresh tokens.
    pub fn is_document(&self) -> bool {
        self.is_agent() && is_address(&self.client_id)
    }

    /// The host that the document is at: what is certain about such an agent.
    pub fn publisher(&self) -> Option<String> {
        let url = Url::parse(&self.client_id).ok().filter(|_| self.is_document())?;
        url.host_str().map(str::to_owned)
    }

    /// Whether an API lets it have this scope, and the document does not leave it out.
    pub(super) fn document_allows(&self, name: &str) -> bool {
        let named = self.scopes.is_empty() || self.scopes.iter().any(|scope| scope == name);
        let is_refresh = name == OFFLINE_ACCESS && self.always_refresh;
        (named || is_refresh)
            && self.agent_apis.iter().any(|api| api.scopes.iter().any(|scope| scope == name))
    }

    /// The scope to be granted for these resources. Such an agent names one API, and gets what this API allows: what another one
    /// allows is not for this one. A refresh token is granted where API and document name it, since MCP clients do not ask for it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn scope_for(&self, scope: Scope, resources: &[String]) -> Result<Scope, ApiError> {
        if !self.is_document() {
            return Ok(scope);
        }
        let [resource] = resources else { return Err(ApiError::Target) };
        let api = self.agent_apis.iter().find(|api| api.audience == *resource);
        let api = api.ok_or(ApiError::Target)?;
        let allows = |name: &str| api.scopes.iter().any(|scope| scope == name);
        let scope = scope.retain(allows);
        if scope.iter().all(|name| name == OFFLINE_ACCESS) {
            return Err(ApiError::Scope);
        }
        if self.always_refresh && allows(OFFLINE_ACCESS) && !scope.contains(OFFLINE_ACCESS) {
            return format!("{scope} {OFFLINE_ACCESS}").parse().map_err(|()| ApiError::Scope);
        }
        Ok(scope)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::agent_api::AgentApi;

    const ID: &str = "https://agent.example/oauth/client.json";

    fn document() -> Value {
        json!({
            "client_id": ID,
            "client_name": "Night Owl",
            "client_uri": "https://agent.example/",
            "redirect_uris": ["http://127.0.0.1/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        })
    }

    fn read(document: &Value) -> Result<ClientMetadata, String> {
        parse(ID, document.to_string().as_bytes())
    }

    #[test]
    fn an_address_has_one_spelling_and_says_where_the_document_is() {
        for id in [ID, "https://agent.example:8443/a", "https://agent.example/a/"] {
            assert_eq!(check_address(id, false), Ok(()), "{id}");
        }
        for id in [
            "http://agent.example/a",
            "https://agent.example",
            "https://agent.example/",
            "https://agent.example/a?x=y",
            "https://agent.example/a#b",
            "https://u@agent.example/a",
            "https://AGENT.example/a",
            "https://agent.example:443/a",
            "https://agent.example/b/../a",
            "https://agent.example/./a",
            "http://127.0.0.1:9/a",
            "com.example://a/b",
            "://",
            "agent",
        ] {
            assert!(check_address(id, false).is_err(), "{id}");
        }
        let long = format!("https://agent.example/{}", "a".repeat(MAX_ID_BYTES));
        assert_eq!(check_address(&long, false), Err("is too long"));
        assert_eq!(check_address("http://127.0.0.1:9/a", true), Ok(()));
        assert!(check_address("http://agent.example/a", true).is_err());
    }

    #[test]
    fn a_document_is_an_agent_without_a_secret() {
        let agent = read(&document()).unwrap();
        assert!(agent.is_document() && agent.is_public() && agent.always_refresh);
        assert_eq!(agent.publisher().as_deref(), Some("agent.example"));
        assert!(agent.allows_redirect("http://127.0.0.1:51234/cb"));
        let mut keys = document();
        keys["token_endpoint_auth_method"] = json!("private_key_jwt");
        keys["jwks_uri"] = json!("https://agent.example/jwks");
        assert!(!read(&keys).unwrap().is_public());
        for (name, value) in [
            ("client_id", json!("https://agent.example/oauth/other.json")),
            ("client_id", Value::Null),
            ("client_name", json!(" ")),
            ("client_name", json!("Night\u{0}Owl")),
            ("client_name", json!("Night \u{202e}lwO")),
            ("redirect_uris", json!([])),
            ("redirect_uris", json!(["http://agent.example/cb"])),
            ("redirect_uris", json!(["https://*.example/cb"])),
            ("redirect_uris", json!(vec!["https://agent.example/cb"; MAX_URIS + 1])),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("client_secret", json!("s")),
            ("client_secret_expires_at", json!(0)),
            ("jwks_uri", json!("https://agent.example/jwks")),
            ("grant_types", json!(["client_credentials"])),
            ("response_types", json!(["token"])),
            ("scope", json!("a\"b")),
        ] {
            let mut wrong = document();
            wrong[name] = value.clone();
            assert!(read(&wrong).is_err(), "{name}: {value}");
        }
        let twice = document().to_string().replacen('{', "{\"client_name\":\"Other\",", 1);
        assert!(parse(ID, twice.as_bytes()).unwrap_err().contains("duplicate"));
    }

    #[test]
    fn it_may_ask_one_api_for_what_this_api_allows() {
        let mut agent = read(&document()).unwrap();
        assert!(agent.allowed_scopes().is_empty() && !agent.allows_scope("openid"));
        let api = |audience: &str, scopes: &[&str]| AgentApi {
            audience: audience.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        agent.agent_apis =
            vec![api("notes", &["read", "offline_access"]), api("mail", &["read", "send"])];
        assert_eq!(agent.allowed_audiences(), ["notes", "mail"]);
        let scope = |asked: &str, resources: &[&str]| {
            let resources: Vec<String> = resources.iter().map(|it| (*it).to_owned()).collect();
            let scope = agent.grantable_scope(Some(asked)).map_err(|_| ApiError::Scope)?;
            agent.scope_for(scope, &resources).map(|scope| scope.to_string())
        };
        assert_eq!(scope("read send openid", &["mail"]).as_deref(), Ok("read send"));
        assert_eq!(scope("read send", &["notes"]).as_deref(), Ok("read offline_access"));
        assert_eq!(scope("send", &["notes"]), Err(ApiError::Scope));
        assert_eq!(scope("offline_access", &["notes"]), Err(ApiError::Scope));
        assert_eq!(scope("openid", &["notes"]), Err(ApiError::Scope));
        for resources in [&[][..], &["notes", "mail"], &["other"]] {
            assert_eq!(scope("read", resources), Err(ApiError::Target), "{resources:?}");
        }
        let refreshes = |scope: &str| agent.refreshes(&scope.parse().unwrap());
        assert!(refreshes("read offline_access") && !refreshes("read"));
        let narrow = ClientMetadata { scopes: vec!["read".to_owned()], ..agent.clone() };
        assert!(narrow.allows_scope("read") && !narrow.allows_scope("send"));
    }
}
