//! The program: opens the authority, runs commands, serves until stopped. `main` and the tests use the same calls.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use actix_web::dev::Server;
use foundation::mounts::is_ephemeral;
use foundation::random::{Random, SystemRandom};
use foundation::steady_clock::SteadyClock;
use foundation::time::Clock;
use secrecy::ExposeSecret as _;
use service::run::{self, Failure, Stop, print_line, to_exit};
use tracing::{info, warn};

use crate::authority::{Authority, StartError, Startup};
use crate::cli::{self, Invocation, Output, Request};
use crate::config::Config;
use crate::services::outbox::Consumer;
use crate::{http, jobs, ops};

/// Runs the command given by the arguments of the process.
pub async fn main() -> ExitCode {
    to_exit(Box::pin(async {
        match cli::read()? {
            Invocation::Done => {}
            Invocation::Serve(config) => Box::pin(serve(config)).await?,
            Invocation::Check(config, format) => format.print(cli::check::run(&config).await)?,
            Invocation::Run(config, startup, request) => {
                let format = request.format();
                format.print(Box::pin(run_command(config, startup, request)).await)?;
            }
        }
        Ok(())
    }))
    .await
}

async fn run_command(
    config: Config,
    startup: Startup,
    request: Box<Request>,
) -> Result<Output, Failure> {
    let (_handle, stop) = Stop::pair();
    let clock = Arc::new(SteadyClock::default());
    let (random, consumers) = (Arc::new(SystemRandom), built_in_consumers());
    let authority = open_with_consumers(config, startup, clock, random, consumers, stop).await?;
    let output = request.run(&authority).await;
    authority.store.db().close().await;
    output
}

/// The consumers of the outbox. Mail and logout tokens will be the first.
fn built_in_consumers() -> Vec<Arc<dyn Consumer>> {
    Vec::new()
}

/// Opens an authority that can issue tokens: its database is migrated and its signing keys exist.
///
/// # Errors
/// [`StartError`].
pub async fn open(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    stop: Stop,
) -> Result<Arc<Authority>, StartError> {
    open_with_consumers(config, Startup::Create, clock, random, built_in_consumers(), stop).await
}

/// [`open`] with other consumers of the outbox than the built-in ones, and for a database that may have to exist.
///
/// # Errors
/// [`StartError`].
pub async fn open_with_consumers(
    config: Config,
    startup: Startup,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    consumers: Vec<Arc<dyn Consumer>>,
    stop: Stop,
) -> Result<Arc<Authority>, StartError> {
    let authority =
        Box::pin(Authority::open(config, startup, clock, random, consumers, stop)).await?;
    ops::keys::ensure(&authority).await?;
    ops::account::factors::reseal(&authority).await?;
    Ok(Arc::new(authority))
}

/// [`open`] with the clock of the database and the system's randomness.
///
/// # Errors
/// [`StartError`].
pub async fn open_with_system(config: Config, stop: Stop) -> Result<Arc<Authority>, StartError> {
    open(config, Arc::new(SteadyClock::default()), Arc::new(SystemRandom), stop).await
}

async fn serve(config: Config) -> Result<(), Failure> {
    refuse_ephemeral_data(&config)?;
    let authority = open_with_system(config, Stop::on_signals()).await?;
    ops::settings::record(&authority).await?;
    if authority.mailer.is_folder() {
        let folder = authority.config.mail.folder.display();
        warn!("AA_SMTP_URL is not set: no mail is sent. What would be sent is put into {folder}");
    }
    let link = ops::users::first_administrator(&authority).await?;
    let application = Application::build(authority)?;
    // On standard output: the log, which others may read, is on standard error.
    print_line(&format!("The authority is at {}", application.authority().config.public_url))?;
    if let Some(link) = link {
        print_line(
            "It has no administrator yet. This link makes the first, once, within three days:",
        )?;
        print_line(&format!("  {}", link.expose_secret()))?;
    }
    application.run_until_stopped().await?;
    Ok(())
}

/// Refuses to keep an SQLite database where it would go with its container, if that is not allowed.
fn refuse_ephemeral_data(config: &Config) -> Result<(), StartError> {
    let Some(file) = config.database_url.strip_prefix("sqlite:") else { return Ok(()) };
    let file = Path::new(file.trim_start_matches("//"));
    let folder = file.parent().unwrap_or(file);
    if config.ephemeral_data || !is_ephemeral(folder) {
        return Ok(());
    }
    Err(StartError::EphemeralData(folder.display().to_string()))
}

/// The authority with a listening socket.
pub struct Application {
    authority: Arc<Authority>,
    server: Server,
    addresses: Vec<SocketAddr>,
}

impl Application {
    /// Starts to listen. Requests are answered once [`Application::run_until_stopped`] runs.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn build(authority: Arc<Authority>) -> Result<Self, StartError> {
        let listen = authority.config.listen;
        let cannot = |error| StartError::Listen(listen, error);
        let listener = run::listen(listen).map_err(cannot)?;
        let (server, addresses) = http::server(&authority, listener).map_err(cannot)?;
        Ok(Self { authority, server, addresses })
    }

    /// The port of the socket.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    /// The shared state.
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority)
    }

    /// Serves until the stop signal, then finishes the requests under way.
    ///
    /// # Errors
    /// The error that ended the server.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        let Self { authority, server, .. } = self;
        let jobs = jobs::start(&authority);
        info!(issuer = %authority.config.public_url, database = authority.store.db().kind(), "ready");
        let ended = run::serve(server, authority.stop.clone()).await;
        drop(jobs);
        ops::refusals::record(&authority, true).await;
        authority.store.db().close().await;
        ended
    }
}
