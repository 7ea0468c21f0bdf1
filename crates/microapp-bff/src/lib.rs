//! A backend for frontend: the browser holds a session cookie and no token; this backend holds the tokens, and
//! proxies `/api/*` with the application token attached. It works with any OpenID provider.

mod auth;
mod front;
mod guard;
mod proxy;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{HttpResponse, HttpServer, middleware, web};
use relying_party::{Provider, ProviderConfig, RelyingParty, SessionStore};
use secrecy::{ExposeSecret as _, SecretString};
use service::http::{Policy, harden};
use service::origin::PublicUrl;
use service::random::{Random, SystemRandom};
use service::run::{self, LogFormat, Stop};
use service::seal::MasterSecret;
use service::settings::{Program, Setting, Settings, SettingsError};
use service::time::SystemClock;
use tracing::warn;
use url::Url;

pub use proxy::Route;

/// The prefix of every environment variable.
pub const PREFIX: &str = "BFF_";
/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting::new("listen", "127.0.0.1:8082", "Address and port to listen on"),
    Setting::new("public_url", "http://localhost:8082", "URL that browsers use"),
    Setting::new("issuer", "http://localhost:8080", "The OpenID provider"),
    Setting::optional("backchannel_url", "Where this process reaches the provider, if elsewhere"),
    Setting::new("client_id", "bff", "This app's id at the provider"),
    Setting::secret("client_secret", "This app's secret at the provider"),
    Setting::optional("client_secret_file", "File with this app's secret at the provider"),
    Setting::new(
        "scopes",
        "openid profile email offline_access notes:read notes:write",
        "What to ask the provider for",
    ),
    Setting::new("session_store", "sqlite://data/bff.db", "memory:, sqlite://… or postgres://…"),
    Setting::optional("session_secret_file", "File with the secret that seals tokens at rest"),
    Setting::new("data_dir", "data", "Folder for that secret, if it is made here"),
    Setting::new("api_url", "http://localhost:8081/notes", "Upstream of /api/notes"),
    Setting::new("log", "info", "Which log lines to write, as a filter"),
    Setting::new("log_format", "text", "text or json"),
];

/// The app's settings.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What browsers use.
    pub public_url: PublicUrl,
    /// The OpenID provider.
    pub issuer: String,
    /// Where this process reaches the provider, if elsewhere.
    pub backchannel_url: Option<String>,
    /// This app's id at the provider.
    pub client_id: String,
    /// This app's secret at the provider.
    pub client_secret: Option<SecretString>,
    /// What to ask the provider for.
    pub scopes: String,
    /// Where sessions are kept.
    pub session_store: String,
    /// Seals tokens at rest.
    pub session_secret: MasterSecret,
    /// What is proxied where.
    pub routes: Vec<Route>,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
}

impl Config {
    /// Types what was given. Makes the session secret if there is none.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let data_dir: PathBuf = settings.get("data_dir")?;
        let secret_file: Option<PathBuf> = settings.optional("session_secret_file")?;
        let secret_file = secret_file.unwrap_or_else(|| data_dir.join("bff-session-secret"));
        let api_url: String = settings.get("api_url")?;
        Ok(Self {
            listen: settings.get("listen")?,
            public_url: settings.get("public_url")?,
            issuer: settings.get("issuer")?,
            backchannel_url: settings.optional("backchannel_url")?,
            client_id: settings.get("client_id")?,
            client_secret: settings.secret("client_secret", "client_secret_file")?,
            scopes: settings.get("scopes")?,
            session_store: settings.get("session_store")?,
            session_secret: read_or_make_secret(&secret_file)?,
            routes: vec![
                Route::new("/api/notes", &api_url)
                    .map_err(|why| SettingsError::new(format!("BFF_API_URL: {why}")))?,
            ],
            log: settings.get("log")?,
            log_format: settings.get("log_format")?,
        })
    }
}

/// Reads the secret that seals tokens at rest, or makes it, for its owner's eyes alone.
///
/// # Errors
/// [`SettingsError`] when it can be neither read nor made, or is too short.
pub fn read_or_make_secret(file: &Path) -> Result<MasterSecret, SettingsError> {
    let random: &dyn Random = &SystemRandom;
    let text = service::settings::read_or_make_private(file, || random.token())
        .map_err(|error| SettingsError::new(format!("{}: {error}", file.display())))?;
    MasterSecret::new(text.expose_secret().trim().as_bytes().to_vec()).ok_or_else(|| {
        SettingsError::new(format!("{}: at least 32 bytes are needed", file.display()))
    })
}

/// Why the app could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The session store cannot be used.
    #[error("the session store: {0}")]
    Store(#[from] relying_party::StoreError),
    /// No HTTP client can be made.
    #[error(transparent)]
    Provider(#[from] relying_party::ProviderError),
    /// No HTTP client can be made.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}. Is another program there? BFF_LISTEN sets another address")]
    Listen(SocketAddr, std::io::Error),
}

/// What handlers share.
struct App {
    party: RelyingParty,
    public_url: PublicUrl,
    routes: Vec<Route>,
    upstream: reqwest::Client,
    runtime: tokio::runtime::Handle,
    stop: Stop,
}

/// The app, listening.
pub struct Application {
    server: Server,
    port: u16,
    stop: Stop,
    app: web::Data<App>,
}

impl Application {
    /// Opens the session store and starts to listen.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(config: Config, stop: Stop) -> Result<Self, StartError> {
        let provider = Provider::new(ProviderConfig {
            issuer: config.issuer,
            backchannel_url: config.backchannel_url,
            client_id: config.client_id,
            client_secret: config.client_secret,
            redirect_uri: config.public_url.join("/auth/callback"),
            scopes: config.scopes,
        })?;
        let party = RelyingParty::new(
            provider,
            SessionStore::open(&config.session_store).await?,
            &config.session_secret,
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        );
        let cannot = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let policy = web::Data::new(Policy {
            csp: front::CONTENT_SECURITY_POLICY.to_owned(),
            https: config.public_url.is_https(),
        });
        let app = web::Data::new(App {
            party,
            public_url: config.public_url,
            routes: config.routes,
            upstream: proxy::client()?,
            runtime: tokio::runtime::Handle::current(),
            stop: stop.clone(),
        });
        run::start_metrics();
        let data = app.clone();
        let server = HttpServer::new(move || {
            actix_web::App::new()
                .app_data(data.clone())
                .app_data(policy.clone())
                .wrap(middleware::from_fn(guard::same_site_only))
                .wrap(middleware::from_fn(harden))
                .configure(run::machine_routes("microapp-bff", env!("CARGO_PKG_VERSION")))
                .route("/readyz", web::get().to(readyz))
                .configure(auth::routes)
                .route("/api/{path:.*}", web::route().to(proxy::forward))
                .default_service(web::get().to(front::get))
        })
        .disable_signals()
        .shutdown_timeout(run::SHUTDOWN_SECONDS)
        .client_request_timeout(Duration::from_secs(10))
        .listen(listener)
        .map_err(cannot)?
        .run();
        Ok(Self { server, port, stop, app })
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
        let upkeep = tokio::spawn(keep_up(self.app.clone().into_inner()));
        let ended = run::serve(self.server, self.stop).await;
        upkeep.abort();
        ended
    }
}

/// What goes on beside requests: the provider's keys are followed, and expired sessions go.
async fn keep_up(app: Arc<App>) {
    const EVERY: Duration = Duration::from_mins(1);
    loop {
        let wait = match app.party.provider().discover(app.party.now()).await {
            Ok(()) => EVERY,
            Err(error) => {
                warn!(%error, "the provider is not known yet; trying again");
                Duration::from_secs(1)
            }
        };
        if let Err(error) = app.party.store().remove_expired(app.party.now()).await {
            warn!(%error, "expired sessions could not be removed");
        }
        tokio::time::sleep(wait).await;
    }
}

async fn readyz(app: web::Data<App>) -> HttpResponse {
    let mut missing = Vec::new();
    if app.stop.is_stopping() {
        missing.push("stopping");
    }
    if !app.party.provider().is_known() {
        missing.push("provider");
    }
    if app.party.store().ping().await.is_err() {
        missing.push("session store");
    }
    run::readyz(&missing)
}

/// The program: settings from arguments and environment, then serve.
///
/// # Errors
/// What stopped it, in words.
pub async fn main() -> Result<(), run::Failure> {
    let program = Program {
        name: "microapp-bff",
        version: env!("CARGO_PKG_VERSION"),
        about: "A backend for frontend",
        prefix: PREFIX,
        settings: SETTINGS,
        file: "bff.toml",
    };
    let config = Config::read(&program.read_settings()?)?;
    run::start_logging(&config.log, config.log_format)?;
    let application = Application::build(config, Stop::on_signals()).await?;
    application.run_until_stopped().await?;
    Ok(())
}

/// A URL without a slash at its end, to which paths are added.
fn base_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https")
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(format!("`{text}` must be http or https, without query and fragment"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The session id of a request's cookie, if there is exactly one such cookie.
fn session_id(app: &App, request: &actix_web::HttpRequest) -> Option<String> {
    let name = session_cookie(app);
    service::http::single_cookie(request.headers(), &name).map(str::to_owned)
}

fn session_cookie(app: &App) -> String {
    app.public_url.cookie_name("bff_session")
}
