//! `NOTES_REVOCATION`: whether the API follows which sessions have ended.

use std::str::FromStr;
use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use secrecy::{ExposeSecret as _, SecretString};
use service::run;
use service::settings::{Settings, SettingsError};
use tokens::feed::{FeedSource, Follower};
use tokens::{FetchError, Guard};
use tracing::warn;

use crate::Config;

/// The interval at which metrics are set.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// What an ended session means to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Nothing: tokens of an ended session are accepted until they expire.
    Ignore,
    /// Tokens of an ended session are refused as soon as the authority has told of the end; while it is away, none is told.
    BestEffort,
    /// As best effort, and no token is accepted while the last word of the authority is older than this.
    Require(Duration),
}

impl FromStr for Revocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("require:")) {
            ("ignore", _) => Ok(Self::Ignore),
            ("best_effort", _) => Ok(Self::BestEffort),
            (_, Some(age)) => {
                let age = humantime::parse_duration(age).map_err(|error| error.to_string())?;
                if age < Duration::from_secs(3) {
                    return Err(
                        "the authority can be required to have spoken in the last 3s at the least"
                            .to_owned(),
                    );
                }
                Ok(Self::Require(age))
            }
            _ => Err("ignore, best_effort and require:5s are possible".to_owned()),
        }
    }
}

/// The credentials that read the feed of ended sessions.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The client id that the API is registered under.
    pub client_id: String,
    /// The secret of that id.
    pub client_secret: SecretString,
}

/// Reads the settings. Without credentials nothing can be followed; that is an error if it was asked for.
pub(crate) fn read(
    settings: &Settings,
) -> Result<(Revocation, Option<Credentials>), SettingsError> {
    let revocation: Revocation = settings.get("revocation")?;
    let client_secret = settings.secret("client_secret", "client_secret_file")?;
    let client_secret = client_secret.map(|secret| secret.expose_secret().trim().into());
    match (settings.optional("client_id")?, client_secret) {
        (Some(client_id), Some(client_secret)) => {
            Ok((revocation, Some(Credentials { client_id, client_secret })))
        }
        (None, None) if revocation == Revocation::Ignore || !settings.is_set("revocation") => {
            Ok((Revocation::Ignore, None))
        }
        _ => Err(SettingsError::new(
            "NOTES_CLIENT_ID and NOTES_CLIENT_SECRET_FILE belong together, and NOTES_REVOCATION needs them: register \
             this API with `aa-server app add notes --kind api --name Notes --audience notes`",
        )),
    }
}

/// Makes a guard follow ended sessions as the settings say.
pub(crate) fn follow(config: &Config, guard: Guard, authority: &str) -> Result<Guard, FetchError> {
    let Some(credentials) =
        config.credentials.clone().filter(|_| config.revocation != Revocation::Ignore)
    else {
        warn!(
            "the token of an ended session works until it expires: NOTES_CLIENT_ID and its secret are not set"
        );
        return Ok(guard);
    };
    let source = FeedSource {
        authority: authority.to_owned(),
        client_id: credentials.client_id,
        client_secret: credentials.client_secret.expose_secret().to_owned(),
        name: run::host_name(),
    };
    // With a URL of its own the authority is reached within one network.
    let insecure_http = config.insecure_http || config.backchannel_url.is_some();
    let follower = Follower::follow(source, insecure_http)?;
    if config.metrics_listen.is_some() {
        tokio::spawn(set_metrics(follower.clone()));
    }
    Ok(match config.revocation {
        Revocation::Require(max_age) => guard.require(follower, max_age),
        Revocation::BestEffort | Revocation::Ignore => guard.best_effort(follower),
    })
}

async fn set_metrics(follower: Follower) {
    describe_gauge!(
        "notes_revocations_age_seconds",
        Unit::Seconds,
        "Time since the authority last said that every ended session is known here; infinite before it first did"
    );
    describe_gauge!("notes_revocations", "Ended sessions, users and apps that are known here");
    loop {
        let age = follower.age().map_or(f64::INFINITY, |age| age.as_secs_f64());
        gauge!("notes_revocations_age_seconds").set(age);
        gauge!("notes_revocations")
            .set(u32::try_from(follower.len()).map_or(f64::INFINITY, f64::from));
        tokio::time::sleep(METRICS_INTERVAL).await;
    }
}
