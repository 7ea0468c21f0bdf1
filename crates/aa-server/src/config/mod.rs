//! The settings of the authority, read once (contract §5, `docs/contract.md`).

mod accounts;
mod clients;
mod keys;
mod secrets;
mod ttls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use foundation::origin::PublicUrl;
use foundation::random::Random;
use foundation::seal::MasterSecret;
use ipnet::IpNet;
use serde_json::{Value, json};
use service::run::LogFormat;
use service::settings::{Setting, Settings, SettingsError};
use tokens::Algorithm;

use crate::domain::client::{MAX_AT_TTL, MAX_DT_TTL};
use crate::domain::password::DEFAULT_MIN_CHARS;
use crate::services::mailer::{MailSettings, SmtpUrl};
pub use accounts::SecondFactor;
use accounts::{read_mail, read_second_factor};
pub use clients::ClientRegistration;
use clients::OffOn;
use keys::{read_at_alg, read_key_rotation};
use secrets::{SECRET_FILE, read_secrets};
pub use ttls::Ttls;

/// The prefix of every environment variable.
pub const PREFIX: &str = "AA_";
/// The settings file, read if it exists.
pub const FILE: &str = "aa.toml";

/// The settings, with their defaults and the text of `--help`.
pub const SETTINGS: &[Setting] = &[
    Setting::new("listen", "127.0.0.1:8080", "Address and port to listen on"),
    Setting::new("public_url", "http://localhost:8080", "URL that browsers use: the issuer"),
    Setting::optional("database_url", "sqlite://… or postgres://… (else DATABASE_URL)"),
    Setting::new("data_dir", "./data", "Folder for what is not in the database"),
    Setting::secret("secret", "The server's secret; several lines are newest first"),
    Setting::optional("secret_file", "File with the server's secret, at least 32 bytes a line"),
    Setting::new("at_ttl", "5m", "Life of an application token"),
    Setting::new("dt_ttl", "30s", "Life of a delegation token"),
    Setting::optional("refresh_grace", "How long a predecessor is answered with its successor"),
    Setting::new("family_idle_ttl", "30d", "Life of a session that is not used"),
    Setting::new("family_ttl", "90d", "Life of a session"),
    Setting::new("identity_idle_ttl", "14d", "Life of a sign-in that is not used"),
    Setting::new("identity_ttl", "90d", "Life of a sign-in"),
    Setting::new("at_alg", "EdDSA", "EdDSA, ES256, RS256 or HS256"),
    Setting::new("key_rotation", "90d", "How often new signing keys sign; never: by command only"),
    Setting::new("registration", "closed", "Registration of users: open, invite or closed"),
    Setting::new(
        "client_registration",
        "off",
        "Apps register themselves: off, initial_access_token",
    ),
    Setting::new(
        "client_id_metadata",
        "off",
        "Agents whose client id is the address of their metadata: off, on",
    ),
    Setting::new("require_par", "false", "Accept only authorization requests that are pushed"),
    Setting::new("password_min_chars", "8", "Fewest characters of a password, 8 to 64"),
    Setting::optional("trusted_proxies", "Networks whose X-Forwarded-For counts, by commas"),
    Setting::optional(
        "delivery_networks",
        "Networks besides public addresses that back-channel logout may reach, by commas",
    ),
    Setting::new("events_kept", "400d", "How long events are kept"),
    Setting::optional("branding", "Folder with branding.toml, a logo, and texts/"),
    Setting::optional("geoip_file", "MaxMind database (.mmdb) with the countries of addresses"),
    Setting::secret(
        "smtp_url",
        "Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://…",
    ),
    Setting::optional("smtp_url_file", "File with the URL of the mail server"),
    Setting::optional("smtp_ca_file", "Certificate (PEM) that the mail server's is signed with"),
    Setting::optional("mail_from", "Sender of mails: Name <address>"),
    Setting::new("sign_in_code", "false", "Let users sign in with a code by mail"),
    Setting::new(
        "second_factor",
        "optional",
        "Who needs two factors: optional, admins or everybody",
    ),
    Setting::optional("second_factor_from", "The day from which they need them: 2027-01-31"),
    Setting::optional("remember_browser", "How long a browser may need no second factor"),
    Setting::new("closing_grace", "14d", "How long a closed account can be kept"),
    Setting::new("log", "info", "Which log lines to write, as a filter"),
    Setting::new("log_format", "text", "text or json"),
    Setting::optional("metrics_listen", "Address and port for /metrics, which is nowhere else"),
    Setting::new(
        "ephemeral_data",
        "true",
        "Keep an SQLite database even where it goes with its container",
    ),
    Setting::new("hsts_subdomains", "false", "Have browsers insist on https at subdomains too"),
    Setting::optional("hash_permits", "Passwords hashed at once; default: cores"),
    Setting::new("insecure_http", "false", "Accept an http public URL that is not this machine"),
];

/// The ways in which accounts come into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Every visitor may register.
    Open,
    /// Registration needs an invitation.
    Invite,
    /// No registration; the first administrator's link and invitations by the operator still work.
    Closed,
}

impl RegistrationMode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invite => "invite",
            Self::Closed => "closed",
        }
    }
}

impl FromStr for RegistrationMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "invite" => Ok(Self::Invite),
            "closed" => Ok(Self::Closed),
            other => Err(format!("`{other}` is not one of open, invite, closed")),
        }
    }
}

/// The authority's settings.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The URL that browsers use, which is also the issuer.
    pub public_url: PublicUrl,
    /// `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// The folder for everything that is not in the database.
    pub data_dir: PathBuf,
    /// The folder of the branding.
    pub branding: Option<PathBuf>,
    /// The database (`.mmdb`) with the countries of addresses.
    pub geoip_file: Option<PathBuf>,
    /// Where mail goes.
    pub mail: Box<MailSettings>,
    /// Whether `/demo/mail` shows the mails in the folder, to every visitor: no setting, for the demo alone.
    pub mail_page: bool,
    /// Whether users may sign in with a code by mail.
    pub sign_in_code: bool,
    /// The policy of second factors.
    pub second_factor: SecondFactor,
    /// The time for which a closed account can be kept.
    pub closing_grace: Duration,
    /// The server's secrets, newest first. Empty when there is none and none was to be made.
    pub secrets: Vec<MasterSecret>,
    secret_file: Option<PathBuf>,
    /// Lifetimes of tokens, families and browser sessions.
    pub ttls: Ttls,
    /// The algorithm of application tokens, unless the client has its own.
    pub at_alg: Algorithm,
    /// The interval at which new signing keys begin to sign; none: by command only.
    pub key_rotation: Option<Duration>,
    /// The ways in which accounts come into being.
    pub registration: RegistrationMode,
    /// The ways in which clients register themselves.
    pub client_registration: ClientRegistration,
    /// Whether agents may come whose client id is the address of their metadata.
    pub client_id_metadata: bool,
    /// Whether every client has to push its authorization requests (RFC 9126 §5).
    pub require_par: bool,
    /// The time for which events are kept.
    pub events_kept: Duration,
    /// The fewest characters of a password.
    pub password_min_chars: usize,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks besides public addresses that messages to other systems may be sent to.
    pub delivery_networks: Vec<IpNet>,
    /// The log filter, as `tracing` reads it.
    pub log: String,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The address of `/metrics`; without it there are none.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether browsers insist on https at subdomains too (`includeSubDomains` of RFC 6797).
    pub hsts_subdomains: bool,
    /// Whether an SQLite database may be where it goes with its container.
    pub ephemeral_data: bool,
    /// The number of passwords hashed at the same time.
    pub hash_permits: usize,
}

impl Config {
    /// Parses the settings. With `random`, makes the data folder and, on SQLite, the server's secret if there is none;
    /// without it, there are no secrets then.
    ///
    /// # Errors
    /// [`SettingsError`] says what is wrong and how to fix it.
    pub fn read(
        settings: &Settings,
        fallback_database_url: Option<String>,
        random: Option<&dyn Random>,
    ) -> Result<Self, SettingsError> {
        let listen: SocketAddr =
            settings.address("listen")?.ok_or_else(|| settings.missing("listen"))?;
        let mut public_url: PublicUrl = settings.get("public_url")?;
        if !settings.is_set("public_url") && settings.is_set("listen") && listen.port() != 0 {
            let local = format!("http://localhost:{}", listen.port());
            public_url = local.parse().map_err(|_| SettingsError::new("AA_LISTEN: no URL"))?;
        }
        if !public_url.is_https()
            && !public_url.is_loopback()
            && !settings.get::<bool>("insecure_http")?
        {
            return Err(SettingsError::new(format!(
                "AA_PUBLIC_URL: {public_url} is http, so passwords and cookies would travel in the clear. \
                 Use https (a proxy may end TLS), or --insecure-http if you know what you are doing"
            )));
        }
        let data_dir: PathBuf = settings.get("data_dir")?;
        let database_url = settings
            .optional("database_url")?
            .or(fallback_database_url)
            .unwrap_or_else(|| format!("sqlite://{}", data_dir.join("aa.db").display()));
        database::check_url(&database_url)
            .map_err(|error| SettingsError::new(format!("AA_DATABASE_URL: {error}")))?;
        let password_min_chars: usize = settings.get("password_min_chars")?;
        if !(DEFAULT_MIN_CHARS..=64).contains(&password_min_chars) {
            return Err(SettingsError::new("AA_PASSWORD_MIN_CHARS must be from 8 to 64"));
        }
        let mail = read_mail(settings, &public_url, &data_dir)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            listen,
            secret_file: settings.optional("secret_file")?,
            secrets: read_secrets(settings, &database_url, &data_dir, random)?,
            public_url,
            database_url,
            data_dir,
            branding: settings.optional("branding")?,
            geoip_file: settings.optional("geoip_file")?,
            mail: Box::new(mail),
            mail_page: false,
            sign_in_code: settings.get("sign_in_code")?,
            second_factor: read_second_factor(settings)?,
            closing_grace: at_least_a_day(settings, "closing_grace")?,
            ttls: read_ttls(settings)?,
            at_alg: read_at_alg(settings)?,
            key_rotation: read_key_rotation(settings)?,
            registration: settings.get("registration")?,
            client_registration: settings.get("client_registration")?,
            client_id_metadata: settings.get::<OffOn>("client_id_metadata")? == OffOn::On,
            require_par: settings.get("require_par")?,
            events_kept: at_least_a_day(settings, "events_kept")?,
            password_min_chars,
            trusted_proxies: networks(settings, "trusted_proxies")?,
            delivery_networks: networks(settings, "delivery_networks")?,
            log: settings.get("log")?,
            log_format: settings.get("log_format")?,
            metrics_listen: settings.address("metrics_listen")?,
            hsts_subdomains: settings.get("hsts_subdomains")?,
            ephemeral_data: settings.get("ephemeral_data")?,
            hash_permits: settings.optional("hash_permits")?.unwrap_or(cores).max(1),
        })
    }
}

/// A list of networks or addresses, separated by commas.
fn networks(settings: &Settings, name: &'static str) -> Result<Vec<IpNet>, SettingsError> {
    let list: Option<String> = settings.optional(name)?;
    let parse = |network: &str| {
        let parsed =
            network.parse().or_else(|_| network.parse::<std::net::IpAddr>().map(IpNet::from));
        parsed.map_err(|_| {
            let setting = name.to_uppercase();
            SettingsError::new(format!("AA_{setting}: `{network}` is not a valid network"))
        })
    };
    let list = list.unwrap_or_default();
    list.split(',').map(str::trim).filter(|network| !network.is_empty()).map(parse).collect()
}

impl Config {
    /// The file of the server's secret.
    pub fn secret_file(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| self.data_dir.join(SECRET_FILE))
    }

    /// The effective settings of the deployment, by name. Leaves out secrets, the user and the parameters of the
    /// database URL, and what may differ between replicas: `listen`, `metrics_listen`, `data_dir`, `hash_permits`.
    pub fn to_json(&self) -> Value {
        let duration = |duration| humantime::format_duration(duration).to_string();
        let in_words =
            |networks: &[IpNet]| networks.iter().map(IpNet::to_string).collect::<Vec<_>>();
        json!({
            "public_url": self.public_url.to_string(),
            "database_url": without_credentials(&self.database_url),
            "at_ttl": duration(self.ttls.at),
            "dt_ttl": duration(self.ttls.dt),
            "refresh_grace": self.ttls.refresh_grace.map(duration),
            "family_idle_ttl": duration(self.ttls.family_idle),
            "family_ttl": duration(self.ttls.family),
            "identity_idle_ttl": duration(self.ttls.browser_session_idle),
            "identity_ttl": duration(self.ttls.browser_session),
            "at_alg": self.at_alg,
            "key_rotation": self.key_rotation.map(duration),
            "registration": self.registration.as_str(),
            "client_registration": <&str>::from(self.client_registration),
            "client_id_metadata": self.client_id_metadata,
            "require_par": self.require_par,
            "events_kept": duration(self.events_kept),
            "password_min_chars": self.password_min_chars,
            "smtp": self.mail.smtp.as_ref().map(SmtpUrl::shown),
            "mail_from": self.mail.from.to_string(),
            "sign_in_code": self.sign_in_code,
            "second_factor": <&str>::from(self.second_factor.policy),
            "second_factor_from": self.second_factor.from.map(|day| day.to_string()),
            "remember_browser": self.second_factor.remember.map(duration),
            "closing_grace": duration(self.closing_grace),
            "trusted_proxies": in_words(&self.trusted_proxies),
            "delivery_networks": in_words(&self.delivery_networks),
            "log": self.log,
            "log_format": match self.log_format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            },
        })
    }
}

/// Scheme, host, port and path of a URL; the scheme alone when it cannot be read.
fn without_credentials(url: &str) -> String {
    let scheme = || url.split(':').next().unwrap_or_default().to_owned();
    let Ok(parsed) = url::Url::parse(url) else { return scheme() };
    let host = parsed.host_str().unwrap_or_default();
    let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}{}", parsed.scheme(), parsed.path())
}

fn at_least_a_day(settings: &Settings, name: &str) -> Result<Duration, SettingsError> {
    let duration = settings.duration(name)?.unwrap_or_default();
    if duration < Duration::from_hours(24) {
        let name = name.to_uppercase();
        return Err(SettingsError::new(format!("AA_{name} must be at least one day")));
    }
    Ok(duration)
}

fn read_ttls(settings: &Settings) -> Result<Ttls, SettingsError> {
    let within = |name: &str, most: Duration| -> Result<Duration, SettingsError> {
        let duration = settings.duration(name)?.unwrap_or_default();
        let name = name.to_uppercase();
        if duration < Duration::from_secs(1) {
            return Err(SettingsError::new(format!("AA_{name} must be at least one second")));
        }
        if duration > most {
            let most = humantime::format_duration(most);
            return Err(SettingsError::new(format!("AA_{name} must be at most {most}")));
        }
        Ok(duration)
    };
    let positive = |name: &str| within(name, Duration::MAX);
    Ok(Ttls {
        at: within("at_ttl", MAX_AT_TTL)?,
        dt: within("dt_ttl", MAX_DT_TTL)?,
        refresh_grace: settings.duration("refresh_grace")?,
        family_idle: positive("family_idle_ttl")?,
        family: positive("family_ttl")?,
        browser_session_idle: positive("identity_idle_ttl")?,
        browser_session: positive("identity_ttl")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_shown_without_its_credentials() {
        for (url, shown) in [
            ("postgres://aa:s3cret@db:5433/aa?sslmode=require", "postgres://db:5433/aa"),
            ("postgres:///aa?host=/run/pg&user=aa&password=s3cret", "postgres:///aa"),
            ("sqlite:///var/lib/aa/aa.db", "sqlite:///var/lib/aa/aa.db"),
            ("postgres://aa:s3c ret@:db", "postgres"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
