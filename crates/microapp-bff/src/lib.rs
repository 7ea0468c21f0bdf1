//! A backend for frontend: the browser holds a session cookie and no token; this backend holds the tokens, and
//! proxies `/api/*` with the application token attached. It works with any OpenID provider.

mod auth;
mod frames;
mod headers;
mod proxy;
mod routes;
mod session_end;
mod websocket;

use std::path::PathBuf;

use actix_web::cookie::SameSite;
use actix_web::web;
use relying_party::session;
use relying_party::web::cookies::Cookie;
use relying_party::web::front::Front;
use relying_party::web::{self as site, StartError, settings};
use secrecy::{ExposeSecret as _, SecretString};
use service::program::Program;
use service::run::{self, Stop};
use service::settings::{Setting, Settings, SettingsError};

pub use frames::Frames;
pub use headers::cache_control;
pub use relying_party::web::Application;
pub use routes::{Route, Routes};

/// The prefix of every environment variable.
pub const PREFIX: &str = "BFF_";
/// Every setting there is.
pub const SETTINGS: &[Setting] = relying_party::browser_app_settings!(
    "8082",
    "bff",
    [
        Setting::new(
            "session_store",
            "sqlite://data/bff.db",
            "memory:, sqlite://…, postgres://… or redis://…"
        ),
        Setting::optional("session_store_file", "File with that URL, if it has a password"),
        Setting::optional(
            "routes",
            "File of [[route]] tables; else /api/notes goes to http://localhost:8081/notes"
        ),
        Setting::secret("verify_secret", "The secret that gets tokens from /auth/verify"),
        Setting::optional("verify_secret_file", "File with that secret"),
    ]
);

/// The session cookie. Lax, not Strict: see docs/decisions/0004.
const SESSION: Cookie<'_> =
    Cookie { name: "bff_session", path: "/", same_site: SameSite::Lax, shared: true };

const PROGRAM: site::Program = site::Program {
    name: "microapp-bff",
    prefix: PREFIX,
    version: env!("CARGO_PKG_VERSION"),
    after_logout: "/",
    csrf_header: true,
};

/// The app's settings.
#[derive(Debug)]
pub struct Config {
    /// Those that all backends of browser apps have.
    pub site: settings::Config,
    /// URL of the session store.
    pub session_store: String,
    /// Routes of the proxy.
    pub routes: Routes,
    /// Secret of clients that get tokens from `/auth/verify`.
    pub verify_secret: Option<SecretString>,
}

impl Config {
    /// Parses settings.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let routes = match settings.optional::<PathBuf>("routes")? {
            Some(file) => Routes::read(&file),
            None => Routes::to_notes("http://localhost:8081"),
        };
        Ok(Self {
            site: settings::Config::read(settings, "bff")?,
            session_store: settings::session_store(settings)?,
            routes: routes.map_err(|why| SettingsError::new(format!("BFF_ROUTES: {why}")))?,
            verify_secret: verify_secret(settings)?,
        })
    }
}

/// The secret of proxies that get tokens, without white space around it. An empty or short one could be guessed by a
/// page's own script.
fn verify_secret(settings: &Settings) -> Result<Option<SecretString>, SettingsError> {
    const MIN_BYTES: usize = 32;
    let Some(given) = settings.secret("verify_secret", "verify_secret_file")? else {
        return Ok(None);
    };
    let secret = given.expose_secret().trim();
    if secret.len() < MIN_BYTES {
        return Err(SettingsError::new(format!(
            "BFF_VERIFY_SECRET or the file of BFF_VERIFY_SECRET_FILE has {} bytes, and at least {MIN_BYTES} are \
             needed: `openssl rand -base64 32` makes a good one",
            secret.len()
        )));
    }
    Ok(Some(secret.into()))
}

/// State that handlers share, beside what all backends of browser apps do.
struct Bff {
    routes: Routes,
    upstream: reqwest::Client,
    verify_secret: Option<SecretString>,
}

/// Opens the session store and starts to listen.
///
/// # Errors
/// [`StartError`].
pub async fn build(mut config: Config, stop: Stop) -> Result<Application, StartError> {
    config.site.api_headers = config.routes.forward_headers();
    let store = session::open(&config.session_store, "bff").await?;
    let files = notes_front::files(&notes_front::App {
        pattern: "bff",
        api: "/api/notes",
        issuer: &config.site.issuer,
        token_endpoint: None,
    });
    let front = Front::new(config.site.static_dir.clone(), files);
    let bff = web::Data::new(Bff {
        routes: config.routes,
        upstream: proxy::client()?,
        verify_secret: config.verify_secret,
    });
    Application::build(PROGRAM, config.site, store, stop, front, &[], move |app| {
        app.app_data(bff.clone())
            .configure(auth::routes)
            .route("/api/{path:.*}", web::route().to(proxy::forward));
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
        about: "A backend for frontend",
        prefix: PREFIX,
        settings: SETTINGS,
        file: "bff.toml",
    };
    let config = Config::read(&program.read_settings()?)?;
    run::start_logging(&config.site.log, config.site.log_format)?;
    build(config, Stop::on_signals()).await?.run_until_stopped().await?;
    Ok(())
}
