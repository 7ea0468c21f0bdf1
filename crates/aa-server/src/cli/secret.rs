//! `aa-server secret …` and `aa-server end-everything`.

use clap::Subcommand;
use serde_json::{Value, json};
use service::run::Failure;

use super::output::Output;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::ops::sessions::end;
use crate::ops::settings::{SecretLine, secret_lines};

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Say what still depends on which line of the server's secret.
    Status,
}

pub(super) async fn run(authority: &Authority, command: SecretCommand) -> Result<Output, Failure> {
    let SecretCommand::Status = command;
    let lines = secret_lines(authority).await?;
    let text: Vec<String> = lines
        .lines
        .iter()
        .enumerate()
        .map(|(index, line)| {
            let number = index + 1;
            let (keys, apps) = (line.signing_keys, line.authenticator_apps);
            let tokens = match (index, line.tokens_until) {
                (0, _) => "new tokens are made under it".to_owned(),
                (_, Some(until)) => {
                    format!("refresh tokens may be made under it until {until}; then it may go")
                }
                (_, None) => "no token is made under it".to_owned(),
            };
            format!(
                "line {number} ({}): {keys} signing keys, {apps} authenticator apps, {tokens}",
                line.fingerprint
            )
        })
        .collect();
    let mut text = text.join("\n");
    if !lines.lost_keys.is_empty() {
        text = format!("{text}\nunder none of these lines: {}", lines.lost_keys.join(", "));
    }
    let json: Vec<Value> = lines.lines.iter().map(to_json).collect();
    Ok(Output::new(text, json!({ "lines": json, "lost_keys": lines.lost_keys })))
}

fn to_json(line: &SecretLine) -> Value {
    json!({
        "fingerprint": line.fingerprint,
        "signing_keys": line.signing_keys,
        "authenticator_apps": line.authenticator_apps,
        "tokens_until": line.tokens_until.map(|until| until.to_string()),
    })
}

pub(super) async fn end_everything(authority: &Authority) -> Result<Output, Failure> {
    let users = end::end_everything(authority, &Caller::operator()).await?;
    let text = format!(
        "All sessions of all {users} users have ended. They sign in again with their passwords."
    );
    Ok(Output::new(text, json!({ "users": users })))
}
