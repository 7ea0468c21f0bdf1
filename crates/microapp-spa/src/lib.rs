//! A refresh-cookie backend: the browser holds the refresh token, sealed, in a cookie that no script can read and that
//! goes to `/auth/refresh` alone, and an application token in its memory. This backend keeps no token: it keeps which
//! pair of cookies is a session's newest, to notice copies.

mod auth;
mod pairs;
mod sealed;

use std::sync::Arc;

use actix_web::web;
use relying_party::session;
use relying_party::web::front::Front;
use relying_party::web::settings::base_url;
use relying_party::web::{self as site, StartError, settings};
use service::program::Program;
use service::run::{self, Stop};
use service::settings::{Setting, Settings, SettingsError};
use url::Url;

pub use relying_party::web::Application;

/// The prefix of every environment variable.
pub const PREFIX: &str = "SPA_";
/// Every setting there is.
pub const SETTINGS: &[Setting] = relying_party::browser_app_settings!(
    "8084",
    "spa",
    [
        Setting::new(
            "session_store",
            "sqlite://data/spa.db",
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

const PROGRAM: site::Program = site::Program {
    name: "microapp-spa",
    prefix: PREFIX,
    version: env!("CARGO_PKG_VERSION"),
    after_logout: "/",
    // Its own token, bound to the session, does more.
    csrf_header: false,
};

/// The app's settings.
#[derive(Debug)]
pub struct Config {
    /// Those that all backends of browser apps have.
    pub site: settings::Config,
    /// URL of the store of sessions, which has no tokens.
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
            site: settings::Config::read(settings, "spa")?.with_dpop(settings)?,
            session_store: settings::session_store(settings)?,
            api_url: api_url.map_err(|why| SettingsError::new(format!("SPA_API_URL: {why}")))?,
        })
    }
}

/// Starts to listen.
///
/// # Errors
/// [`StartError`].
pub async fn build(config: Config, stop: Stop) -> Result<Application, StartError> {
    let seals = web::Data::new(sealed::Seals::new(&config.site.session_secret));
    let notes = format!("{}/notes", config.api_url.as_str().trim_end_matches('/'));
    let files = notes_front::files(&notes_front::App {
        pattern: "spa",
        api: &notes,
        issuer: &config.site.issuer,
        token_endpoint: config.site.dpop_token_endpoint.as_ref().map(Url::as_str),
    });
    let front = Front::new(config.site.static_dir.clone(), files);
    let connect_to = [config.api_url.origin().ascii_serialization()];
    let store = session::open(&config.session_store, "spa").await?;
    let pairs = web::Data::new(pairs::Pairs(Arc::clone(&store)));
    Application::build(PROGRAM, config.site, store, stop, front, &connect_to, move |app| {
        app.app_data(seals.clone()).app_data(pairs.clone()).configure(auth::routes);
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
        about: "A refresh-cookie backend",
        prefix: PREFIX,
        settings: SETTINGS,
        file: "spa.toml",
    };
    let config = Config::read(&program.read_settings()?)?;
    run::start_logging(&config.site.log, config.site.log_format)?;
    build(config, Stop::on_signals()).await?.run_until_stopped().await?;
    Ok(())
}
