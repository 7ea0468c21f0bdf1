//! The settings that all backends of browser apps have.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use actix_web::http::header::HeaderName;
use foundation::origin::{PublicUrl, origins};
use foundation::random::{Random, SystemRandom};
use foundation::seal::MasterSecret;
use secrecy::{ExposeSecret as _, SecretString};
use service::address::TrustedProxies;
use service::private_file::read_or_make_private;
use service::run::LogFormat;
use service::settings::{Settings, SettingsError, safe_issuer};
use url::Url;

use crate::signin::EmailTrust;

/// The table of a program's settings: those that all have, with its own port and name, and its own ones.
#[macro_export]
macro_rules! browser_app_settings {
    ($port:literal, $name:literal, [$($own:expr),* $(,)?]) => {{
        use service::settings::Setting;
        const SETTINGS: &[Setting] = &[
            Setting::new("listen", concat!("127.0.0.1:", $port), "Address and port to listen on"),
            Setting::optional("metrics_listen", "Address and port for /metrics, which is nowhere else"),
            Setting::new("public_url", concat!("http://localhost:", $port), "URL that browsers use for this backend"),
            Setting::new("insecure_http", "false", "Allow an http PUBLIC_URL or ISSUER that is not this machine"),
            Setting::new("hsts_subdomains", "false", "Have browsers insist on https at subdomains too"),
            Setting::optional("trusted_proxies", "Networks whose X-Forwarded-For counts, by commas"),
            Setting::new("issuer", "http://localhost:8080", "The OpenID provider"),
            Setting::optional("backchannel_url", "Where this process reaches the provider, if elsewhere"),
            Setting::new("client_id", $name, "This app's id at the provider"),
            Setting::secret("client_secret", "This app's secret at the provider"),
            Setting::optional("client_secret_file", "File with this app's secret at the provider"),
            Setting::new(
                "scopes",
                "openid profile email offline_access notes:read notes:write",
                "What to ask the provider for",
            ),
            Setting::new(
                "push_requests",
                "false",
                "Push authorization requests (PAR) even if the provider does not demand it of all apps",
            ),
            Setting::new(
                "email_trust",
                "email_verified",
                "The claim that must be true for an email address to count, or `always`",
            ),
            Setting::new(
                "revocation",
                "best_effort",
                "Sessions that end at our own authority: best_effort ends them here at once, ignore does not",
            ),
            Setting::optional("session_secret_file", "File with the secret that seals what is kept"),
            Setting::new("data_dir", "data", "Folder for that secret, if it is made here"),
            Setting::optional("static_dir", "Folder with the front end, instead of the embedded one"),
            Setting::optional("front_url", "Where browsers find the front end, if not here"),
            Setting::optional("cors_origins", "Further origins whose scripts may call, by commas; exactly these"),
            Setting::optional("cookie_domain", "Share the session cookie with all hosts of this domain"),
            Setting::new("log", "info", "Which log lines to write, as a filter"),
            Setting::new("log_format", "text", "text or json"),
            $($own),*
        ];
        SETTINGS
    }};
}

/// The settings that all backends of browser apps share.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// A separate address for `/metrics`.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether browsers insist on https at subdomains too (`includeSubDomains` of RFC 6797).
    pub hsts_subdomains: bool,
    /// Proxies that are believed about a browser's address.
    pub trusted_proxies: TrustedProxies,
    /// The URL that browsers use.
    pub public_url: PublicUrl,
    /// The OpenID provider.
    pub issuer: String,
    /// The URL at which this process reaches the provider, if it is another.
    pub backchannel_url: Option<String>,
    /// This app's id at the provider.
    pub client_id: String,
    /// This app's secret at the provider.
    pub client_secret: Option<SecretString>,
    /// The scope to ask the provider for.
    pub scopes: String,
    /// Whether authorization requests are pushed (RFC 9126) even if the provider does not demand it.
    pub push_requests: bool,
    /// When an email address counts.
    pub email_trust: EmailTrust,
    /// Whether ends that the provider publishes are followed.
    pub follows_ends: bool,
    /// Secret that seals sessions and attempts.
    pub session_secret: MasterSecret,
    /// The front end's folder, if it is not the embedded one.
    pub static_dir: Option<PathBuf>,
    /// The origin of the front end.
    pub front_url: PublicUrl,
    /// Further origins whose scripts may call.
    pub cors_origins: Vec<PublicUrl>,
    /// Headers besides the usual ones that scripts of those origins may send. No setting of its own: what an app's
    /// routes forward.
    pub api_headers: Vec<HeaderName>,
    /// Whose hosts all get the session cookie.
    pub cookie_domain: Option<String>,
    /// The provider's token endpoint as browsers name it, if access tokens for pages have to be bound to a key of the browser
    /// (DPoP, RFC 9449).
    pub dpop_token_endpoint: Option<Url>,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
}

impl Config {
    /// Parses settings. Makes the session secret if there is none. `name` is the app's, and its files'.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(settings: &Settings, name: &str) -> Result<Self, SettingsError> {
        let public_url: PublicUrl = settings.get("public_url")?;
        let insecure = settings.get::<bool>("insecure_http")?;
        if !public_url.is_https() && !public_url.is_loopback() && !insecure {
            return Err(SettingsError::new(format!(
                "PUBLIC_URL is {public_url}: without https, cookies can be read on the way. \
                 Use https, or say --insecure-http if that is meant"
            )));
        }
        let issuer: String = settings.get("issuer")?;
        let backchannel_url: Option<String> = settings.optional("backchannel_url")?;
        if backchannel_url.is_none() && !insecure {
            safe_issuer(&issuer)?;
        }
        let data_dir: PathBuf = settings.get("data_dir")?;
        let secret_file: Option<PathBuf> = settings.optional("session_secret_file")?;
        let secret_file =
            secret_file.unwrap_or_else(|| data_dir.join(format!("{name}-session-secret")));
        let front_url: Option<PublicUrl> = settings.optional("front_url")?;
        let cors_origins: Option<String> = settings.optional("cors_origins")?;
        let static_dir: Option<PathBuf> = settings.optional("static_dir")?;
        if let Some(folder) =
            static_dir.as_ref().filter(|folder| !folder.join("index.html").exists())
        {
            return Err(SettingsError::new(format!(
                "STATIC_DIR: there is no index.html in {}",
                folder.display()
            )));
        }
        Ok(Self {
            listen: settings.address("listen")?.ok_or_else(|| settings.missing("listen"))?,
            metrics_listen: settings.address("metrics_listen")?,
            hsts_subdomains: settings.get("hsts_subdomains")?,
            trusted_proxies: settings.optional("trusted_proxies")?.unwrap_or_default(),
            issuer,
            backchannel_url,
            client_id: settings.get("client_id")?,
            client_secret: settings.secret("client_secret", "client_secret_file")?,
            scopes: settings.get("scopes")?,
            push_requests: settings.get("push_requests")?,
            email_trust: settings.get("email_trust")?,
            follows_ends: follows_ends(settings)?,
            session_secret: read_or_make_secret(&secret_file)?,
            static_dir,
            front_url: front_url.unwrap_or_else(|| public_url.clone()),
            cors_origins: origins(cors_origins.as_deref().unwrap_or_default())
                .map_err(|why| SettingsError::new(format!("CORS_ORIGINS: {why}")))?,
            api_headers: Vec::new(),
            cookie_domain: cookie_domain(settings.optional("cookie_domain")?, &public_url)?,
            public_url,
            dpop_token_endpoint: None,
            log: settings.get("log")?,
            log_format: settings.get("log_format")?,
        })
    }

    /// With `dpop_token_endpoint`, a setting of the backends whose pages get access tokens.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn with_dpop(self, settings: &Settings) -> Result<Self, SettingsError> {
        let url = settings.optional::<String>("dpop_token_endpoint")?;
        let dpop_token_endpoint = url
            .map(|url| base_url(&url))
            .transpose()
            .map_err(|why| SettingsError::new(format!("DPOP_TOKEN_ENDPOINT: {why}")))?;
        Ok(Self { dpop_token_endpoint, ..self })
    }
}

fn follows_ends(settings: &Settings) -> Result<bool, SettingsError> {
    match settings.get::<String>("revocation")?.as_str() {
        "best_effort" => Ok(true),
        "ignore" => Ok(false),
        other => Err(SettingsError::new(format!(
            "REVOCATION: `{other}` is not possible here, but best_effort and ignore are"
        ))),
    }
}

/// The URL of the session store: the content of the file in `SESSION_STORE_FILE`, else `SESSION_STORE`.
///
/// # Errors
/// [`SettingsError`] when the file cannot be read.
pub fn session_store(settings: &Settings) -> Result<String, SettingsError> {
    let url = settings.secret("session_store", "session_store_file")?;
    let url = url.ok_or_else(|| SettingsError::new("SESSION_STORE must be set"))?;
    Ok(url.expose_secret().trim().to_owned())
}

/// Reads the session secret, or makes a file with a new one that only its owner can read.
fn read_or_make_secret(file: &Path) -> Result<MasterSecret, SettingsError> {
    let random: &dyn Random = &SystemRandom;
    let text = read_or_make_private(file, || random.token())
        .map_err(|error| SettingsError::new(format!("{}: {error}", file.display())))?;
    MasterSecret::new(text.expose_secret().trim().as_bytes().to_vec()).ok_or_else(|| {
        SettingsError::new(format!("{}: at least 32 bytes are needed", file.display()))
    })
}

/// A domain that this host is in, and that is no bare top-level one.
fn cookie_domain(
    given: Option<String>,
    public_url: &PublicUrl,
) -> Result<Option<String>, SettingsError> {
    let Some(domain) = given else { return Ok(None) };
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    let host = public_url.host();
    if !domain.contains('.') || !(host == domain || host.ends_with(&format!(".{domain}"))) {
        return Err(SettingsError::new(format!(
            "COOKIE_DOMAIN: `{domain}` is not a domain that {host} is in"
        )));
    }
    Ok(Some(domain))
}

/// A URL without a slash at its end, to which paths are added.
///
/// # Errors
/// A text that says what is wrong.
pub fn base_url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text.trim_end_matches('/')).map_err(|error| format!("`{text}`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https")
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(format!("`{text}` must be http or https, without query and fragment"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_shared_within_ones_own_domain_alone() {
        let here: PublicUrl = "https://app.shop.example".parse().unwrap();
        let shared = |domain: &str| cookie_domain(Some(domain.to_owned()), &here);
        assert_eq!(shared(".shop.example").unwrap().as_deref(), Some("shop.example"));
        assert_eq!(shared("app.shop.example").unwrap().as_deref(), Some("app.shop.example"));
        for domain in ["example", "other.example", "p.example", "hop.example", ""] {
            assert!(shared(domain).is_err(), "{domain}");
        }
        assert_eq!(cookie_domain(None, &here).unwrap(), None);
    }
}
