//! A resource API: notes. Each user sees their own. Application tokens are checked offline with [`tokens`]; the
//! authority is never asked about a request.

mod http;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web;
use database::Db;
use foundation::origin::{PublicUrl, origins};
use foundation::random::{Random, SystemRandom};
use foundation::time::{Clock, SystemClock};
use service::http::Policy;
use service::run::{self, LogFormat, Stop};
use service::settings::{Program, Setting, Settings, SettingsError};
use tokens::Guard;

use crate::store::Notes;

/// The prefix of every environment variable.
pub const PREFIX: &str = "NOTES_";
/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting::new("listen", "127.0.0.1:8081", "Address and port to listen on"),
    Setting::new("public_url", "http://localhost:8081", "URL that clients use"),
    Setting::new("issuer", "http://localhost:8080", "The authority, as tokens name it"),
    Setting::optional("backchannel_url", "Where this process reaches the authority, if elsewhere"),
    Setting::new("audience", "notes", "What tokens must be for"),
    Setting::new("revocation", "ignore", "Whether to follow ended sessions: only ignore, so far"),
    Setting::new("database_url", "sqlite://data/notes.db", "sqlite://… or postgres://…"),
    Setting::optional("cors_origins", "Origins whose scripts may call, by commas; exactly these"),
    Setting::new("log", "info", "Which log lines to write, as a filter"),
    Setting::new("log_format", "text", "text or json"),
];

/// The API's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What clients use.
    pub public_url: PublicUrl,
    /// The authority, as tokens name it.
    pub issuer: String,
    /// Where this process reaches the authority, if elsewhere.
    pub backchannel_url: Option<String>,
    /// What tokens must be for.
    pub audience: String,
    /// SQLite or PostgreSQL.
    pub database_url: String,
    /// Origins whose scripts may call; exactly these.
    pub cors_origins: Vec<PublicUrl>,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
}

impl Config {
    /// Types what was given.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.get::<String>("revocation")? != "ignore" {
            return Err(SettingsError::new("NOTES_REVOCATION: this version can only `ignore`"));
        }
        let cors_origins: Option<String> = settings.optional("cors_origins")?;
        Ok(Self {
            cors_origins: origins(cors_origins.as_deref().unwrap_or_default())
                .map_err(|why| SettingsError::new(format!("NOTES_CORS_ORIGINS: {why}")))?,
            listen: settings.get("listen")?,
            public_url: settings.get("public_url")?,
            issuer: settings.get("issuer")?,
            backchannel_url: settings.optional("backchannel_url")?,
            audience: settings.get("audience")?,
            database_url: settings.get("database_url")?,
            log: settings.get("log")?,
            log_format: settings.get("log_format")?,
        })
    }
}

/// Why the API could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// No HTTP client can be made.
    #[error(transparent)]
    Keys(#[from] tokens::FetchError),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {0}: {1}. Is another program there? NOTES_LISTEN sets another address"
    )]
    Listen(SocketAddr, std::io::Error),
}

/// What handlers share.
struct Api {
    notes: Notes,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    stop: Stop,
}

/// The API, listening.
pub struct Application {
    server: Server,
    port: u16,
    stop: Stop,
}

impl Application {
    /// Opens the database and starts to listen.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(config: &Config, stop: Stop) -> Result<Self, StartError> {
        let notes = Notes::open(Db::connect(&config.database_url).await?).await?;
        let authority = config.backchannel_url.as_ref().unwrap_or(&config.issuer);
        let verifier = tokens::Verifier::new(&config.issuer, &config.audience);
        let guard = Guard::new(verifier, authority, tokens::KeySet::default())?;
        let cannot = |error| StartError::Listen(config.listen, error);
        let listener = run::listen(config.listen).map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let api = web::Data::new(Api {
            notes,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            stop: stop.clone(),
        });
        let policy = Policy {
            csp: "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
                .into(),
            https: config.public_url.is_https(),
        };
        let origins = config.cors_origins.clone();
        let server = run::server(listener, policy, move |app| {
            app.app_data(guard.clone())
                .app_data(api.clone())
                .app_data(http::json_config())
                .configure(run::machine_routes("microapp-notes", env!("CARGO_PKG_VERSION")))
                .service(web::scope("").wrap(http::cors(&origins)).configure(http::routes));
        })
        .map_err(cannot)?;
        Ok(Self { server, port, stop })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// What the server ends with.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        run::serve(self.server, self.stop).await
    }
}

/// The program: settings from arguments and environment, then serve.
///
/// # Errors
/// What stopped it, in words.
pub async fn main() -> Result<(), run::Failure> {
    let program = Program {
        name: "microapp-notes",
        version: env!("CARGO_PKG_VERSION"),
        about: "A resource API: notes",
        prefix: PREFIX,
        settings: SETTINGS,
        file: "notes.toml",
    };
    let config = Config::read(&program.read_settings()?)?;
    run::start_logging(&config.log, config.log_format)?;
    let application = Application::build(&config, Stop::on_signals()).await?;
    application.run_until_stopped().await?;
    Ok(())
}
