//! `aa-server stream …`.

use std::path::PathBuf;

use clap::Subcommand;
use secrecy::SecretString;
use serde_json::{Value, json};
use service::run::Failure;

use super::output::Output;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::ops::security_events::{add_stream, remove_stream};
use crate::store::EventStream;

#[derive(Debug, Subcommand)]
pub(super) enum StreamCommand {
    /// Tell a receiver of ended sessions and changed passwords, by security events (CAEP).
    Add {
        /// The id of the stream.
        id: String,
        /// The URL that events are pushed to.
        #[arg(long)]
        url: String,
        /// The receiver, as events name it.
        #[arg(long)]
        audience: String,
        /// A file with the value of the Authorization header, such as `Bearer …`.
        #[arg(long, value_name = "FILE")]
        authorization_file: Option<PathBuf>,
    },
    /// List all streams.
    List,
    /// Remove a stream: its receiver is told nothing more.
    Remove {
        /// The id of the stream.
        id: String,
    },
}

pub(super) async fn run(authority: &Authority, command: StreamCommand) -> Result<Output, Failure> {
    let operator = Caller::operator();
    Ok(match command {
        StreamCommand::Add { id, url, audience, authorization_file } => {
            let authorization: Option<SecretString> = match authorization_file {
                Some(file) => {
                    let text = std::fs::read_to_string(&file);
                    let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
                    Some(text.into())
                }
                None => None,
            };
            add_stream(authority, (&id, &url, &audience), authorization, &operator).await?;
            let text = format!("{url} is told of what ends from now on.");
            Output::new(text, json!({ "stream": id }))
        }
        StreamCommand::List => {
            let streams = authority.store.event_streams().await?;
            let lines: Vec<_> = streams.iter().map(line).collect();
            Output::new(lines.join("\n"), streams.iter().map(to_json).collect())
        }
        StreamCommand::Remove { id } => {
            remove_stream(authority, &id, &operator).await?;
            Output::new(format!("{id} is told nothing more."), json!({ "stream": id }))
        }
    })
}

fn line(stream: &EventStream) -> String {
    format!("{}  {}  {}", stream.id, stream.url, stream.audience)
}

fn to_json(stream: &EventStream) -> Value {
    json!({ "stream": stream.id, "url": stream.url, "audience": stream.audience })
}
