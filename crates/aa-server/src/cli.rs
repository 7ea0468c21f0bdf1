//! The commands of SPEC §5. One JSON document on standard output with `--json`; logs and progress go to standard
//! error; exit status 0, 1 (failed) or 2 (usage).

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use service::random::SystemRandom;
use service::run::{LogFormat, Stop, start_logging};
use service::settings::{Settings, flags};
use service::time::Timestamp;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokens::Algorithm;
use uuid::Uuid;

use crate::app::{App, Application};
use crate::config::{Config, FILE, PREFIX, SETTINGS};
use crate::domain::client::{AppKind, DelegationMode, Lifetimes, Registration};
use crate::ops::apps::{self, Applied};
use crate::ops::people::{self, NewPerson};
use crate::ops::{Caller, keys, revoke, sessions};
use crate::store::{EventFilter, Invitation, User};

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
    /// Say what is wrong with the configuration, and how to mend it.
    Check,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a user.
    Add {
        /// Their e-mail address.
        #[arg(long)]
        email: String,
        /// What they want to be called.
        #[arg(long, default_value = "")]
        name: String,
        /// They administer the authority.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        password: PasswordInput,
    },
    /// List all users.
    List,
    /// Print a one-time link with which somebody makes an account.
    Invite {
        /// For this address alone.
        #[arg(long, default_value = "")]
        email: String,
        /// They will administer the authority.
        #[arg(long)]
        admin: bool,
    },
    /// Disable a user, which ends everything of theirs.
    Disable {
        /// Their e-mail address.
        email: String,
    },
    /// Let a user sign in again.
    Enable {
        /// Their e-mail address.
        email: String,
    },
    /// Set a user's password, which ends everything of theirs.
    SetPassword {
        /// Their e-mail address.
        email: String,
        #[command(flatten)]
        password: PasswordInput,
    },
}

#[derive(Debug, Args)]
struct PasswordInput {
    /// Read the password from standard input (one line).
    #[arg(long, required = true)]
    password_stdin: bool,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    /// Register an app, and print its secret, once.
    Add(Box<AddApp>),
    /// Make apps as a file declares them, or change them to be so.
    Apply {
        /// TOML with `[[app]]` tables.
        file: PathBuf,
    },
    /// List all apps.
    List,
    /// Show what is declared about an app.
    Show {
        /// Its client id.
        id: String,
    },
    /// Give an app a new secret, and print it, once. The old one works for another day.
    RotateSecret {
        /// Its client id.
        id: String,
    },
    /// Turn an app off: it gets no token any more.
    Disable {
        /// Its client id.
        id: String,
    },
    /// Turn an app on again.
    Enable {
        /// Its client id.
        id: String,
    },
}

#[derive(Debug, Args)]
struct AddApp {
    /// Its client id.
    id: String,
    /// Its name, as people see it.
    #[arg(long)]
    name: String,
    /// Whether it can keep a secret, and whether people use it.
    #[arg(long, value_enum, default_value = "confidential")]
    kind: AppKind,
    /// Where answers may be sent.
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// Where people may be sent after signing out.
    #[arg(long = "post-logout-uri", value_name = "URI")]
    post_logout_uris: Vec<String>,
    /// Where the launcher opens it.
    #[arg(long, value_name = "URL")]
    launch_url: Option<String>,
    /// An audience its tokens may be for; default: its own id.
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// Scopes it may ask for; default: openid profile email `offline_access`.
    #[arg(long = "scope", value_name = "SCOPE", num_args = 1..)]
    scopes: Vec<String>,
    /// How the launcher hands a sign-in over.
    #[arg(long, value_enum, default_value = "code")]
    delegation: DelegationMode,
    /// It gets refresh tokens without asking for `offline_access`.
    #[arg(long)]
    always_refresh: bool,
    /// Its sessions outlive the sign-in they came from.
    #[arg(long)]
    outlives_sign_out: bool,
    /// One user may have several sessions of it in one browser.
    #[arg(long)]
    several_families: bool,
    /// A claim about the person its tokens carry: roles, email or name.
    #[arg(long = "claim", value_name = "CLAIM")]
    claims: Vec<String>,
    /// Algorithm of its ID tokens.
    #[arg(long, value_name = "ALG")]
    id_token_alg: Option<Algorithm>,
    /// It gets an ID token at every refresh.
    #[arg(long)]
    id_token_on_refresh: bool,
}

#[derive(Debug, Subcommand)]
enum FamilyCommand {
    /// List a user's live sessions.
    List {
        /// Their e-mail address.
        #[arg(long)]
        user: String,
    },
    /// End a session.
    Revoke {
        /// Its id.
        id: Uuid,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the signing keys.
    List,
    /// Make new signing keys, which sign in ten minutes.
    Rotate,
    /// Make the HS256 secret of an audience, and print it, once.
    Add {
        /// The audience.
        audience: String,
    },
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// List events, the newest first.
    List {
        /// Of this user alone.
        #[arg(long)]
        user: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

/// Why a command failed, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    let json = cli.json;
    match run(cli, &matches).await {
        Ok(Some(output)) if json => println!("{}", output.json),
        Ok(Some(output)) if output.text.is_empty() => {}
        Ok(Some(output)) => println!("{}", output.text),
        Ok(None) => {}
        Err(error) => {
            eprintln!("error: {error}");
            let is_usage = error.downcast_ref::<service::settings::SettingsError>().is_some();
            return ExitCode::from(if is_usage { 2 } else { 1 });
        }
    }
    ExitCode::SUCCESS
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
        Command::App(AppCommand::Add(_)) => own_settings(&settings.take_flags(&OWN))?,
        _ => (Lifetimes::default(), None),
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
    if matches!(command, Command::Check) {
        return check(config).await.map(Some);
    }
    let (_handle, stop) = Stop::pair();
    let app = App::open_for_real(config, stop).await?;
    let output = match command {
        Command::Serve | Command::Check => unreachable!("handled above"),
        Command::User(command) => user(&app, command).await?,
        Command::App(command) => app_command(&app, command, own).await?,
        Command::Family(command) => family(&app, command).await?,
        Command::Keys(command) => keys_command(&app, command).await?,
        Command::Events(EventsCommand::List { user, limit }) => {
            events(&app, user.as_deref(), limit).await?
        }
        Command::Migrate => Output::new("The schema is up to date.", json!({ "migrated": true })),
    };
    app.store.db().close().await;
    Ok(Some(output))
}

/// After `app add`, these flags speak of the app, not of the deployment.
const OWN: [&str; 6] =
    ["at_ttl", "dt_ttl", "refresh_grace", "family_idle_ttl", "family_ttl", "at_alg"];

fn own_settings(flags: &Settings) -> Result<(Lifetimes, Option<Algorithm>), Failure> {
    let take = |name| if flags.is_set(name) { flags.duration(name) } else { Ok(None) };
    let lifetimes = Lifetimes {
        at_ttl: take("at_ttl")?,
        dt_ttl: take("dt_ttl")?,
        refresh_grace: take("refresh_grace")?,
        family_idle_ttl: take("family_idle_ttl")?,
        family_ttl: take("family_ttl")?,
    };
    let at_alg = if flags.is_set("at_alg") { flags.optional("at_alg")? } else { None };
    Ok((lifetimes, at_alg))
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

/// A one-time link to make the first administrator, while there is none. Earlier links stop working.
async fn first_administrator(app: &App) -> Result<Option<SecretString>, Failure> {
    if app.store.has_administrator().await? {
        return Ok(None);
    }
    app.store.withdraw_admin_invitations(app.now()).await?;
    let invitation = Invitation { email: String::new(), admin: true };
    Ok(Some(people::invite(app, &invitation).await?))
}

async fn user(app: &App, command: UserCommand) -> Result<Output, Failure> {
    let operator = Caller::operator();
    Ok(match command {
        UserCommand::Add { email, name, admin, password: _ } => {
            let password = read_password()?;
            let person = NewPerson { email: email.clone(), name, password, admin };
            let id = people::add(app, person, &operator).await?;
            Output::new(format!("{email} may sign in."), json!({ "id": id, "email": email }))
        }
        UserCommand::List => {
            let users = app.store.users().await?;
            let lines: Vec<String> = users.iter().map(user_line).collect();
            let json: Vec<Value> = users.iter().map(user_json).collect();
            Output::new(lines.join("\n"), json.into())
        }
        UserCommand::Invite { email, admin } => {
            let link = people::invite(app, &Invitation { email, admin }).await?;
            let link = link.expose_secret();
            Output::new(link, json!({ "url": link }))
        }
        UserCommand::Disable { email } => {
            let user = find_user(app, &email).await?;
            people::set_enabled(app, &user, false, &operator).await?;
            Output::new(
                format!("{email} is disabled, and everything of theirs has ended."),
                json!({ "id": user.id, "enabled": false }),
            )
        }
        UserCommand::Enable { email } => {
            let user = find_user(app, &email).await?;
            people::set_enabled(app, &user, true, &operator).await?;
            Output::new(
                format!("{email} may sign in again."),
                json!({ "id": user.id, "enabled": true }),
            )
        }
        UserCommand::SetPassword { email, password: _ } => {
            let user = find_user(app, &email).await?;
            people::reset_password(app, &user, read_password()?, &operator).await?;
            Output::new(
                format!("The password of {email} is set, and everything of theirs has ended."),
                json!({ "id": user.id }),
            )
        }
    })
}

fn user_line(user: &User) -> String {
    let state = if user.enabled { "" } else { "  disabled" };
    let roles = user.roles();
    let roles = if roles.is_empty() { String::new() } else { format!("  {}", roles.join(",")) };
    format!("{}  {}{roles}{state}", user.id, user.email)
}

fn user_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "enabled": user.enabled,
        "roles": user.roles(),
        "created_at": Timestamp::from_millis(user.created_at).to_string(),
    })
}

async fn find_user(app: &App, email: &str) -> Result<User, Failure> {
    let found = app.store.user_by_email(&email.trim().to_lowercase()).await?;
    found.ok_or_else(|| format!("there is no user {email}").into())
}

/// One line of standard input, so that the password is no argument.
fn read_password() -> Result<SecretString, Failure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin().take(8 * 1024).read_to_string(&mut text)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err("standard input must be the password, on one line".into());
    }
    Ok(line.into())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AppsFile {
    #[serde(default)]
    app: Vec<Registration>,
}

async fn app_command(
    app: &App,
    command: AppCommand,
    own: (Lifetimes, Option<Algorithm>),
) -> Result<Output, Failure> {
    let operator = Caller::operator();
    Ok(match command {
        AppCommand::Add(add) => {
            let registration = registration(*add, own);
            let secret = apps::add(app, &registration, &operator).await?;
            let id = &registration.client_id;
            let text = match &secret {
                Some(secret) => format!(
                    "{id} is registered. Its secret, which is not shown again:\n{}",
                    secret.expose_secret()
                ),
                None => format!("{id} is registered. It is public: it has no secret."),
            };
            Output::new(text, with_secret(id, secret.as_ref()))
        }
        AppCommand::Apply { file } => apply(app, &file, &operator).await?,
        AppCommand::List => {
            let all = app.store.apps().await?;
            let line = |found: &crate::store::App| {
                let state = if found.enabled { "" } else { "  disabled" };
                format!("{}  {}{state}", found.registration.client_id, found.registration.name)
            };
            let lines: Vec<String> = all.iter().map(line).collect();
            let json: Vec<Value> = all.iter().map(app_json).collect();
            Output::new(lines.join("\n"), json.into())
        }
        AppCommand::Show { id } => {
            let found =
                app.store.app(&id).await?.ok_or_else(|| format!("there is no app `{id}`"))?;
            let state = if found.enabled { "" } else { "# disabled\n" };
            let text = format!("{state}{}", toml::to_string(&found.registration)?);
            Output::new(text.trim_end(), app_json(&found))
        }
        AppCommand::RotateSecret { id } => {
            let secret = apps::rotate_secret(app, &id, &operator).await?;
            let text = format!(
                "The new secret of {id}, which is not shown again (the old one works for another day):\n{}",
                secret.expose_secret()
            );
            Output::new(text, with_secret(&id, Some(&secret)))
        }
        AppCommand::Disable { id } => {
            apps::set_enabled(app, &id, false, &operator).await?;
            let json = json!({ "client_id": id, "enabled": false });
            Output::new(format!("{id} gets no token any more."), json)
        }
        AppCommand::Enable { id } => {
            apps::set_enabled(app, &id, true, &operator).await?;
            let json = json!({ "client_id": id, "enabled": true });
            Output::new(format!("{id} gets tokens again."), json)
        }
    })
}

fn app_json(found: &crate::store::App) -> Value {
    let mut json = serde_json::to_value(&found.registration).unwrap_or_default();
    json["enabled"] = json!(found.enabled);
    json
}

fn with_secret(client_id: &str, secret: Option<&SecretString>) -> Value {
    match secret {
        Some(secret) => json!({ "client_id": client_id, "client_secret": secret.expose_secret() }),
        None => json!({ "client_id": client_id }),
    }
}

fn registration(add: AddApp, (lifetimes, at_alg): (Lifetimes, Option<Algorithm>)) -> Registration {
    let words = |list: Vec<String>| -> Vec<String> {
        list.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect()
    };
    Registration {
        client_id: add.id,
        name: add.name,
        kind: add.kind,
        redirect_uris: add.redirect_uris,
        post_logout_uris: add.post_logout_uris,
        launch_url: add.launch_url,
        audiences: add.audiences,
        scopes: words(add.scopes),
        delegation: add.delegation,
        always_refresh: add.always_refresh,
        outlives_sign_out: add.outlives_sign_out,
        several_families: add.several_families,
        claims: words(add.claims),
        at_alg,
        id_token_alg: add.id_token_alg,
        id_token_on_refresh: add.id_token_on_refresh,
        lifetimes,
    }
}

async fn apply(app: &App, file: &std::path::Path, operator: &Caller) -> Result<Output, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
    let file: AppsFile = toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
    let mut lines = Vec::new();
    let mut json = Vec::new();
    for registration in &file.app {
        let id = &registration.client_id;
        let applied = apps::apply(app, registration, operator)
            .await
            .map_err(|error| format!("{shown}: {id}: {error}"))?;
        let (line, mut value, what) = match applied {
            Applied::Added(Some(secret)) => (
                format!("{id}: added. Its secret, not shown again: {}", secret.expose_secret()),
                with_secret(id, Some(&secret)),
                "added",
            ),
            Applied::Added(None) => (format!("{id}: added"), with_secret(id, None), "added"),
            Applied::Changed => (format!("{id}: changed"), with_secret(id, None), "changed"),
            Applied::Unchanged => (format!("{id}: unchanged"), with_secret(id, None), "unchanged"),
        };
        value["result"] = json!(what);
        lines.push(line);
        json.push(value);
    }
    Ok(Output::new(lines.join("\n"), json.into()))
}

async fn family(app: &App, command: FamilyCommand) -> Result<Output, Failure> {
    match command {
        FamilyCommand::List { user } => {
            let user = find_user(app, &user).await?;
            let seen = sessions::overview(app, user.id, None).await?;
            let mut lines = Vec::new();
            let mut json = Vec::new();
            for device in &seen.devices {
                for session in &device.live {
                    lines.push(format!(
                        "{}  {}  {}  last used {} from {}",
                        session.id, session.app, device.browser, session.last_used, session.ip
                    ));
                    json.push(json!({
                        "id": session.id,
                        "app": session.app,
                        "device": device.id,
                        "browser": device.browser,
                        "started_at": session.started.to_string(),
                        "last_used_at": session.last_used.to_string(),
                        "ip": session.ip,
                    }));
                }
            }
            Ok(Output::new(lines.join("\n"), json.into()))
        }
        FamilyCommand::Revoke { id } => {
            let ended = revoke::revoke_by_operator(app, id, &Caller::operator()).await?;
            let ended = ended.ok_or_else(|| format!("there is no session {id}"))?;
            let text = if ended { "The session has ended." } else { "It had ended before." };
            Ok(Output::new(text, json!({ "id": id, "ended": ended })))
        }
    }
}

async fn keys_command(app: &App, command: KeysCommand) -> Result<Output, Failure> {
    match command {
        KeysCommand::List => {
            let mut lines = Vec::new();
            let mut json = Vec::new();
            for key in app.store.keys(app.now()).await? {
                let time = |millis| Timestamp::from_millis(millis).to_string();
                let state = match (key.signs_from > app.now().millis(), key.retires_at) {
                    (true, _) => "next",
                    (false, None) => "active",
                    (false, Some(_)) => "retiring",
                };
                lines.push(format!(
                    "{}  {}  {state}  signs from {}{}",
                    key.kid,
                    key.algorithm,
                    time(key.signs_from),
                    if key.audience.is_empty() {
                        String::new()
                    } else {
                        format!("  {}", key.audience)
                    }
                ));
                json.push(json!({
                    "kid": key.kid,
                    "algorithm": key.algorithm,
                    "audience": key.audience,
                    "state": state,
                    "created_at": time(key.created_at),
                    "signs_from": time(key.signs_from),
                    "retires_at": key.retires_at.map(time),
                }));
            }
            Ok(Output::new(lines.join("\n"), json.into()))
        }
        KeysCommand::Rotate => {
            let made = keys::rotate(app, &Caller::operator()).await?;
            let text = format!(
                "New keys are published now and sign from ten minutes on:\n{}",
                made.join("\n")
            );
            Ok(Output::new(text, json!({ "kids": made })))
        }
        KeysCommand::Add { audience } => {
            let made = keys::add_audience_secret(app, &audience, &Caller::operator()).await?;
            let secret = made.secret.expose_secret();
            let text = format!(
                "The HS256 secret of {audience}, which is not shown again:\nkid {}\n{secret}",
                made.kid
            );
            Ok(Output::new(
                text,
                json!({ "kid": made.kid, "audience": audience, "secret": secret }),
            ))
        }
    }
}

async fn events(app: &App, user: Option<&str>, limit: u32) -> Result<Output, Failure> {
    let user = match user {
        Some(email) => Some(find_user(app, email).await?.id),
        None => None,
    };
    let found = app.store.events(&EventFilter { user, limit }).await?;
    let lines: Vec<String> = found
        .iter()
        .map(|event| {
            let at = Timestamp::from_millis(event.at);
            format!("{at}  {}  {}  {}  {}", event.kind, event.actor, event.ip, event.detail)
        })
        .collect();
    let json: Vec<Value> = found.iter().map(crate::store::EventRow::to_json).collect();
    Ok(Output::new(lines.join("\n"), json.into()))
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
