//! Agents: clients that act for users by themselves, as assistants and tools do. A user allows each of their sessions on a page
//! that names what the agent asks for.

use std::time::Duration;

use url::Url;

use super::client::{ClientMetadata, ClientType};

/// Life of an agent's families, unless it is registered with another.
pub const FAMILY_TTL: Duration = Duration::from_hours(8);
/// Life of an agent's families that are not used, unless it is registered with another.
pub const FAMILY_IDLE_TTL: Duration = Duration::from_hours(1);
/// Life of an agent's application tokens, unless it is registered with another.
pub const AT_TTL: Duration = Duration::from_mins(5);

/// Characters of a text about a scope, at most.
const MAX_SCOPE_TEXT: usize = 100;

impl ClientMetadata {
    /// Whether its users allow each of its sessions.
    pub fn is_agent(&self) -> bool {
        self.kind == ClientType::Agent
    }

    /// Checks what only agents must have, and must not.
    ///
    /// # Errors
    /// A text that names the member and says what to change.
    pub(super) fn check_agent(&self) -> Result<(), String> {
        match self.kind {
            ClientType::Agent if self.scopes.is_empty() && !self.is_document() => {
                Err("scopes: an agent has no others than it is registered with, so it needs one"
                    .to_owned())
            }
            ClientType::Agent if self.device => {
                Err("device: the page about a device does not name what an agent asks for"
                    .to_owned())
            }
            ClientType::Agent if !self.exchange.is_empty() => {
                Err("exchange: the tokens of an agent are for what its user has allowed".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Checks the texts about the scopes of an API.
    ///
    /// # Errors
    /// A text that names the member and says what to change.
    pub(super) fn check_scope_texts(&self) -> Result<(), String> {
        if self.kind != ClientType::Api && !self.agent_scopes.is_empty() {
            return Err("agent_scopes: an api says what agents may ask it for".to_owned());
        }
        if self.kind != ClientType::Api && !self.scope_texts.is_empty() {
            return Err("scope_texts: only an api has scopes of its own".to_owned());
        }
        for (scope, text) in &self.scope_texts {
            let length = text.trim().chars().count();
            if length == 0 || length > MAX_SCOPE_TEXT || text.contains(char::is_control) {
                return Err(format!(
                    "scope_texts: `{scope}` needs 1 to {MAX_SCOPE_TEXT} characters"
                ));
            }
        }
        Ok(())
    }
}

/// The place that an answer goes to, as users are told: the host and port of a redirect URI, or its scheme where it has no host.
pub fn place_of(redirect_uri: &str) -> String {
    let Ok(url) = Url::parse(redirect_uri) else { return String::new() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => format!("{}:", url.scheme()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> ClientMetadata {
        let mut agent = ClientMetadata::named("bot", "Bot", ClientType::Agent);
        agent.redirect_uris = vec!["http://127.0.0.1/cb".to_owned()];
        agent.scopes = vec!["notes:read".to_owned()];
        agent
    }

    #[test]
    fn an_agent_has_what_it_is_registered_with_and_nothing_by_default() {
        assert_eq!(agent().check(), Ok(()));
        let mut without = agent();
        without.scopes.clear();
        assert!(without.check().unwrap_err().starts_with("scopes"));
        assert!(without.allowed_scopes().is_empty() && !without.allows_scope("openid"));
        assert!(!agent().refreshes(&"notes:read offline_access".parse().unwrap()));
        let pair = "orders:orders:read".parse().unwrap();
        for (change, named) in [
            (ClientMetadata { device: true, ..agent() }, "device"),
            (ClientMetadata { exchange: vec![pair], ..agent() }, "exchange"),
            (ClientMetadata { no_pkce: true, ..agent() }, "no_pkce"),
            (ClientMetadata { client_credentials: true, ..agent() }, "client_credentials"),
        ] {
            assert!(change.check().unwrap_err().starts_with(named), "{named}");
        }
    }

    #[test]
    fn an_agent_has_keys_or_nothing_to_authenticate_by() {
        assert!(agent().is_public());
        let with_keys = ClientMetadata { jwks_uri: Some("https://a.example/k".into()), ..agent() };
        assert_eq!(with_keys.check(), Ok(()));
        assert!(!with_keys.is_public() && with_keys.is_agent());
    }

    #[test]
    fn an_answer_goes_to_a_place_that_users_can_read() {
        for (uri, place) in [
            ("http://127.0.0.1:51234/cb", "127.0.0.1:51234"),
            ("https://agent.example/cb?x=y", "agent.example"),
            ("com.example.agent:/cb", "com.example.agent:"),
        ] {
            assert_eq!(place_of(uri), place);
        }
    }
}
