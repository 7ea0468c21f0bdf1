//! The commands of SPEC §5. One JSON document on standard output with `--json`; logs and progress go to standard
//! error; exit status 0, 1 (failed) or 2 (usage).

mod apps;
mod records;
mod users;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use foundation::random::SystemRandom;
use foundation::time::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use service::run::{Failure, LogFormat, Stop, ask_readiness, start_logging, to_exit};
use service::settings::{Settings, flags};

use self::apps::AppCommand;
use self::records::{EventsCommand, FamilyCommand, KeysCommand};
use self::users::UserCommand;
use crate::app::{App, Application};
use crate::config::{Config, FILE, PREFIX, SETTINGS};
use crate::ops::people;
use crate::store::Invitation;

/// The authority: where people sign in, and the only issuer of tokens.
#[derive(Debug, Parser)]
#[command(name = "aa-server", version, propagate_version = true)]
struct Cli {
    /// One JSON document on standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the authority (this is what happens without a command).
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
    /// What happened.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Bring the database's schema up to date.
    Migrate,
    /// Write a copy of an SQLite database into a new file, while the authority goes on.
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Say what is wrong with the configuration, and how to mend it.
    Check {
        /// Ask the authority that runs here whether it is ready, and nothing more.
        #[arg(long)]
        live: bool,
    },
}

/// What a command has to say: to people, and to programs.
struct Output {
    text: String,
    json: Value,
}

impl Output {
    fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json }
    }
}

/// Runs the command of the process's arguments.
pub async fn main() -> ExitCode {
    let command = Cli::command().args(flags(PREFIX, SETTINGS));
    let matches = command.get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    to_exit(Box::pin(async move {
        let json = cli.json;
        match run(cli, &matches).await? {
            Some(output) if json => println!("{}", output.json),
            Some(output) if !output.text.is_empty() => println!("{}", output.text),
            _ => {}
        }
        Ok(())
    }))
    .await
}

async fn run(cli: Cli, matches: &clap::ArgMatches) -> Result<Option<Output>, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the authority reads the environment"
    )]
    let (environment, fallback) = (std::env::vars_os(), std::env::var("DATABASE_URL").ok());
    let mut settings = Settings::load(PREFIX, SETTINGS, matches, environment, FILE)?;
    let command = cli.command.unwrap_or(Command::Serve);
    let own = match &command {
        Command::App(AppCommand::Add(_)) => apps::own_settings(&settings.take_flags(&apps::OWN))?,
        _ => apps::Own::default(),
    };
    let config = Config::read(&settings, fallback, &SystemRandom)?;
    let is_server = matches!(command, Command::Serve);
    // Commands say what they did; their log is for what went wrong.
    let filter = if is_server || settings.is_set("log") { config.log.as_str() } else { "warn" };
    let format = if is_server { config.log_format } else { LogFormat::Text };
    start_logging(filter, format).map_err(|error| format!("AA_LOG: {error}"))?;
    if is_server {
        return serve(config).await.map(|()| None);
    }
    if let Command::Check { live } = command {
        if live {
            ask_readiness(config.listen)?;
            return Ok(Some(Output::new("It is ready.", json!({ "ready": true }))));
        }
        return check(config).await.map(Some);
    }
    let (_handle, stop) = Stop::pair();
    let app = App::open_for_real(config, stop).await?;
    let output = match command {
        Command::Serve | Command::Check { .. } => unreachable!("handled above"),
        Command::User(command) => users::run(&app, command).await?,
        Command::App(command) => apps::run(&app, command, own).await?,
        Command::Family(command) => records::family(&app, command).await?,
        Command::Keys(command) => records::keys(&app, command).await?,
        Command::Events(EventsCommand::List { user, limit }) => {
            records::events(&app, user.as_deref(), limit).await?
        }
        Command::Backup { file } => backup(&app, &file).await?,
        Command::Migrate => Output::new("The schema is up to date.", json!({ "migrated": true })),
    };
    app.store.db().close().await;
    Ok(Some(output))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let app = App::open_for_real(config, Stop::on_signals()).await?;
    let welcome = first_administrator(&app).await?;
    let application = Application::build(app)?;
    eprintln!("The authority is at {}", application.app().config.public_url);
    if let Some(link) = welcome {
        eprintln!(
            "Nobody administers it yet. Make the first administrator, once, within three days, at"
        );
        eprintln!("  {}", link.expose_secret());
    }
    application.run_until_stopped().await?;
    Ok(())
}

async fn backup(app: &App, file: &Path) -> Result<Output, Failure> {
    if !app.store.db().back_up(file).await? {
        return Err(
            "PostgreSQL is backed up with its own tools: pg_dump, or an archive of its WAL".into(),
        );
    }
    let text = format!("{} is a copy. Keep it apart from the server's secret.", file.display());
    Ok(Output::new(text, json!({ "file": file })))
}

/// A one-time link to make the first administrator, while there is none. Earlier links stop working.
async fn first_administrator(app: &App) -> Result<Option<SecretString>, Failure> {
    if app.store.has_administrator().await? {
        return Ok(None);
    }
    app.store.withdraw_admin_invitations(app.now()).await?;
    let invitation = Invitation { email: String::new(), admin: true };
    Ok(Some(people::invite(app, &invitation).await?))
}

/// Looks at everything that a start needs, and more. Fails when something would.
async fn check(config: Config) -> Result<Output, Failure> {
    let mut lines = Vec::new();
    let mut notes = Vec::new();
    let public_url = config.public_url.clone();
    let proxied = !config.trusted_proxies.is_empty();
    let cookie = public_url.cookie_name("aa_identity");
    let (_handle, stop) = Stop::pair();
    let app = App::open_for_real(config, stop).await?;
    app.store.db().ping().await?;
    lines.push(format!("database: {} answers, and its schema is current", app.store.db().kind()));
    lines.push(format!("keys: {} published", app.signer.public_keys().key_ids().len()));
    lines.push(format!("cookies: {cookie}"));
    lines.push(format!("clock: {}", app.now()));
    if public_url.is_https() && !proxied {
        notes.push(
            "the public URL is https and no proxy is trusted: every request will seem to come from the one \
             that ends TLS. Set AA_TRUSTED_PROXIES"
                .to_owned(),
        );
    }
    if app.now() < Timestamp::from_millis(1_750_000_000_000) {
        notes.push("the clock is in the past: tokens will be refused elsewhere".to_owned());
    }
    if !app.store.has_administrator().await? {
        notes.push("nobody administers the authority: `aa-server user add --admin …`".to_owned());
    }
    app.store.db().close().await;
    let text = lines.iter().cloned().chain(notes.iter().map(|note| format!("note: {note}")));
    let text = text.collect::<Vec<_>>().join("\n");
    Ok(Output::new(text, json!({ "ok": true, "found": lines, "notes": notes })))
}
