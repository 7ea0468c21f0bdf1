//! `aa-server family …`, `keys …`, `events …`.

use std::time::Duration;

use clap::{Args, Subcommand};
use foundation::time::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::run::Failure;
use strum::VariantArray as _;

use super::listing::{PageArgs, list};
use super::output::Output;
use super::users;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::EventKind;
use crate::domain::ids::FamilyId;
use crate::domain::user_agent::UserAgent;
use crate::ops::keys as ops_keys;
use crate::ops::lists::{self, Page, PageRequest, Sessions};
use crate::ops::tokens::revoke;
use crate::store::{EventFilter, EventRow, SessionRow};

#[derive(Debug, Subcommand)]
pub(super) enum FamilyCommand {
    /// List a user's live sessions.
    List {
        /// Their e-mail address.
        #[arg(long)]
        user: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// End a session.
    Revoke {
        /// Its id.
        #[arg(value_parser = session_id)]
        id: FamilyId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List the signing keys.
    List,
    /// Create new signing keys, which sign in ten minutes.
    Rotate,
    /// Withdraw a signing key at once, because it has leaked. Tokens that it has signed are refused.
    Revoke {
        /// Its id.
        kid: String,
    },
    /// Create the HS256 secret of an audience, and print it, once.
    Add {
        /// The audience.
        audience: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// List events, the newest first: 100 of them if neither a limit nor a cursor is given.
    List {
        #[command(flatten)]
        only: EventFilterArgs,
        #[command(flatten)]
        page: PageArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct EventFilterArgs {
    /// Only of this user.
    #[arg(long)]
    user: Option<String>,
    /// Only of this app.
    #[arg(long)]
    app: Option<String>,
    /// Only of this kind, such as `family.reuse`.
    #[arg(long)]
    kind: Option<String>,
    /// Only of the last so long, such as `2h` or `7d`.
    #[arg(long, value_parser = humantime::parse_duration)]
    since: Option<Duration>,
}

fn session_id(text: &str) -> Result<FamilyId, String> {
    text.parse().map_err(|_| "it is not the id of a session; `family list` shows them".to_owned())
}

pub(super) async fn family(
    authority: &Authority,
    command: FamilyCommand,
) -> Result<Output, Failure> {
    match command {
        FamilyCommand::List { user, page } => {
            let user = users::find(authority, &user).await?.id;
            let read = async |page: PageRequest<'_>| {
                let found = lists::sessions(authority, user, Sessions::Live, page).await?;
                let ids = found.items.iter().map(|row| row.client_id.as_str());
                let names = lists::client_names(authority, ids).await?;
                let named = |row: SessionRow| (names[&row.client_id].clone(), row);
                let items = found.items.into_iter().map(named).collect();
                Ok(Page { items, next: found.next })
            };
            list(page, None, read, session_line, session_json).await
        }
        FamilyCommand::Revoke { id } => {
            let ended = revoke::revoke_by_operator(authority, id, &Caller::operator()).await?;
            let ended = ended.ok_or_else(|| format!("there is no session {id}"))?;
            let text = if ended { "The session has ended." } else { "It had ended before." };
            Ok(Output::new(text, json!({ "id": id, "ended": ended })))
        }
    }
}

fn session_line((app, row): &(String, SessionRow)) -> String {
    let browser = UserAgent::of(&row.browser_user_agent).to_string();
    let last_used = row.rotated_at;
    format!("{}  {app}  {browser}  last used {last_used} from {}", row.id, row.rotated_ip)
}

fn session_json((app, row): &(String, SessionRow)) -> Value {
    json!({
        "id": row.id,
        "app": app,
        "device": row.browser_id,
        "browser": UserAgent::of(&row.browser_user_agent).to_string(),
        "started_at": row.created_at.to_string(),
        "last_used_at": row.rotated_at.to_string(),
        "ip": row.rotated_ip,
    })
}

pub(super) async fn keys(authority: &Authority, command: KeysCommand) -> Result<Output, Failure> {
    match command {
        KeysCommand::List => {
            let mut lines = Vec::new();
            let mut json = Vec::new();
            for key in authority.store.keys(authority.now()).await? {
                let time = |at: Timestamp| at.to_string();
                let state = match (key.signs_from > authority.now(), key.retires_at) {
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
        KeysCommand::Revoke { kid } => {
            let revoked = ops_keys::revoke(authority, &kid, &Caller::operator()).await?;
            let successor = revoked.ok_or_else(|| format!("there is no key {kid}"))?;
            let signs = match &successor {
                Some(successor) => format!(" {successor} takes its place."),
                None => String::new(),
            };
            let text = format!(
                "{kid} is withdrawn.{signs} Running replicas follow within 15 seconds, and APIs when they next fetch the keys: \
                 within five minutes."
            );
            Ok(Output::new(text, json!({ "kid": kid, "successor": successor })))
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

/// Events that are listed if nothing else is asked for.
const SHOWN: u32 = 100;

pub(super) async fn events(
    authority: &Authority,
    only: EventFilterArgs,
    page: PageArgs,
) -> Result<Output, Failure> {
    let user = match &only.user {
        Some(email) => Some(users::find(authority, email).await?.id),
        None => None,
    };
    if let Some(kind) = only.kind.as_deref().filter(|kind| EventKind::from_stored(kind).is_none()) {
        let kinds: Vec<_> = EventKind::VARIANTS.iter().map(|kind| kind.as_str()).collect();
        return Err(
            format!("there are no events of kind `{kind}`, but {}", kinds.join(", ")).into()
        );
    }
    let since = only.since.map(|ago| authority.now() - ago);
    let only = EventFilter { user, client_id: only.app, kind: only.kind, since };
    let read = async |page: PageRequest<'_>| {
        let found = lists::events(authority, &only, page).await?;
        let ids = found.items.iter().filter_map(|event| event.user_id);
        let emails = lists::user_emails(authority, ids).await?;
        let named =
            |event: EventRow| (event.user_id.and_then(|id| emails.get(&id).cloned()), event);
        let items = found.items.into_iter().map(named).collect();
        Ok(Page { items, next: found.next })
    };
    list(page, Some(SHOWN), read, event_line, |(_, event)| event.to_json()).await
}

/// One line: time, kind, count, user, app, actor, address and details.
fn event_line((user, event): &(Option<String>, EventRow)) -> String {
    let mut parts = vec![event.at.to_string(), event.kind.clone()];
    if event.count > 1 {
        parts.push(format!("{} times", event.count));
    }
    parts.extend(user.iter().map(|user| format!("user {user}")));
    parts.extend(event.client_id.iter().map(|app| format!("app {app}")));
    parts.push(format!("by {}", event.actor));
    if !event.ip.is_empty() {
        parts.push(format!("from {}", event.ip));
    }
    if event.detail.as_object().is_some_and(|detail| !detail.is_empty()) {
        parts.push(event.detail.to_string());
    }
    parts.join("  ")
}
