//! A token-mediating backend: the browser holds a session cookie, and an application token in its memory, with which it
//! calls APIs by itself. The refresh token stays in this backend.

mod auth;

use actix_web::cookie::SameSite;
use relying_party::session;
use relying_party::web::cookies::Cookie;
use relying_party::web::front::Front;
use relying_party::web::settings::base_url;
use relying_party::web::{self as site, StartError, settings};
use service::program::Program;
use service::run::{self, Stop};
use service::settings::{Setting, Settings, SettingsError};
use url::Url;

pub use relying_party::web::Application;

/// The prefix of every environment variable.
pub const PREFIX: &str = "TMB_";
/// Every setting there is.
pub const SETTINGS: &[Setting] = relying_party::browser_app_settings!(
    "8083",
    "tmb",
    [
        Setting::new(
            "session_store",
            "sqlite://data/tmb.db",
            "memory:, sqlite://…, postgres://… or redis://…"
        ),
        Setting::optional("session_store_file", "File with that URL, if it has a password"),
        Setting::new("api_url", "http://localhost:8081", "The API that the front end calls"),
        Setting::optional(
            "dpop_token_endpoint",
            "The provider's token endpoint as browsers name it: binds access tokens to their keys (DPoP)",
        ),
    ]
);

/// The session cookie. Lax, not Strict: see docs/decisions/0004.
const SESSION: Cookie<'_> =
    Cookie { name: "tmb_session", path: "/", same_site: SameSite::Lax, shared: true };

const PROGRAM: site::Program = site::Program {
    name: "microapp-tmb",
    prefix: PREFIX,
    version: env!("CARGO_PKG_VERSION"),
    after_logout: "/auth/logout/callback",
    csrf_header: true,
};

/// The app's settings.
#[derive(Debug)]
pub struct Config {
    /// Those that all backends of browser apps have.
    pub site: settings::Config,
    /// URL of the session store.
    pub session_store: String,
    /// The API that the front end calls.
    pub api_url: Url,
}

impl Config {
    /// Parses settings.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let api_url = base_url(&settings.get::<String>("api_url")?);
        Ok(Self {
            site: settings::Config::read(settings, "tmb")?.with_dpop(settings)?,
            session_store: settings::session_store(settings)?,
            api_url: api_url.map_err(|why| SettingsError::new(format!("TMB_API_URL: {why}")))?,
        })
    }
}

/// Opens the session store and starts to listen.
///
/// # Errors
/// [`StartError`].
pub async fn build(config: Config, stop: Stop) -> Result<Application, StartError> {
    let store = session::open(&config.session_store, "tmb").await?;
    let notes = format!("{}/notes", config.api_url.as_str().trim_end_matches('/'));
    let files = notes_front::files(&notes_front::App {
        pattern: "tmb",
        api: &notes,
        issuer: &config.site.issuer,
        token_endpoint: config.site.dpop_token_endpoint.as_ref().map(Url::as_str),
    });
    let front = Front::new(config.site.static_dir.clone(), files);
    let connect_to = [config.api_url.origin().ascii_serialization()];
    Application::build(PROGRAM, config.site, store, stop, front, &connect_to, move |app| {
        app.configure(auth::routes);
    })
}

/// The program: settings from arguments and environment, then serve.
///
/// # Errors
/// The failure, in words.
pub async fn main() -> Result<(), run::Failure> {
    let program = Program {
        name: PROGRAM.name,
        version: PROGRAM.version,
        about: "A token-mediating backend",
        prefix: PREFIX,
        settings: SETTINGS,
        file: "tmb.toml",
    };
    let config = Config::read(&program.read_settings()?)?;
    run::start_logging(&config.site.log, config.site.log_format)?;
    build(config, Stop::on_signals()).await?.run_until_stopped().await?;
    Ok(())
}
