//! `aa-server app …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use service::run::Failure;
use service::settings::Settings;
use tokens::Algorithm;

use super::client_secrets::{check_secrets, has_secret, secret_file, secret_in};
use super::listing::{PageArgs, list};
use super::output::Output;
use super::registration_tokens::{self, RegistrationTokenCommand};
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::{ClientMetadata, ClientType, Lifetimes, RefreshTokenIn};
use crate::domain::subject::SubjectType;
use crate::domain::token_exchange::Exchange;
use crate::ops::client_icons;
use crate::ops::clients::{self, Change};
use crate::ops::lists::{self, PageRequest};

/// Settings of one app that override the deployment's.
pub(super) type OwnSettings = (Lifetimes, Option<Algorithm>);

#[derive(Debug, Subcommand)]
pub(super) enum AppCommand {
    /// Register an app, and print its secret, once.
    Add(Box<AddApp>),
    /// Create or change apps to match a file.
    Apply(ApplyApps),
    /// List all apps.
    List(PageArgs),
    /// Show the settings of an app.
    Show {
        /// The client id.
        id: String,
    },
    /// Give an app a new secret, and print it, once. The old one works for another day.
    RotateSecret {
        /// The client id.
        id: String,
        /// The old one stops working at once.
        #[arg(long)]
        now: bool,
    },
    /// Set the icon of an app on the launcher from a PNG, JPEG or WebP file; without one, remove it.
    Icon {
        /// The client id.
        id: String,
        /// The file. It is drawn anew, 128 by 128.
        file: Option<PathBuf>,
    },
    /// Tokens with which apps register themselves.
    #[command(subcommand)]
    RegistrationToken(RegistrationTokenCommand),
    /// Disable an app: it gets no more tokens.
    Disable {
        /// The client id.
        id: String,
    },
    /// Enable an app again.
    Enable {
        /// The client id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct ApplyApps {
    /// TOML with `[[app]]` tables.
    file: PathBuf,
    /// The secret of a new app is that in DIR/<id>/client-secret; made there if it is missing, and not printed.
    #[arg(long, value_name = "DIR")]
    secrets_dir: Option<PathBuf>,
    /// Only say what would be changed.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct AddApp {
    /// The client id.
    id: String,
    /// Its display name.
    #[arg(long)]
    name: String,
    /// Its type.
    #[arg(long, value_enum, default_value = "confidential")]
    kind: ClientType,
    /// A redirect URI.
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// A redirect URI after sign-out.
    #[arg(long = "post-logout-uri", value_name = "URI")]
    post_logout_uris: Vec<String>,
    /// The address that is told of ended sessions, by back-channel logout.
    #[arg(long, value_name = "URI")]
    backchannel_logout_uri: Option<String>,
    /// The address the launcher opens.
    #[arg(long, value_name = "URL")]
    launch_url: Option<String>,
    /// An audience of its tokens; default: its client id.
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// Scopes it may ask for; default: openid profile email `offline_access`.
    #[arg(long = "scope", value_name = "SCOPE", num_args = 1..)]
    scopes: Vec<String>,
    /// Issue refresh tokens without the scope `offline_access`.
    #[arg(long)]
    always_refresh: bool,
    /// The place of its refresh tokens: behind a server's secret, or in the browser.
    #[arg(long, value_enum, default_value = "server")]
    refresh_token_in: RefreshTokenIn,
    /// Its sessions outlive the browser session they came from.
    #[arg(long)]
    outlives_sign_out: bool,
    /// One user may have several sessions of it in one browser.
    #[arg(long)]
    multiple_sessions: bool,
    /// A claim about the user in its tokens: roles, email or name.
    #[arg(long = "claim", value_name = "CLAIM")]
    claims: Vec<String>,
    /// It may get tokens for itself, without a user (grant `client_credentials`), with scopes of APIs.
    #[arg(long)]
    client_credentials: bool,
    /// Whether it gets the `sub` of a user that other apps get, or one of its own.
    #[arg(long, value_enum, default_value = "public")]
    subject_type: SubjectType,
    /// With pairwise subjects: the host by which apps get the same ones; default: the host of its redirect URIs.
    #[arg(long, value_name = "HOST")]
    sector_identifier: Option<String>,
    /// The algorithm of a signed userinfo response; default: JSON, not signed.
    #[arg(long, value_name = "ALG")]
    userinfo_alg: Option<Algorithm>,
    /// The algorithm of its ID tokens.
    #[arg(long, value_name = "ALG")]
    id_token_alg: Option<Algorithm>,
    /// Issue an ID token at every refresh.
    #[arg(long)]
    id_token_on_refresh: bool,
    /// Users have to show two factors.
    #[arg(long)]
    two_factors: bool,
    /// Devices without a browser may sign users in to it, by a code.
    #[arg(long)]
    device: bool,
    /// A scope that agents may ask this API for whose id is the address of their metadata.
    #[arg(long = "agent-scope", value_name = "SCOPE", num_args = 1..)]
    agent_scopes: Vec<String>,
    /// A scope of this API in words, for the page on which users allow agents.
    #[arg(long, value_name = "SCOPE=TEXT", value_parser = scope_text)]
    scope_text: Vec<(String, String)>,
    /// An audience that it may exchange its users' tokens for, with the scopes that these may have.
    #[arg(long, value_name = "AUDIENCE[:SCOPE,SCOPE]")]
    exchange: Vec<Exchange>,
    /// It may ask for a code without PKCE, by a `nonce` (confidential apps only).
    #[arg(long)]
    no_pkce: bool,
    /// It has to push its authorization requests (RFC 9126).
    #[arg(long)]
    par: bool,
    /// Issue only tokens that are bound to a key, by DPoP.
    #[arg(long)]
    dpop: bool,
    /// A file with the public keys that it authenticates by instead of a secret, as a JSON Web Key Set.
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// The address of these keys.
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
}

/// Flags that, after `app add`, set the app's own value.
pub(super) const OWN_SETTINGS: [&str; 6] =
    ["at_ttl", "dt_ttl", "refresh_grace", "family_idle_ttl", "family_ttl", "at_alg"];

pub(super) fn own_settings(flags: &Settings) -> Result<OwnSettings, Failure> {
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

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AppsFile {
    #[serde(default)]
    app: Vec<ClientMetadata>,
}

pub(super) async fn run(
    authority: &Authority,
    command: AppCommand,
    own: OwnSettings,
) -> Result<Output, Failure> {
    let operator = Caller::operator();
    Ok(match command {
        AppCommand::Add(add) => {
            let metadata = metadata(*add, own)?;
            let secret = clients::add(authority, &metadata, &operator).await?;
            let id = &metadata.client_id;
            let text = match &secret {
                Some(secret) => format!(
                    "{id} is registered. Its secret, which is not shown again:\n{}",
                    secret.expose_secret()
                ),
                None if metadata.is_public() => {
                    format!("{id} is registered. It is public: it has no secret.")
                }
                None => {
                    format!("{id} is registered. It authenticates by its keys: it has no secret.")
                }
            };
            let of_api = metadata.kind == ClientType::Api;
            Output::new(text, with_secret(id, secret.as_ref()))
                .with_note(of_api.then(|| which_algorithm(authority.config.at_alg)))
        }
        AppCommand::Apply(options) => apply(authority, options, &operator).await?,
        AppCommand::List(page) => {
            let read = async |page: PageRequest<'_>| lists::clients(authority, page).await;
            list(page, None, read, client_line, client_json).await?
        }
        AppCommand::Show { id } => {
            let found = authority
                .store
                .client(&id)
                .await?
                .ok_or_else(|| format!("there is no app `{id}`"))?;
            let state = if found.enabled { "" } else { "# disabled\n" };
            let text = format!("{state}{}", toml::to_string(&found.metadata)?);
            Output::new(text.trim_end(), client_json(&found))
        }
        AppCommand::RotateSecret { id, now } => {
            let overlap = if now { Duration::ZERO } else { clients::SECRET_OVERLAP };
            let secret = clients::rotate_secret(authority, &id, overlap, &operator).await?;
            let old = if now { "has stopped working" } else { "works for another day" };
            let text = format!(
                "The new secret of {id}, which is not shown again (the old one {old}):\n{}",
                secret.expose_secret()
            );
            Output::new(text, with_secret(&id, Some(&secret)))
        }
        AppCommand::Icon { id, file } => {
            let bytes = file.as_ref().map(std::fs::read).transpose();
            let bytes = bytes.map_err(|error| {
                format!("{}: {error}", file.clone().unwrap_or_default().display())
            })?;
            client_icons::set(authority, &id, bytes.as_deref(), &operator).await?;
            let done = if bytes.is_some() { "has a new icon" } else { "has no icon any more" };
            let json = json!({ "client_id": id, "icon": bytes.is_some() });
            Output::new(format!("{id} {done}."), json)
        }
        AppCommand::RegistrationToken(command) => {
            registration_tokens::run(authority, command).await?
        }
        AppCommand::Disable { id } => {
            clients::set_enabled(authority, &id, false, &operator).await?;
            let json = json!({ "client_id": id, "enabled": false });
            Output::new(format!("{id} gets no more tokens."), json)
        }
        AppCommand::Enable { id } => {
            clients::set_enabled(authority, &id, true, &operator).await?;
            let json = json!({ "client_id": id, "enabled": true });
            Output::new(format!("{id} gets tokens again."), json)
        }
    })
}

/// A note for operators who register an API, about the algorithm of the tokens that it will check.
fn which_algorithm(deployment: Algorithm) -> String {
    format!(
        "Which library will check its tokens? They are signed with {} unless the app that calls it has an `--at-alg` of its \
         own. All libraries know RS256; EdDSA is unknown to jsonwebtoken, express-jwt, fast-jwt, mod_oauth2 and others \
         (docs/clients/access-tokens.md).",
        deployment.name()
    )
}

fn client_line(found: &crate::store::Client) -> String {
    let state = if found.enabled { "" } else { "  disabled" };
    format!("{}  {}{state}", found.metadata.client_id, found.metadata.name)
}

fn client_json(found: &crate::store::Client) -> Value {
    let mut json = serde_json::to_value(&found.metadata).unwrap_or_default();
    json["enabled"] = json!(found.enabled);
    json
}

fn with_secret(client_id: &str, secret: Option<&SecretString>) -> Value {
    match secret {
        Some(secret) => json!({ "client_id": client_id, "client_secret": secret.expose_secret() }),
        None => json!({ "client_id": client_id }),
    }
}

/// A scope, and what it means in words.
fn scope_text(text: &str) -> Result<(String, String), String> {
    let (scope, words) = text.split_once('=').ok_or("it is not SCOPE=TEXT")?;
    Ok((scope.to_owned(), words.to_owned()))
}

fn metadata(add: AddApp, (lifetimes, at_alg): OwnSettings) -> Result<ClientMetadata, Failure> {
    let jwks = add.jwks.map(|file| {
        let shown = file.display();
        let text = std::fs::read(&file).map_err(|error| format!("{shown}: {error}"))?;
        serde_json::from_slice(&text).map_err(|error| format!("{shown}: {error}"))
    });
    let words = |list: Vec<String>| -> Vec<String> {
        list.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect()
    };
    Ok(ClientMetadata {
        client_id: add.id,
        name: add.name,
        kind: add.kind,
        redirect_uris: add.redirect_uris,
        post_logout_uris: add.post_logout_uris,
        backchannel_logout_uri: add.backchannel_logout_uri,
        launch_url: add.launch_url,
        audiences: add.audiences,
        scopes: words(add.scopes),
        always_refresh: add.always_refresh,
        outlives_sign_out: add.outlives_sign_out,
        multiple_sessions: add.multiple_sessions,
        refresh_token_in: add.refresh_token_in,
        claims: words(add.claims),
        at_alg,
        client_credentials: add.client_credentials,
        subject_type: add.subject_type,
        sector_identifier: add.sector_identifier,
        userinfo_signed_response_alg: add.userinfo_alg,
        id_token_alg: add.id_token_alg,
        id_token_on_refresh: add.id_token_on_refresh,
        two_factors: add.two_factors,
        device: add.device,
        agent_scopes: words(add.agent_scopes),
        agent_apis: Vec::new(),
        scope_texts: add.scope_text.into_iter().collect(),
        exchange: add.exchange,
        no_pkce: add.no_pkce,
        par: add.par,
        dpop_bound_access_tokens: add.dpop,
        jwks: jwks.transpose()?,
        jwks_uri: add.jwks_uri,
        lifetimes,
    })
}

/// Makes clients as a file declares them, all of them or none. Whatever is wrong is found before anything is written.
async fn apply(
    authority: &Authority,
    options: ApplyApps,
    operator: &Caller,
) -> Result<Output, Failure> {
    let shown = options.file.display();
    let text =
        std::fs::read_to_string(&options.file).map_err(|error| format!("{shown}: {error}"))?;
    let file: AppsFile = toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
    let plan = clients::plan(authority, &file.app)
        .await
        .map_err(|(id, error)| format!("{shown}: {id}: {error}"))?;
    let folder = options.secrets_dir.as_deref();
    if let Some(folder) = folder {
        check_secrets(authority, folder, &file.app, &plan).await?;
    }
    let mut changes = Vec::new();
    for (metadata, change) in file.app.iter().zip(&plan) {
        let is_new = *change == Change::Add && !options.dry_run;
        let secret = match folder.filter(|_| is_new && has_secret(metadata)) {
            Some(folder) => Some(secret_in(authority, &secret_file(folder, metadata))?),
            None => clients::new_secret(authority, metadata).filter(|_| is_new),
        };
        changes.push((metadata, *change, secret));
    }
    if !options.dry_run {
        clients::carry_out(authority, &changes, operator)
            .await
            .map_err(|error| format!("{shown}: {error}. Nothing was changed"))?;
    }
    let printed = |secret: &Option<SecretString>| secret.clone().filter(|_| folder.is_none());
    let mut lines = Vec::new();
    let mut json = Vec::new();
    for (metadata, change, secret) in &changes {
        let id = &metadata.client_id;
        let what = match change {
            Change::Add => "added",
            Change::Change => "changed",
            Change::None => "unchanged",
        };
        let secret = printed(secret);
        let mut value = with_secret(id, secret.as_ref());
        value["result"] = json!(what);
        json.push(value);
        let would = if options.dry_run && *change != Change::None { "would be " } else { "" };
        lines.push(match secret {
            Some(secret) => {
                format!("{id}: {what}. Its secret, not shown again: {}", secret.expose_secret())
            }
            None => format!("{id}: {would}{what}"),
        });
    }
    Ok(Output::new(lines.join("\n"), json.into()))
}
