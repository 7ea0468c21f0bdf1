//! What everything shares, and how it is put together and run. `main` and the tests use the same calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use aws_lc_rs::hmac;
use database::Db;
use foundation::random::{Random, SystemRandom};
use foundation::time::{Clock, SystemClock, Timestamp};
use serde_json::Value;
use service::run::{self, Stop};
use tracing::{info, warn};
use uuid::Uuid;

use crate::config::Config;
use crate::domain::token::TokenMint;
use crate::http;
use crate::ops::Caller;
use crate::ops::authenticate_app::AppCache;
use crate::ops::keys::Signer;
use crate::ops::passwords::Hasher;
use crate::ops::throttle::Throttle;
use crate::store::{Event, MIGRATIONS, Store};

/// The only shared state.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// The settings.
    pub config: Config,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Makes and reads delegation and refresh tokens.
    pub mint: TokenMint,
    /// Signs application and ID tokens.
    pub signer: Signer,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Slows guessing down.
    pub throttle: Throttle,
    /// Apps as they were last read.
    pub known_apps: AppCache,
    /// For CSRF tokens.
    pub csrf_key: hmac::Key,
    /// Where work goes on when a client hangs up.
    pub runtime: tokio::runtime::Handle,
    /// Says when to stop.
    pub stop: Stop,
}

/// Why the authority could not start, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The secret is not the one this database was made with.
    #[error(
        "the server's secret (AA_SECRET_FILE) is not one that this database knows. Signing keys and tokens \
         were made under another: give that one, or put it on a line of its own below the new one"
    )]
    WrongSecret,
    /// Signing keys cannot be made or opened.
    #[error("signing keys: {0}")]
    Keys(#[from] crate::ops::keys::KeyError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}. Is another program there? AA_LISTEN sets another address")]
    Listen(SocketAddr, std::io::Error),
}

impl App {
    /// Opens the database, brings its schema up to date, and reads or makes the keys.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(
        config: Config,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        stop: Stop,
    ) -> Result<Self, StartError> {
        let db = Db::connect(&config.database_url).await?;
        db.migrate(&MIGRATIONS).await?;
        let store = Store::new(db);
        store.prepare_for_moves().await?;
        let now = clock.now();
        let fingerprints: Vec<Vec<u8>> =
            config.secrets.iter().map(|secret| secret.derive("fingerprint").to_vec()).collect();
        if !store.accepts_secrets(&fingerprints).await? {
            return Err(StartError::WrongSecret);
        }
        store.remember_secret(&fingerprints[0], now).await?;
        let app = Self {
            mint: TokenMint::new(&config.secrets),
            signer: Signer::new(&config.secrets),
            hasher: Hasher::new(config.hash_permits),
            throttle: Throttle::default(),
            known_apps: AppCache::default(),
            csrf_key: config.secrets[0].mac_key("csrf"),
            runtime: tokio::runtime::Handle::current(),
            store,
            config,
            clock,
            random,
            stop,
        };
        crate::ops::keys::ensure(&app).await?;
        Ok(app)
    }

    /// [`App::open`] with the system's clock and randomness.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open_for_real(config: Config, stop: Stop) -> Result<Self, StartError> {
        Self::open(config, Arc::new(SystemClock), Arc::new(SystemRandom), stop).await
    }

    /// This moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An event that is happening now.
    pub fn event(&self, kind: &'static str, actor: impl Into<String>, caller: &Caller) -> Event {
        Event {
            id: self.random.uuid_at(self.now()),
            kind,
            actor: actor.into(),
            user_id: None,
            client_id: None,
            family_id: None,
            ip: caller.ip.clone(),
            user_agent: caller.user_agent.clone(),
            request_id: caller.request_id.clone(),
            detail: Value::Object(serde_json::Map::new()),
        }
    }
}

impl Event {
    /// About this user.
    #[must_use]
    pub fn user(mut self, id: Uuid) -> Self {
        self.user_id = Some(id);
        self
    }

    /// About this app.
    #[must_use]
    pub fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// About this family.
    #[must_use]
    pub fn family(mut self, id: Uuid) -> Self {
        self.family_id = Some(id);
        self
    }

    /// With more about it. Never a secret.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// The authority, listening.
pub struct Application {
    app: Arc<App>,
    server: Server,
    addresses: Vec<SocketAddr>,
}

impl Application {
    /// Starts to listen; requests are answered from [`Application::run_until_stopped`] on.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn build(app: App) -> Result<Self, StartError> {
        let app = Arc::new(app);
        let listen = app.config.listen;
        let cannot = |error| StartError::Listen(listen, error);
        let listener = run::listen(listen).map_err(cannot)?;
        let (server, addresses) = http::server(&app, listener).map_err(cannot)?;
        Ok(Self { app, server, addresses })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    /// The shared state.
    pub fn app(&self) -> Arc<App> {
        Arc::clone(&self.app)
    }

    /// Serves until it is told to stop, then finishes the requests under way.
    ///
    /// # Errors
    /// What the server ends with.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        let Self { app, server, .. } = self;
        let upkeep = tokio::spawn(keep_up(Arc::clone(&app)));
        info!(issuer = %app.config.public_url, database = app.store.db().kind(), "ready");
        let ended = service::run::serve(server, app.stop.clone()).await;
        upkeep.abort();
        app.store.db().close().await;
        ended
    }
}

/// What goes on beside requests: keys of other replicas are picked up, and old rows go.
async fn keep_up(app: Arc<App>) {
    const KEYS_EVERY: Duration = Duration::from_secs(15);
    const CLEAN_EVERY: u32 = 240;
    for round in 0_u32.. {
        if let Err(error) = app.signer.reload(&app.store, app.now()).await {
            warn!(%error, "keys could not be read again; the ones known go on");
        }
        if round % CLEAN_EVERY == 0 {
            match app.store.remove_old(app.now()).await {
                Ok(0) => {}
                Ok(removed) => info!(removed, "removed old rows"),
                Err(error) => warn!(%error, "old rows could not be removed"),
            }
        }
        tokio::time::sleep(KEYS_EVERY).await;
    }
}
