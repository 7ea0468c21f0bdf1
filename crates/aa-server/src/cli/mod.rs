//! The commands (contract §5). One JSON document on standard output with `--json`; logs and progress go to standard
//! error; exit status 0, 1 (failed) or 2 (usage).

mod clients;
mod deliveries;
mod listing;
mod output;
mod records;
mod secret;
mod users;

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use foundation::random::SystemRandom;
use foundation::time::Timestamp;
use serde_json::json;
use service::run::{Failure, LogFormat, ask_readiness, start_logging};
use service::settings::{Settings, flags};

use self::clients::AppCommand;
use self::deliveries::DeliveryCommand;
use self::output::Output;
use self::records::{EventsCommand, FamilyCommand, KeysCommand};
use self::secret::SecretCommand;
use self::users::UserCommand;
use crate::authority::Authority;
use crate::config::{Config, FILE, PREFIX, SETTINGS};

/// The authority: where people sign in, and the only issuer of tokens.
#[derive(Debug, Parser)]
#[command(name = "aa-server", version, propagate_version = true)]
struct Cli {
    /// Print one JSON document on standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the authority (the default).
    Serve,
    /// People who may sign in.
    #[command(subcommand)]
    User(UserCommand),
    /// Micro-apps.
    #[command(subcommand)]
    App(AppCommand),
    /// Sessions of apps.
    #[command(subcommand)]
    Family(FamilyCommand),
    /// Signing keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The event log.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Messages to other systems that are waiting or were given up.
    #[command(subcommand)]
    Delivery(DeliveryCommand),
    /// The server's secret.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// End every session of every user, after a leak or a restored backup.
    EndEverything,
    /// Bring the database's schema up to date.
    Migrate,
    /// Copy an SQLite database into a new file, while the authority runs.
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Report problems with the configuration, and how to fix it.
    Check {
        /// Only ask the running authority whether it is ready.
        #[arg(long)]
        live: bool,
    },
}

/// What the arguments, the environment and the settings file ask for.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Run the authority.
    Serve(Config),
    /// Run a command on an opened authority.
    Run(Config, Request),
    /// Nothing: the command has run.
    Done,
}

/// A command that needs an opened authority.
#[derive(Debug)]
pub(crate) struct Request {
    command: Command,
    client_settings: clients::OwnSettings,
    json: bool,
}

/// Reads the arguments and the settings, and starts logging. Prints usage errors and exits.
///
/// # Errors
/// When a setting is wrong.
pub(crate) fn read() -> Result<Invocation, Failure> {
    let matches = Cli::command().args(flags(PREFIX, SETTINGS)).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the authority reads the environment"
    )]
    let (environment, fallback) = (std::env::vars_os(), std::env::var("DATABASE_URL").ok());
    let mut settings = Settings::load(PREFIX, SETTINGS, &matches, environment, FILE)?;
    let command = cli.command.unwrap_or(Command::Serve);
    let client_settings = match &command {
        Command::App(AppCommand::Add(_)) => {
            clients::own_settings(&settings.take_flags(&clients::OWN_SETTINGS))?
        }
        _ => clients::OwnSettings::default(),
    };
    let config = Config::read(&settings, fallback, &SystemRandom)?;
    let is_server = matches!(command, Command::Serve);
    // A command prints what it did; its log is for failures.
    let filter = if is_server || settings.is_set("log") { config.log.as_str() } else { "warn" };
    let format = if is_server { config.log_format } else { LogFormat::Text };
    start_logging(filter, format).map_err(|error| format!("AA_LOG: {error}"))?;
    Ok(match command {
        Command::Serve => Invocation::Serve(config),
        Command::Check { live: true } => {
            ask_readiness(config.listen)?;
            Output::new("It is ready.", json!({ "ready": true })).print(cli.json)?;
            Invocation::Done
        }
        command => Invocation::Run(config, Request { command, client_settings, json: cli.json }),
    })
}

impl Request {
    /// Runs the command and prints its output.
    ///
    /// # Errors
    /// The failure, in words for the operator.
    pub(crate) async fn run(self, authority: &Authority) -> Result<(), Failure> {
        let output = match self.command {
            Command::Serve => unreachable!("`serve` is not a request"),
            Command::Check { .. } => check(authority).await?,
            Command::User(command) => users::run(authority, command).await?,
            Command::App(command) => clients::run(authority, command, self.client_settings).await?,
            Command::Family(command) => records::family(authority, command).await?,
            Command::Keys(command) => records::keys(authority, command).await?,
            Command::Events(EventsCommand::List { user, page }) => {
                records::events(authority, user.as_deref(), page).await?
            }
            Command::Delivery(command) => deliveries::run(authority, command).await?,
            Command::Secret(command) => secret::run(authority, command).await?,
            Command::EndEverything => secret::end_everything(authority).await?,
            Command::Backup { file } => backup(authority, &file).await?,
            Command::Migrate => {
                Output::new("The schema is up to date.", json!({ "migrated": true }))
            }
        };
        output.print(self.json)?;
        Ok(())
    }
}

async fn backup(authority: &Authority, file: &Path) -> Result<Output, Failure> {
    if !authority.store.db().back_up(file).await? {
        return Err(
            "PostgreSQL is backed up with its own tools: pg_dump, or an archive of its WAL".into(),
        );
    }
    let text = format!("{} is a copy. Keep it apart from the server's secret.", file.display());
    Ok(Output::new(text, json!({ "file": file })))
}

/// Reports on everything that a start needs. Fails when a start would fail.
async fn check(authority: &Authority) -> Result<Output, Failure> {
    let mut lines = Vec::new();
    let mut notes = Vec::new();
    let public_url = &authority.config.public_url;
    let proxied = !authority.config.trusted_proxies.is_empty();
    let cookie = public_url.cookie_name("aa_identity");
    authority.store.db().ping().await?;
    lines.push(format!(
        "database: {} answers, and its schema is current",
        authority.store.db().kind()
    ));
    lines.push(format!("keys: {} published", authority.keyring.public_keys().key_ids().len()));
    lines.push(format!("cookies: {cookie}"));
    lines.push(format!("clock: {}", authority.now()));
    if public_url.is_https() && !proxied {
        notes.push(
            "the public URL is https and no proxy is trusted: every request will seem to come from the one \
             that ends TLS. Set AA_TRUSTED_PROXIES"
                .to_owned(),
        );
    }
    if authority.now() < Timestamp::from_millis(1_750_000_000_000) {
        notes.push("the clock is in the past: tokens will be refused elsewhere".to_owned());
    }
    if !authority.store.has_administrator().await? {
        notes.push("there is no administrator: `aa-server user add --admin …`".to_owned());
    }
    let text = lines.iter().cloned().chain(notes.iter().map(|note| format!("note: {note}")));
    let text = text.collect::<Vec<_>>().join("\n");
    Ok(Output::new(text, json!({ "ok": true, "found": lines, "notes": notes })))
}
