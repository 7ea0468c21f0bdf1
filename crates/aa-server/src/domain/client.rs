//! A registered app: what it declared, and what follows from it.

mod lifetimes;
mod scopes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokens::{Algorithm, Scope};
use url::Url;

use super::agent_api::AgentApi;
use super::redirect_uri;
use super::subject::{self, SubjectType};
use super::token_exchange::Exchange;

pub use lifetimes::{Lifetimes, MAX_AT_TTL, MAX_DT_TTL};
pub use scopes::ScopeError;

/// What an app without `scopes` may ask for.
pub const DEFAULT_SCOPES: &str = "openid profile email offline_access";
/// The scopes that need no registration of an API: they are about the user.
pub const OPENID: &str = "openid";
/// The scope that asks for a refresh token (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Whether an app can keep a secret, and whether people use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClientType {
    /// A backend: it authenticates itself.
    Confidential,
    /// A browser or native app: it cannot.
    Public,
    /// A backend without people: client credentials alone.
    Service,
    /// An API: it gets no tokens but in exchange for those of users, is told which sessions have ended, and introspects the tokens that are for it.
    Api,
    /// An agent or a tool that acts for users: allowed by them each time, on a page that names what it asks for.
    Agent,
}

/// The place where a client keeps its refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RefreshTokenIn {
    /// On a server that authenticates itself: a thief of the token needs the client's secret too.
    #[default]
    Server,
    /// In the browser, as a cookie for example, although a server adds the client's secret: a thief of what the browser
    /// holds needs nothing more.
    Browser,
}

/// What is declared about an app, by `app add`, or `app apply` with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientMetadata {
    /// Its id, which is in every request it makes.
    pub client_id: String,
    /// The client's name, as people see it.
    pub name: String,
    /// Whether it can keep a secret.
    #[serde(default = "confidential")]
    pub kind: ClientType,
    /// Where answers may be sent: compared as exact strings.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// The redirect URIs after sign-out.
    #[serde(default)]
    pub post_logout_uris: Vec<String>,
    /// Where it is told of ended sessions (OpenID Connect Back-Channel Logout 1.0 §2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Where the launcher opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_url: Option<String>,
    /// The audiences its application tokens may be for; its own id if there is none.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The scopes it may ask for; [`DEFAULT_SCOPES`] if there is none.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether it gets a refresh token without asking for `offline_access`.
    #[serde(default)]
    pub always_refresh: bool,
    /// Where it keeps its refresh tokens. Those of public clients are never taken to be on a server.
    #[serde(default)]
    pub refresh_token_in: RefreshTokenIn,
    /// Whether its families outlive the sign-in they came from.
    #[serde(default)]
    pub outlives_sign_out: bool,
    /// Whether one user may have several families of it in one browser.
    #[serde(default)]
    pub multiple_sessions: bool,
    /// Claims about the user that its application tokens carry: `roles`, `email`, `name`.
    #[serde(default)]
    pub claims: Vec<String>,
    /// Algorithm of its application tokens, if not the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_alg: Option<Algorithm>,
    /// Whether it may get application tokens for itself, without a user (RFC 6749 §4.4). A service always may.
    #[serde(default)]
    pub client_credentials: bool,
    /// Whether its `sub` of a user is that of other clients.
    #[serde(default)]
    pub subject_type: SubjectType,
    /// The host that stands for its sector, if its redirect URIs have not one host (OpenID Connect Core §8.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_identifier: Option<String>,
    /// Algorithm of the `UserInfo` response, which is then a JWT; JSON if not set (OpenID Connect Core §5.3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<Algorithm>,
    /// Algorithm of its ID tokens (RS256, PS256, ES256, EdDSA); RS256 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_alg: Option<Algorithm>,
    /// Whether it gets an ID token at every refresh.
    #[serde(default)]
    pub id_token_on_refresh: bool,
    /// Whether its users have to show two factors.
    #[serde(default)]
    pub two_factors: bool,
    /// Whether devices without a browser may sign users in to it (RFC 8628).
    #[serde(default)]
    pub device: bool,
    /// The scopes that agents may ask it for whose id is the address of their metadata. APIs only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_scopes: Vec<String>,
    /// What the APIs let it ask for if its id is the address of its metadata. It is filled in when the client is read.
    #[serde(skip)]
    pub agent_apis: Vec<AgentApi>,
    /// The scopes of an API in words, for the page on which users allow an agent. APIs only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scope_texts: BTreeMap<String, String>,
    /// The audiences that it may exchange the tokens of its users for (RFC 8693).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchange: Vec<Exchange>,
    /// Whether it may ask for a code without PKCE, by a `nonce` instead (RFC 9700 §2.1.1). Confidential clients only.
    #[serde(default)]
    pub no_pkce: bool,
    /// Whether it has to push its authorization requests (`require_pushed_authorization_requests`, RFC 9126 §6).
    #[serde(default)]
    pub par: bool,
    /// Whether its tokens have to be bound to a key (RFC 9449 §5.2).
    #[serde(default)]
    pub dpop_bound_access_tokens: bool,
    /// The public keys that it authenticates by, instead of a secret: a JSON Web Key Set (RFC 7591 §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// The address of these keys, instead of the keys (RFC 7591 §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Lifetimes, if not the deployment's.
    #[serde(default, skip_serializing_if = "Lifetimes::is_empty")]
    pub lifetimes: Lifetimes,
}

fn confidential() -> ClientType {
    ClientType::Confidential
}

impl ClientMetadata {
    /// An app of this id, with nothing declared.
    pub fn named(client_id: &str, name: &str, kind: ClientType) -> Self {
        Self {
            client_id: client_id.to_owned(),
            name: name.to_owned(),
            kind,
            redirect_uris: Vec::new(),
            post_logout_uris: Vec::new(),
            backchannel_logout_uri: None,
            launch_url: None,
            audiences: Vec::new(),
            scopes: Vec::new(),
            always_refresh: false,
            refresh_token_in: RefreshTokenIn::Server,
            outlives_sign_out: false,
            multiple_sessions: false,
            claims: Vec::new(),
            at_alg: None,
            client_credentials: false,
            subject_type: SubjectType::Public,
            sector_identifier: None,
            userinfo_signed_response_alg: None,
            id_token_alg: None,
            id_token_on_refresh: false,
            two_factors: false,
            device: false,
            agent_scopes: Vec::new(),
            agent_apis: Vec::new(),
            scope_texts: BTreeMap::new(),
            exchange: Vec::new(),
            no_pkce: false,
            par: false,
            dpop_bound_access_tokens: false,
            jwks: None,
            jwks_uri: None,
            lifetimes: Lifetimes::default(),
        }
    }

    /// Checks that it makes sense.
    ///
    /// # Errors
    /// A text that names the member and says what to change.
    pub fn check(&self) -> Result<(), String> {
        let id_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_id = (1..=64).contains(&self.client_id.len()) && self.client_id.chars().all(id_char);
        if !is_id && !self.is_document() {
            return Err("client_id: 1 to 64 letters, digits and -_. are allowed".to_owned());
        }
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > 100 || name.contains(char::is_control) {
            return Err("name: 1 to 100 characters are needed".to_owned());
        }
        for uri in &self.redirect_uris {
            redirect_uri::check(uri).map_err(|why| format!("redirect_uris: `{uri}` {why}"))?;
        }
        for uri in self.post_logout_uris.iter().chain(&self.launch_url) {
            let url = Url::parse(uri).map_err(|error| format!("`{uri}`: {error}"))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(format!("`{uri}` is neither http nor https"));
            }
        }
        if let Some(uri) = &self.backchannel_logout_uri {
            self.check_backchannel_logout_uri(uri)
                .map_err(|why| format!("backchannel_logout_uri: `{uri}` {why}"))?;
        }
        check_scopes(&self.scopes)?;
        check_scopes(&self.agent_scopes)?;
        check_audiences(&self.audiences)?;
        self.check_exchange()?;
        for claim in &self.claims {
            if !["roles", "email", "name"].contains(&claim.as_str()) {
                return Err(format!("claims: `{claim}` is not one of roles, email, name"));
            }
        }
        self.check_keys()?;
        self.lifetimes.check()?;
        if self.no_pkce && self.kind != ClientType::Confidential {
            return Err("no_pkce: only a confidential app can do without PKCE; without a secret, \
                         a stolen code would be all that a thief needs"
                .to_owned());
        }
        for (name, algorithm) in [
            ("id_token_alg", self.id_token_alg),
            ("userinfo_signed_response_alg", self.userinfo_signed_response_alg),
        ] {
            if algorithm == Some(Algorithm::HS256) {
                return Err(format!("{name}: RS256, PS256, ES256 and EdDSA are possible"));
            }
        }
        // APIs check application tokens with a fixed list of algorithms, which PS256 is not on.
        if self.at_alg == Some(Algorithm::PS256) {
            return Err("at_alg: EdDSA, ES256, RS256 and HS256 are possible".to_owned());
        }
        if self.client_credentials && !self.gets_own_tokens() {
            return Err("client_credentials: only for confidential apps".to_owned());
        }
        self.check_subjects()?;
        self.check_agent()?;
        self.check_scope_texts()?;
        match self.kind {
            ClientType::Service | ClientType::Api if self.device => {
                Err("device: only apps that people use have devices".to_owned())
            }
            ClientType::Service | ClientType::Api
                if !self.redirect_uris.is_empty() || self.launch_url.is_some() =>
            {
                let what = if self.kind == ClientType::Api { "an api" } else { "a service" };
                Err(format!("{what} has neither redirect_uris nor a launch_url"))
            }
            ClientType::Api if !self.scopes.is_empty() => {
                Err("scopes: an api gets no tokens; the apps that call it ask for scopes"
                    .to_owned())
            }
            ClientType::Service | ClientType::Api => Ok(()),
            _ if self.redirect_uris.is_empty() && !self.device => {
                Err("redirect_uris: an app that people use needs at least one, or `device`"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    fn check_subjects(&self) -> Result<(), String> {
        let has_users = !matches!(self.kind, ClientType::Service | ClientType::Api);
        match self.subject_type {
            SubjectType::Public if self.sector_identifier.is_none() => Ok(()),
            SubjectType::Public => {
                Err("sector_identifier: only for subject_type pairwise".to_owned())
            }
            SubjectType::Pairwise if has_users => self.sector().map(drop),
            SubjectType::Pairwise => {
                Err("subject_type: only apps that people use have subjects".to_owned())
            }
        }
    }

    /// The sector of its pairwise subject identifiers.
    ///
    /// # Errors
    /// The setting that is to be changed.
    pub fn sector(&self) -> Result<String, String> {
        subject::sector(self.sector_identifier.as_deref(), &self.redirect_uris)
    }

    fn check_exchange(&self) -> Result<(), String> {
        if self.is_public() && !self.exchange.is_empty() {
            return Err("exchange: a public app cannot prove who it is".to_owned());
        }
        for (index, pair) in self.exchange.iter().enumerate() {
            check_audiences(std::slice::from_ref(&pair.audience))
                .and_then(|()| check_scopes(&pair.scopes))
                .map_err(|why| format!("exchange: {why}"))?;
            if self.exchange[..index].iter().any(|earlier| earlier.audience == pair.audience) {
                return Err(format!("exchange: `{}` is there twice", pair.audience));
            }
        }
        Ok(())
    }

    /// Back-Channel Logout 1.0 §2.2: absolute, without a fragment, and https unless the client has a secret.
    fn check_backchannel_logout_uri(&self, uri: &str) -> Result<(), String> {
        let url = Url::parse(uri).map_err(|error| format!("is not a URL: {error}"))?;
        match url.scheme() {
            _ if url.fragment().is_some() => Err("has a fragment".to_owned()),
            _ if !url.username().is_empty() || url.password().is_some() => {
                Err("has a user name or password".to_owned())
            }
            "https" => Ok(()),
            "http" if self.kind == ClientType::Confidential => Ok(()),
            _ => Err("is not https".to_owned()),
        }
    }

    /// Whether a family of this scope gets refresh tokens.
    pub fn refreshes(&self, granted: &Scope) -> bool {
        (self.always_refresh && !self.is_document())
            || (self.allows_scope(OFFLINE_ACCESS) && granted.contains(OFFLINE_ACCESS))
    }

    /// Whether a token with this audience is for the client itself: its id, or, of an API, the audience that it is registered
    /// with. The audiences of other clients are those of the APIs that they call.
    pub fn is_audience(&self, audience: &str) -> bool {
        audience == self.client_id
            || (self.kind == ClientType::Api && self.audiences.iter().any(|own| own == audience))
    }

    /// The pair by which it may exchange tokens for this audience.
    pub fn exchange_for(&self, audience: &str) -> Option<&Exchange> {
        self.exchange.iter().find(|pair| pair.audience == audience)
    }

    /// Whether this is one of its redirect URIs: the exact string, but for the port of a loopback address in
    /// a public app (RFC 8252 §7.3).
    pub fn allows_redirect(&self, uri: &str) -> bool {
        let any_loopback_port = self.is_public();
        self.redirect_uris.iter().any(|known| redirect_uri::matches(known, uri, any_loopback_port))
    }

    /// Whether a response to this redirect URI certainly reaches the client itself.
    ///
    /// Not when it authenticates by no secret and the URI is on the user's machine, at a loopback address or in a scheme of
    /// its own: any program there can take either (RFC 8252 §8.6).
    pub fn identity_is_assured(&self, redirect_uri: &str) -> bool {
        !self.is_public() || redirect_uri.starts_with("https://")
    }

    /// Whether it may get application tokens for itself.
    pub fn gets_own_tokens(&self) -> bool {
        match self.kind {
            ClientType::Service => true,
            ClientType::Confidential => self.client_credentials,
            ClientType::Public | ClientType::Api | ClientType::Agent => false,
        }
    }

    /// Whether the launcher can open it.
    pub fn is_launchable(&self) -> bool {
        self.launch_url.is_some()
    }

    /// Every origin that opening it may lead through, for a page's `form-action`; the scheme where that is all there is.
    pub fn origins(&self) -> Vec<String> {
        let mut origins: Vec<String> = self
            .redirect_uris
            .iter()
            .chain(&self.launch_url)
            .filter_map(|uri| Url::parse(uri).ok())
            .map(|mut url| {
                let any_port = self.is_public() && redirect_uri::is_loopback_literal(&url);
                if any_port && url.set_port(None).is_ok() {
                    return format!("{}:*", form_source(&url));
                }
                form_source(&url)
            })
            .collect();
        origins.sort();
        origins.dedup();
        origins
    }
}

fn check_scopes(scopes: &[String]) -> Result<(), String> {
    for scope in scopes {
        let parsed: Result<Scope, ()> = scope.parse();
        if scope.is_empty() || scope.contains(' ') || parsed.is_err() || scope.len() > 128 {
            return Err(format!("scopes: `{scope}` is not a valid scope name"));
        }
    }
    Ok(())
}

fn check_audiences(audiences: &[String]) -> Result<(), String> {
    for audience in audiences {
        if audience.is_empty() || audience.len() > 256 || audience.contains(char::is_control) {
            return Err(format!("audiences: `{audience}` is not a valid audience"));
        }
    }
    Ok(())
}

/// A URL as a source of `form-action` (CSP Level 3 §2.3.1): its origin, or its scheme if it has no origin.
pub fn form_source(url: &Url) -> String {
    let origin = url.origin();
    if origin.is_tuple() { origin.ascii_serialization() } else { format!("{}:", url.scheme()) }
}

#[cfg(test)]
mod tests;
