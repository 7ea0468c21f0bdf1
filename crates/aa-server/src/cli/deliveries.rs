//! `aa-server delivery …`.

use clap::Subcommand;
use serde_json::{Value, json};
use service::run::Failure;

use super::listing::{PageArgs, list};
use super::output::Output;
use crate::authority::Authority;
use crate::domain::delivery::DeliveryId;
use crate::ops::lists::{self, PageRequest};
use crate::store::DeliveryRow;

#[derive(Debug, Subcommand)]
pub(super) enum DeliveryCommand {
    /// List messages to other systems that are waiting or were given up, the oldest first.
    List(PageArgs),
    /// Send a message again at once, also one that was given up.
    Retry {
        /// The delivery's id.
        id: DeliveryId,
    },
}

pub(super) async fn run(
    authority: &Authority,
    command: DeliveryCommand,
) -> Result<Output, Failure> {
    match command {
        DeliveryCommand::List(page) => {
            let read = async |page: PageRequest<'_>| lists::deliveries(authority, page).await;
            list(page, None, read, line, to_json).await
        }
        DeliveryCommand::Retry { id } => {
            let found = authority.store.retry_delivery(id, authority.now()).await?;
            found.ok_or_else(|| format!("there is no delivery {id}"))?;
            Ok(Output::new("It is sent again within seconds.", json!({ "id": id })))
        }
    }
}

fn line(row: &DeliveryRow) -> String {
    let state = match row.failed_at {
        Some(at) => format!("given up {at}: {}", row.last_error),
        None if row.last_error.is_empty() => format!("due {}", row.next_attempt_at),
        None => format!("due {}, last failure: {}", row.next_attempt_at, row.last_error),
    };
    format!("{}  {}  {}  attempts {}  {state}", row.id, row.kind, row.target, row.attempts)
}

fn to_json(row: &DeliveryRow) -> Value {
    json!({
        "id": row.id,
        "kind": row.kind,
        "target": row.target,
        "created_at": row.created_at.to_string(),
        "attempts": row.attempts,
        "next_attempt_at": row.next_attempt_at.to_string(),
        "failed_at": row.failed_at.map(|at| at.to_string()),
        "last_error": row.last_error,
    })
}
