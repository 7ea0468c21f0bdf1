//! A registered app: what it declared, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokens::{Algorithm, Scope};
use url::Url;

use super::redirect_uri;

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
    /// An API: it gets no tokens, is told which sessions have ended, and introspects the tokens that are for it.
    Api,
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
    /// Its name, as people see it.
    pub name: String,
    /// Whether it can keep a secret.
    #[serde(default = "confidential")]
    pub kind: ClientType,
    /// Where answers may be sent: compared as exact strings.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after signing out.
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
    /// Algorithm of its ID tokens; RS256 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_alg: Option<Algorithm>,
    /// Whether it gets an ID token at every refresh.
    #[serde(default)]
    pub id_token_on_refresh: bool,
    /// Whether its users have to show two factors.
    #[serde(default)]
    pub two_factors: bool,
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

/// Lifetimes that an app may set for itself, as humantime texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetimes {
    /// Of application tokens.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub at_ttl: Option<Duration>,
    /// Of delegation tokens.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub dt_ttl: Option<Duration>,
    /// How long a predecessor is answered with its successor.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub refresh_grace: Option<Duration>,
    /// Of families that are not used.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub family_idle_ttl: Option<Duration>,
    /// Of families at all.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub family_ttl: Option<Duration>,
}

/// The longest life of an application token: a signing key stays published for that long.
pub const MAX_AT_TTL: Duration = Duration::from_hours(24);
/// The longest life of a delegation token (RFC 6749 §4.1.2 recommends ten minutes at most).
pub const MAX_DT_TTL: Duration = Duration::from_mins(10);

impl Lifetimes {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        for (name, life, most) in [
            ("at_ttl", self.at_ttl, MAX_AT_TTL),
            ("dt_ttl", self.dt_ttl, MAX_DT_TTL),
            ("family_idle_ttl", self.family_idle_ttl, Duration::MAX),
            ("family_ttl", self.family_ttl, Duration::MAX),
        ] {
            if life.is_some_and(|life| life < second || life > most) {
                let most = match most {
                    Duration::MAX => String::new(),
                    most => format!(" and at most {}", humantime::format_duration(most)),
                };
                return Err(format!("{name}: at least 1s{most}"));
            }
        }
        Ok(())
    }
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
            id_token_alg: None,
            id_token_on_refresh: false,
            two_factors: false,
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
        if !(1..=64).contains(&self.client_id.len()) || !self.client_id.chars().all(id_char) {
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
        for scope in &self.scopes {
            let parsed: Result<Scope, ()> = scope.parse();
            if scope.is_empty() || scope.contains(' ') || parsed.is_err() || scope.len() > 128 {
                return Err(format!("scopes: `{scope}` is not a valid scope name"));
            }
        }
        for audience in &self.audiences {
            if audience.is_empty() || audience.len() > 256 || audience.contains(char::is_control) {
                return Err(format!("audiences: `{audience}` is not a valid audience"));
            }
        }
        for claim in &self.claims {
            if !["roles", "email", "name"].contains(&claim.as_str()) {
                return Err(format!("claims: `{claim}` is not one of roles, email, name"));
            }
        }
        self.check_keys()?;
        self.lifetimes.check()?;
        if self.id_token_alg == Some(Algorithm::HS256) {
            return Err("id_token_alg: RS256, ES256 and EdDSA are possible".to_owned());
        }
        match self.kind {
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
            _ if self.redirect_uris.is_empty() => {
                Err("redirect_uris: an app that people use needs at least one".to_owned())
            }
            _ => Ok(()),
        }
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

    /// The scopes it may ask for.
    pub fn allowed_scopes(&self) -> Scope {
        if self.scopes.is_empty() {
            return DEFAULT_SCOPES.parse().unwrap_or_default();
        }
        self.scopes.join(" ").parse().unwrap_or_default()
    }

    /// Whether it may ask for the scope of this name.
    pub fn allows_scope(&self, name: &str) -> bool {
        if self.scopes.is_empty() {
            return DEFAULT_SCOPES.split(' ').any(|known| known == name);
        }
        self.scopes.iter().any(|known| known == name)
    }

    /// The names of a granted scope that it may still ask for: what was taken from it since is left out.
    pub fn still_allowed(&self, granted: &str) -> String {
        if granted.split(' ').all(|name| self.allows_scope(name)) {
            return granted.to_owned();
        }
        let allowed: Vec<&str> =
            granted.split(' ').filter(|name| self.allows_scope(name)).collect();
        allowed.join(" ")
    }

    /// Whether a family of this scope gets refresh tokens.
    pub fn refreshes(&self, granted: &str) -> bool {
        self.always_refresh
            || (self.allows_scope(OFFLINE_ACCESS)
                && granted.split(' ').any(|name| name == OFFLINE_ACCESS))
    }

    /// The audiences its tokens may be for: never none.
    pub fn allowed_audiences(&self) -> Vec<&str> {
        if self.audiences.is_empty() {
            vec![&self.client_id]
        } else {
            self.audiences.iter().map(String::as_str).collect()
        }
    }

    /// Chooses the audience of a request (RFC 8707): the one that `resource` names, else `default`, else the first.
    ///
    /// # Errors
    /// [`UnknownResource`] when `resource` is not an audience of the client.
    pub fn choose_audience<'a>(
        &'a self,
        resource: Option<&str>,
        default: Option<&'a str>,
    ) -> Result<&'a str, UnknownResource> {
        let allowed = self.allowed_audiences();
        match resource {
            Some(resource) => {
                allowed.into_iter().find(|audience| *audience == resource).ok_or(UnknownResource)
            }
            // An earlier choice holds only while the client is registered for it.
            None => match default.filter(|default| allowed.contains(default)) {
                Some(default) => Ok(default),
                None => allowed.first().copied().ok_or(UnknownResource),
            },
        }
    }

    /// Whether this is one of its redirect URIs: the exact string, but for the port of a loopback address in
    /// a public app (RFC 8252 §7.3).
    pub fn allows_redirect(&self, uri: &str) -> bool {
        let any_loopback_port = self.kind == ClientType::Public;
        self.redirect_uris.iter().any(|known| redirect_uri::matches(known, uri, any_loopback_port))
    }

    /// Whether a response to this redirect URI certainly reaches the client itself.
    ///
    /// Not when it authenticates by no secret and the URI is on the user's machine, at a loopback address or in a scheme of
    /// its own: any program there can take either (RFC 8252 §8.6).
    pub fn identity_is_assured(&self, redirect_uri: &str) -> bool {
        self.kind != ClientType::Public || redirect_uri.starts_with("https://")
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
                let any_port =
                    self.kind == ClientType::Public && redirect_uri::is_loopback_literal(&url);
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

/// A URL as a source of `form-action` (CSP Level 3 §2.3.1): its origin, or its scheme if it has no origin.
pub fn form_source(url: &Url) -> String {
    let origin = url.origin();
    if origin.is_tuple() { origin.ascii_serialization() } else { format!("{}:", url.scheme()) }
}

/// The client is not registered for the requested audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownResource;

#[cfg(test)]
mod tests {
    use super::*;

    fn app(kind: ClientType, redirect: &str) -> ClientMetadata {
        let mut app = ClientMetadata::named("app", "App", kind);
        app.redirect_uris = vec![redirect.to_owned()];
        app
    }

    #[test]
    fn registrations_that_make_no_sense_say_what_to_change() {
        for uri in [
            "http://app.example/cb",
            "https://app.example/cb#x",
            "https://*.example/cb",
            "javascript:alert(1)",
            "/cb",
            "myapp:/cb",
            "https://u:p@app.example/cb",
        ] {
            assert!(
                app(ClientType::Public, uri).check().unwrap_err().contains("redirect_uris"),
                "{uri}"
            );
        }
        assert!(app(ClientType::Public, "com.example.app:/cb").check().is_ok());
        assert!(app(ClientType::Service, "https://app.example/cb").check().is_err());
        assert!(ClientMetadata::named("app", "App", ClientType::Public).check().is_err());
        assert!(ClientMetadata::named("a b", "App", ClientType::Service).check().is_err());
        for (life, name) in [
            ("at_ttl = '0s'", "at_ttl"),
            ("at_ttl = '25h'", "at_ttl"),
            ("dt_ttl = '11m'", "dt_ttl"),
        ] {
            let text =
                format!("client_id = 'a'\nname = 'A'\nkind = 'service'\n[lifetimes]\n{life}");
            let app: ClientMetadata = toml::from_str(&text).unwrap();
            assert!(app.check().unwrap_err().starts_with(name), "{life}");
        }
    }

    #[test]
    fn what_is_not_declared_has_a_default() {
        let app: ClientMetadata =
            toml::from_str("client_id = 'a'\nname = 'A'\n[lifetimes]\nat_ttl = '2m'").unwrap();
        assert_eq!(app.kind, ClientType::Confidential);
        assert_eq!(app.allowed_audiences(), ["a"]);
        assert_eq!(app.allowed_scopes().to_string(), DEFAULT_SCOPES);
        assert_eq!(app.lifetimes.at_ttl, Some(Duration::from_mins(2)));
        assert!(
            toml::from_str::<ClientMetadata>("client_id = 'a'\nname = 'A'\nscops = []").is_err()
        );
        let json = serde_json::to_string(&app).unwrap();
        assert_eq!(serde_json::from_str::<ClientMetadata>(&json).unwrap(), app);
    }
}
