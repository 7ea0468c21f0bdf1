//! `aa-server app registration-token …`.

use std::time::Duration;

use clap::Subcommand;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::run::Failure;

use super::listing::{PageArgs, list};
use super::output::Output;
use crate::authority::Authority;
use crate::config::ClientRegistration;
use crate::domain::caller::Caller;
use crate::ops::lists::{self, PageRequest};
use crate::ops::registration_tokens::{TokenRequest, add, revoke};
use crate::store::RegistrationToken;

#[derive(Debug, Subcommand)]
pub(super) enum RegistrationTokenCommand {
    /// Make a token with which apps register themselves, and print it, once.
    Add {
        /// The token's name, such as that of a pipeline.
        #[arg(long)]
        name: String,
        /// The time for which it is valid.
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30d")]
        expires: Duration,
        /// The number of apps that can be registered with it at all; default: any.
        #[arg(long, value_name = "N")]
        uses: Option<u32>,
        /// The number of its apps that there can be at the same time.
        #[arg(long, value_name = "N", default_value = "100")]
        max_clients: u32,
        /// Scopes its apps may ask for; default: openid profile email `offline_access`.
        #[arg(long = "scope", value_name = "SCOPE", num_args = 1..)]
        scopes: Vec<String>,
    },
    /// List all tokens.
    List(PageArgs),
    /// Revoke a token: no more apps are registered with it. Those that were stay.
    Revoke {
        /// Its name.
        name: String,
    },
}

pub(super) async fn run(
    authority: &Authority,
    command: RegistrationTokenCommand,
) -> Result<Output, Failure> {
    let operator = Caller::operator();
    Ok(match command {
        RegistrationTokenCommand::Add { name, expires, uses, max_clients, scopes } => {
            let request = TokenRequest { name, scopes, validity: expires, uses, max_clients };
            let (token, expires_at) = add(authority, &request, &operator).await?;
            let (name, token) = (&request.name, token.expose_secret());
            let text = format!(
                "{name} is made, valid until {expires_at}. The token, which is not shown again:\n{token}"
            );
            let json =
                json!({ "name": name, "token": token, "expires_at": expires_at.to_string() });
            let is_off = authority.config.client_registration == ClientRegistration::Off;
            let note =
                "Apps can register themselves once AA_CLIENT_REGISTRATION is initial_access_token";
            Output::new(text, json).with_note(is_off.then(|| note.to_owned()))
        }
        RegistrationTokenCommand::List(page) => {
            let read =
                async |page: PageRequest<'_>| lists::registration_tokens(authority, page).await;
            list(page, None, read, line, to_json).await?
        }
        RegistrationTokenCommand::Revoke { name } => {
            revoke(authority, &name, &operator).await?;
            let json = json!({ "name": name, "revoked": true });
            Output::new(format!("No more apps are registered with {name}."), json)
        }
    })
}

fn line(token: &RegistrationToken) -> String {
    let most = token.max_registrations.map_or_else(String::new, |most| format!(" of {most}"));
    format!(
        "{}  until {}  registered {}{most}, {} of {} there now  {}",
        token.name,
        token.expires_at,
        token.registrations,
        token.clients,
        token.max_clients,
        token.scopes
    )
}

fn to_json(token: &RegistrationToken) -> Value {
    json!({
        "name": token.name,
        "scopes": token.scopes.split(' ').collect::<Vec<_>>(),
        "created_at": token.created_at.to_string(),
        "expires_at": token.expires_at.to_string(),
        "registrations": token.registrations,
        "uses": token.max_registrations,
        "clients": token.clients,
        "max_clients": token.max_clients,
    })
}
