//! A sample API: notes, each visible only to the user who wrote it. Application tokens are checked offline with
//! [`tokens`]; the authority is not called when a request arrives.

mod http;
mod revocation;
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
use service::program::Program;
use service::run::{self, LogFormat, Stop};
use service::settings::{Setting, Settings, SettingsError, safe_issuer};
use tokens::{Guard, ProtectedResource, RequiredScope as _};

pub use crate::revocation::{Credentials, Revocation};
use crate::store::Notes;

/// The prefix of every environment variable.
pub const PREFIX: &str = "NOTES_";
/// All settings.
pub const SETTINGS: &[Setting] = &[
    Setting::new("listen", "127.0.0.1:8081", "Address and port to listen on"),
    Setting::optional("metrics_listen", "Address and port for /metrics, which is nowhere else"),
    Setting::new("insecure_http", "false", "Allow an http ISSUER that is not this machine"),
    Setting::new("public_url", "http://localhost:8081", "URL that clients use"),
    Setting::new("issuer", "http://localhost:8080", "The authority, as tokens name it"),
    Setting::optional("backchannel_url", "Where this process reaches the authority, if elsewhere"),
    Setting::new("audience", "notes", "What tokens must be for"),
    Setting::new(
        "revocation",
        "best_effort",
        "Ended sessions: ignore, best_effort, or require:5s (no answer without news of the last 5s)",
    ),
    Setting::optional("client_id", "This API's id at the authority, to be told of ended sessions"),
    Setting::secret("client_secret", "The secret of that id"),
    Setting::optional("client_secret_file", "File with that secret"),
    Setting::new("database_url", "sqlite://data/notes.db", "sqlite://… or postgres://…"),
    Setting::optional("cors_origins", "Origins whose scripts may call, by commas; exactly these"),
    Setting::new("log", "info", "Which log lines to write, as a filter"),
    Setting::new("log_format", "text", "text or json"),
];

/// The API's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// A separate address for `/metrics`.
    pub metrics_listen: Option<SocketAddr>,
    /// The URL that clients use.
    pub public_url: PublicUrl,
    /// The issuer of accepted tokens: the authority's URL.
    pub issuer: String,
    /// The base URL at which this process reaches the authority, if not the issuer's.
    pub backchannel_url: Option<String>,
    /// Whether an authority that is not this machine may be spoken to in the clear.
    pub insecure_http: bool,
    /// The audience of accepted tokens.
    pub audience: String,
    /// What an ended session means.
    pub revocation: Revocation,
    /// The credentials by which it is told of ended sessions.
    pub credentials: Option<Credentials>,
    /// The database: `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// The origins whose scripts may call the API.
    pub cors_origins: Vec<PublicUrl>,
    /// The log filter, as `tracing_subscriber::EnvFilter` reads it.
    pub log: String,
    /// The log format.
    pub log_format: LogFormat,
}

impl Config {
    /// Parses the settings.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that is missing or not valid.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let (revocation, credentials) = revocation::read(settings)?;
        let insecure_http: bool = settings.get("insecure_http")?;
        let issuer: String = settings.get("issuer")?;
        let backchannel_url: Option<String> = settings.optional("backchannel_url")?;
        if backchannel_url.is_none() && !insecure_http {
            safe_issuer(&issuer)?;
        }
        let cors_origins: Option<String> = settings.optional("cors_origins")?;
        Ok(Self {
            cors_origins: origins(cors_origins.as_deref().unwrap_or_default())
                .map_err(|why| SettingsError::new(format!("NOTES_CORS_ORIGINS: {why}")))?,
            listen: settings.address("listen")?.ok_or_else(|| settings.missing("listen"))?,
            public_url: settings.get("public_url")?,
            metrics_listen: settings.address("metrics_listen")?,
            issuer,
            backchannel_url,
            insecure_http,
            audience: settings.get("audience")?,
            revocation,
            credentials,
            database_url: settings.get("database_url")?,
            log: settings.get("log")?,
            log_format: settings.get("log_format")?,
        })
    }
}

/// The reason that the API cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The authority cannot be spoken to.
    #[error(transparent)]
    Keys(#[from] tokens::FetchError),
    /// The public URL does not name the API.
    #[error("NOTES_PUBLIC_URL: {0}")]
    Resource(#[from] tokens::InvalidResource),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {0}: {1}. Is another program there? NOTES_LISTEN sets another address"
    )]
    Listen(SocketAddr, std::io::Error),
}

/// The state shared by all handlers.
struct Api {
    notes: Notes,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    stop: Stop,
}

/// An instance of the API, bound to its port.
pub struct Application {
    server: Server,
    port: u16,
    stop: Stop,
}

impl Application {
    /// Opens the database and starts to listen.
    ///
    /// # Errors
    /// [`StartError`] when the database cannot be used or the address cannot be bound.
    pub async fn build(config: &Config, stop: Stop) -> Result<Self, StartError> {
        let notes = Notes::open(Db::connect(&config.database_url).await?).await?;
        let authority = config.backchannel_url.as_ref().unwrap_or(&config.issuer);
        let verifier = tokens::Verifier::new(&config.issuer, &config.audience);
        let guard = Guard::new(verifier, authority, tokens::KeySet::default())?
            .dpop(config.public_url.as_str());
        let resource = ProtectedResource::new(config.public_url.as_str(), &config.issuer)?
            .with_name("Notes")
            .with_scopes([http::NotesRead::SCOPE, http::NotesWrite::SCOPE]);
        let guard = revocation::follow(config, guard, authority)?.with_metadata(&resource);
        let listen_error = |error| StartError::Listen(config.listen, error);
        if let Some(address) = config.metrics_listen {
            run::serve_metrics(address, stop.clone())
                .map_err(|error| StartError::Listen(address, error))?;
        }
        let listener = run::listen(config.listen).map_err(listen_error)?;
        let port = listener.local_addr().map_err(listen_error)?.port();
        let api = web::Data::new(Api {
            notes,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            stop: stop.clone(),
        });
        let csp = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'";
        let policy = Policy::new(csp.to_owned(), config.public_url.is_https());
        let origins = config.cors_origins.clone();
        let server = run::server(listener, policy, move |app| {
            app.app_data(guard.clone())
                .app_data(api.clone())
                .app_data(http::json_config())
                .configure(run::machine_routes("microapp-notes", env!("CARGO_PKG_VERSION")))
                .configure(http::metadata_route(&resource))
                .service(web::scope("").wrap(http::cors(&origins)).configure(http::routes));
        })
        .map_err(listen_error)?;
        Ok(Self { server, port, stop })
    }

    /// The port that it listens on; useful when the configured one is 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves requests until `stop` is signalled.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        run::serve(self.server, self.stop).await
    }
}

/// Runs the program: reads the settings, then serves until a signal stops it.
///
/// # Errors
/// When a setting is not valid, the API cannot start, or the server fails.
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
