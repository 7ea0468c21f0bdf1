//! `aa-server user …`.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use service::run::Failure;

use super::listing::{PageArgs, list};
use super::output::Output;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::directory::DirectoryData;
use crate::domain::event::Actor;
use crate::ops::account::NewAccount;
use crate::ops::lists::{self, PageRequest};
use crate::ops::users;
use crate::store::{Invitation, User};

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create a user.
    Add {
        /// The user's e-mail address.
        #[arg(long)]
        email: String,
        /// Display name.
        #[arg(long, default_value = "")]
        name: String,
        /// Make them an administrator.
        #[arg(long)]
        admin: bool,
        /// The address is known to be theirs: they need not prove it.
        #[arg(long)]
        email_verified: bool,
        #[command(flatten)]
        password: PasswordInput,
    },
    /// Create the users of a file that do not exist yet.
    Apply {
        /// TOML with `[[user]]` tables: email, password, and optionally name, admin, `email_verified`, `given_name`,
        /// `family_name` and groups.
        file: PathBuf,
    },
    /// List the users, by address.
    List(PageArgs),
    /// Print a one-time link for creating an account. With an address and a mail server, it is mailed, too.
    Invite {
        /// Only for this address.
        #[arg(long, default_value = "")]
        email: String,
        /// The account will be an administrator.
        #[arg(long)]
        admin: bool,
    },
    /// Vouch for a user's address: apps are told that it is verified.
    VerifyEmail {
        /// The user's e-mail address.
        email: String,
    },
    /// Set what apps are told about a user beside the account. What is not given stays as it is.
    Set {
        /// The user's e-mail address.
        email: String,
        #[command(flatten)]
        data: DirectoryArgs,
    },
    /// Disable a user, which ends all their sessions.
    Disable {
        /// The user's e-mail address.
        email: String,
    },
    /// Let a user sign in again.
    Enable {
        /// The user's e-mail address.
        email: String,
    },
    /// Remove a user's passkeys, authenticator app and recovery codes, which ends all their sessions.
    ResetFactors {
        /// The user's e-mail address.
        email: String,
    },
    /// Set a user's password, which ends all their sessions.
    SetPassword {
        /// The user's e-mail address.
        email: String,
        #[command(flatten)]
        password: PasswordInput,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct DirectoryArgs {
    /// Given name (claim `given_name`); empty removes it.
    #[arg(long)]
    given_name: Option<String>,
    /// Family name (claim `family_name`); empty removes it.
    #[arg(long)]
    family_name: Option<String>,
    /// A group that the user is in (claim `groups`), instead of those of before.
    #[arg(long = "group", value_name = "NAME", conflicts_with = "no_groups")]
    groups: Vec<String>,
    /// The user is in no group.
    #[arg(long)]
    no_groups: bool,
}

impl From<DirectoryArgs> for DirectoryData {
    fn from(args: DirectoryArgs) -> Self {
        Self {
            given_name: args.given_name,
            family_name: args.family_name,
            groups: (args.no_groups || !args.groups.is_empty()).then_some(args.groups),
        }
    }
}

/// Said when the last administrator was disabled.
const NO_ADMINISTRATOR: &str =
    "That was the last administrator: `aa-server user add --admin …` makes another.";

#[derive(Debug, Args)]
pub(super) struct PasswordInput {
    /// Read the password from standard input (one line) instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordInput {
    /// The password: one line of standard input, or what is typed twice at the terminal.
    fn read(&self) -> Result<SecretString, Failure> {
        if self.password_stdin {
            return read_password();
        }
        if !std::io::stdin().is_terminal() {
            return Err(
                "there is no terminal to ask for the password at: give it to --password-stdin"
                    .into(),
            );
        }
        let typed: SecretString = rpassword::prompt_password("Password: ")?.into();
        let again: SecretString = rpassword::prompt_password("The same again: ")?.into();
        if typed.expose_secret() != again.expose_secret() {
            return Err("they are not the same; nothing was changed".into());
        }
        Ok(typed)
    }
}

pub(super) async fn run(authority: &Authority, command: UserCommand) -> Result<Output, Failure> {
    let operator = Caller::operator();
    Ok(match command {
        UserCommand::Add { email, name, admin, email_verified, password } => {
            let password = password.read()?;
            let account =
                NewAccount { email: email.clone(), name, password, admin, email_verified };
            let id = users::add(authority, account, &operator).await?;
            Output::new(format!("{email} may sign in."), json!({ "id": id, "email": email }))
        }
        UserCommand::Apply { file } => apply(authority, &file, &operator).await?,
        UserCommand::List(page) => {
            let read = async |page: PageRequest<'_>| lists::users(authority, page).await;
            list(page, None, read, user_line, user_json).await?
        }
        UserCommand::Invite { email, admin } => {
            let mailed = if email.is_empty() || authority.mailer.is_folder() {
                String::new()
            } else {
                format!(" It is on its way to {email}, too.")
            };
            let invitation = Invitation { email, admin };
            let link = users::invite(authority, &invitation, Actor::Operator, &operator).await?;
            let link = link.expose_secret();
            let hours = users::INVITATION_TTL.as_secs() / 3600;
            Output::new(link, json!({ "url": link }))
                .with_note(Some(format!("It makes one account, within {hours} hours.{mailed}")))
        }
        UserCommand::VerifyEmail { email } => {
            let user = find(authority, &email).await?;
            let verified = users::verify_email(authority, &user, &operator).await?;
            let text = match verified {
                Some(()) => format!("{email} counts as verified."),
                None => format!("{email} was verified before."),
            };
            Output::new(text, json!({ "id": user.id, "email_verified": true }))
        }
        UserCommand::Set { email, data } => {
            let user = find(authority, &email).await?;
            let changed =
                users::change_directory_data(authority, &user, &data.into(), &operator).await?;
            let text = match changed {
                Some(()) => format!("{email} is changed."),
                None => format!("{email} is as it was."),
            };
            Output::new(text, json!({ "id": user.id, "changed": changed.is_some() }))
        }
        UserCommand::Disable { email } => {
            let user = find(authority, &email).await?;
            users::set_enabled(authority, &user, false, &operator).await?;
            let none_left = user.roles().iter().any(|role| role == "admin")
                && !authority.store.has_administrator().await?;
            Output::new(
                format!("{email} is disabled, and all their sessions have ended."),
                json!({ "id": user.id, "enabled": false }),
            )
            .with_note(none_left.then(|| NO_ADMINISTRATOR.to_owned()))
        }
        UserCommand::Enable { email } => {
            let user = find(authority, &email).await?;
            users::set_enabled(authority, &user, true, &operator).await?;
            Output::new(
                format!("{email} may sign in again."),
                json!({ "id": user.id, "enabled": true }),
            )
        }
        UserCommand::ResetFactors { email } => {
            let user = find(authority, &email).await?;
            users::reset_factors(authority, &user, &operator).await?;
            Output::new(
                format!(
                    "{email} has no second factor any more, and all their sessions have ended."
                ),
                json!({ "id": user.id }),
            )
        }
        UserCommand::SetPassword { email, password } => {
            let user = find(authority, &email).await?;
            users::reset_password(authority, &user, password.read()?, &operator).await?;
            Output::new(
                format!("The password of {email} is set, and all their sessions have ended."),
                json!({ "id": user.id }),
            )
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    user: Vec<UserForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserForm {
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    admin: bool,
    /// Whether the operator vouches for the address: of an existing user, too.
    #[serde(default)]
    email_verified: bool,
    /// Of an existing user, too; what is left out stays as it is.
    given_name: Option<String>,
    family_name: Option<String>,
    groups: Option<Vec<String>>,
    /// The initial password. An existing user keeps theirs.
    password: SecretString,
}

async fn apply(authority: &Authority, file: &Path, operator: &Caller) -> Result<Output, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map(zeroize::Zeroizing::new);
    let text = text.map_err(|error| format!("{shown}: {error}"))?;
    // The parser's message would quote the line, and there may be a password in it.
    let file: UsersFile = toml::from_str(&text)
        .map_err(|error: toml::de::Error| format!("{shown}: {}", error.message()))?;
    let mut lines = Vec::new();
    let mut json = Vec::new();
    for form in file.user {
        let UserForm { email, name, admin, email_verified, password, .. } = form;
        let directory = DirectoryData {
            given_name: form.given_name,
            family_name: form.family_name,
            groups: form.groups,
        };
        let failed = |error: &dyn std::fmt::Display| format!("{shown}: {email}: {error}");
        directory.check().map_err(|error| failed(&error))?;
        let known = authority.store.user_by_email(&email.trim().to_lowercase()).await?;
        let mut result = match known {
            Some(user) if email_verified => {
                let verified = users::verify_email(authority, &user, operator).await?;
                verified.map_or("unchanged", |()| "changed")
            }
            Some(_) => "unchanged",
            None => {
                let account =
                    NewAccount { email: email.clone(), name, password, admin, email_verified };
                users::add(authority, account, operator).await.map_err(|error| failed(&error))?;
                "added"
            }
        };
        if !directory.is_empty() {
            let user = find(authority, &email).await?;
            let changed =
                users::change_directory_data(authority, &user, &directory, operator).await?;
            if changed.is_some() && result == "unchanged" {
                result = "changed";
            }
        }
        lines.push(format!("{email}: {result}"));
        json.push(json!({ "email": email, "result": result }));
    }
    Ok(Output::new(lines.join("\n"), json.into()))
}

fn user_line(user: &User) -> String {
    let state = if user.enabled { "" } else { "  disabled" };
    let roles = user.roles();
    let roles = if roles.is_empty() { String::new() } else { format!("  {}", roles.join(",")) };
    let name = if user.name.is_empty() { String::new() } else { format!("  {}", user.name) };
    let seen =
        user.last_seen_at.map_or("  never seen".to_owned(), |at| format!("  last seen {at}"));
    format!("{}  {}{name}{roles}{state}{seen}", user.id, user.email)
}

fn user_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "enabled": user.enabled,
        "roles": user.roles(),
        "given_name": user.given_name,
        "family_name": user.family_name,
        "groups": user.groups(),
        "email_verified": user.email_verified_at.is_some(),
        "closes_at": user.closes_at.map(|at| at.to_string()),
        "created_at": user.created_at.to_string(),
        "last_seen_at": user.last_seen_at.map(|at| at.to_string()),
    })
}

pub(super) async fn find(authority: &Authority, email: &str) -> Result<User, Failure> {
    let found = authority.store.user_by_email(&email.trim().to_lowercase()).await?;
    found.ok_or_else(|| format!("there is no user {email}").into())
}

/// Reads the password from standard input: one line, 8 KiB at most.
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
