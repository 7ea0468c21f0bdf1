//! The commands (contract §5). One JSON document on standard output with `--json`; logs and progress go to standard
//! error; exit status 0, 1 (failed) or 2 (usage).

pub(crate) mod check;
mod client_secrets;
mod clients;
mod deliveries;
mod listing;
mod output;
mod records;
mod registration_tokens;
mod secret;
mod streams;
mod users;

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use foundation::random::{Random, SystemRandom};
use serde_json::json;
use service::run::{Failure, LogFormat, ask_readiness, start_logging};
use service::settings::{Settings, flags};

use self::clients::AppCommand;
use self::deliveries::DeliveryCommand;
pub(crate) use self::output::{Format, Output};
use self::records::{EventsCommand, FamilyCommand, KeysCommand};
use self::secret::SecretCommand;
use self::streams::StreamCommand;
use self::users::UserCommand;
use crate::authority::{Authority, Startup};
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
    /// Streams of security events to other products.
    #[command(subcommand)]
    Stream(StreamCommand),
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
    Run(Config, Startup, Box<Request>),
    /// Report on the configuration, which changes nothing.
    Check(Config, Format),
    /// Nothing: the command has run.
    Done,
}

/// A command that needs an opened authority.
#[derive(Debug)]
pub(crate) struct Request {
    command: Command,
    client_settings: clients::OwnSettings,
    format: Format,
}

/// Reads the arguments and the settings, and starts logging. Prints usage errors and exits.
///
/// # Errors
/// When a setting is wrong.
pub(crate) fn read() -> Result<Invocation, Failure> {
    let matches = without_backticks(Cli::command().args(flags(PREFIX, SETTINGS))).get_matches();
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
    let is_server = matches!(command, Command::Serve);
    let creates = is_server || matches!(command, Command::Migrate);
    let random: Option<&dyn Random> = creates.then_some(&SystemRandom as _);
    let config = Config::read(&settings, fallback, random)?;
    let format = Format { json: cli.json };
    // A command prints what it did; its log is for failures.
    let filter = if is_server || settings.is_set("log") { config.log.as_str() } else { "warn" };
    let log_format = if is_server { config.log_format } else { LogFormat::Text };
    start_logging(filter, log_format).map_err(|error| format!("AA_LOG: {error}"))?;
    Ok(match command {
        Command::Serve => Invocation::Serve(config),
        Command::Check { live: true } => {
            ask_readiness(config.listen)?;
            format.print(Ok(Output::new("It is ready.", json!({ "ready": true }))))?;
            Invocation::Done
        }
        Command::Check { live: false } => Invocation::Check(config, format),
        command => {
            let startup = if creates { Startup::Create } else { Startup::Existing };
            Invocation::Run(config, startup, Box::new(Request { command, client_settings, format }))
        }
    })
}

/// Writes help as a terminal shows it: doc comments mark code with backticks.
fn without_backticks(command: clap::Command) -> clap::Command {
    let plain =
        |text: Option<&clap::builder::StyledStr>| text.map(|it| it.to_string().replace('`', ""));
    let about = plain(command.get_about()).unwrap_or_default();
    let command = command.about(about).mut_args(|arg| match plain(arg.get_help()) {
        Some(help) => arg.help(help),
        None => arg,
    });
    command.mut_subcommands(without_backticks)
}

impl Request {
    /// How its output is printed.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The failure, in words for the operator.
    pub(crate) async fn run(self, authority: &Authority) -> Result<Output, Failure> {
        Ok(match self.command {
            Command::Serve | Command::Check { .. } => {
                unreachable!("they are invocations of their own")
            }
            Command::User(command) => users::run(authority, command).await?,
            Command::App(command) => clients::run(authority, command, self.client_settings).await?,
            Command::Family(command) => records::family(authority, command).await?,
            Command::Keys(command) => records::keys(authority, command).await?,
            Command::Events(EventsCommand::List { only, page }) => {
                records::events(authority, only, page).await?
            }
            Command::Delivery(command) => deliveries::run(authority, command).await?,
            Command::Stream(command) => streams::run(authority, command).await?,
            Command::Secret(command) => secret::run(authority, command).await?,
            Command::EndEverything => secret::end_everything(authority).await?,
            Command::Backup { file } => backup(authority, &file).await?,
            Command::Migrate => {
                Output::new("The schema is up to date.", json!({ "migrated": true }))
            }
        })
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
