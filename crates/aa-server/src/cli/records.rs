//! `aa-server family …`, `keys …`, `events …`.

use clap::Subcommand;
use foundation::time::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::run::Failure;
use uuid::Uuid;

use super::output::Output;
use super::users;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::ops::keys as ops_keys;
use crate::ops::sessions::overview::overview;
use crate::ops::tokens::revoke;
use crate::store::EventFilter;

#[derive(Debug, Subcommand)]
pub(super) enum FamilyCommand {
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
pub(super) enum KeysCommand {
    /// List the signing keys.
    List,
    /// Create new signing keys, which sign in ten minutes.
    Rotate,
    /// Create the HS256 secret of an audience, and print it, once.
    Add {
        /// The audience.
        audience: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// List events, the newest first.
    List {
        /// Only of this user.
        #[arg(long)]
        user: Option<String>,
        /// The maximum number of events.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

pub(super) async fn family(
    authority: &Authority,
    command: FamilyCommand,
) -> Result<Output, Failure> {
    match command {
        FamilyCommand::List { user } => {
            let user = users::find(authority, &user).await?;
            let seen = overview(authority, user.id, None).await?;
            let mut lines = Vec::new();
            let mut json = Vec::new();
            for browser in &seen.browsers {
                for session in &browser.live {
                    lines.push(format!(
                        "{}  {}  {}  last used {} from {}",
                        session.id, session.app, browser.browser, session.last_used, session.ip
                    ));
                    json.push(json!({
                        "id": session.id,
                        "app": session.app,
                        "device": browser.id,
                        "browser": browser.browser,
                        "started_at": session.started.to_string(),
                        "last_used_at": session.last_used.to_string(),
                        "ip": session.ip,
                    }));
                }
            }
            Ok(Output::new(lines.join("\n"), json.into()))
        }
        FamilyCommand::Revoke { id } => {
            let ended = revoke::revoke_by_operator(authority, id, &Caller::operator()).await?;
            let ended = ended.ok_or_else(|| format!("there is no session {id}"))?;
            let text = if ended { "The session has ended." } else { "It had ended before." };
            Ok(Output::new(text, json!({ "id": id, "ended": ended })))
        }
    }
}

pub(super) async fn keys(authority: &Authority, command: KeysCommand) -> Result<Output, Failure> {
    match command {
        KeysCommand::List => {
            let mut lines = Vec::new();
            let mut json = Vec::new();
            for key in authority.store.keys(authority.now()).await? {
                let time = |millis| Timestamp::from_millis(millis).to_string();
                let state = match (key.signs_from > authority.now().millis(), key.retires_at) {
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
            let made = ops_keys::rotate(authority, &Caller::operator()).await?;
            let text = format!(
                "New keys are published now and sign from ten minutes on:\n{}",
                made.join("\n")
            );
            Ok(Output::new(text, json!({ "kids": made })))
        }
        KeysCommand::Add { audience } => {
            let made =
                ops_keys::add_audience_secret(authority, &audience, &Caller::operator()).await?;
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

pub(super) async fn events(
    authority: &Authority,
    user: Option<&str>,
    limit: u32,
) -> Result<Output, Failure> {
    let user = match user {
        Some(email) => Some(users::find(authority, email).await?.id),
        None => None,
    };
    let found = authority.store.events(&EventFilter { user, limit }).await?;
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
