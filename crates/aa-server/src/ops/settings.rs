//! The settings: records their changes, and says what depends on the server's secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::time::Timestamp;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::store::Result;

/// Writes an event with the settings, without secrets, if they differ from those of the last start. Of replicas that
/// start together with the same settings, one writes it. Returns whether it was written.
pub async fn record(authority: &Authority) -> Result<bool> {
    let settings = authority.config.to_json();
    let text = settings.to_string();
    let event = authority
        .event(EventKind::SettingsSeen, Actor::System, &Caller::operator())
        .detail(settings);
    authority.store.record_settings(&text, event, authority.now()).await
}

/// The lines of the server's secret, and what depends on them.
#[derive(Debug)]
pub struct SecretLines {
    /// Its lines, the newest first.
    pub lines: Vec<SecretLine>,
    /// Signing keys that none of the lines opens.
    pub lost_keys: Vec<String>,
}

/// A line of the server's secret, and what depends on it.
#[derive(Debug)]
pub struct SecretLine {
    /// The beginning of its fingerprint, in base64url.
    pub fingerprint: String,
    /// Signing keys that are sealed under it.
    pub signing_keys: usize,
    /// Secrets of authenticator apps that are sealed under it.
    pub authenticator_apps: usize,
    /// The time until which a refresh token that was made under it may be presented; `None` if none was.
    pub tokens_until: Option<Timestamp>,
}

/// Finds out what depends on which line of the server's secret.
///
/// # Errors
/// When the database cannot answer.
pub async fn secret_lines(authority: &Authority) -> Result<SecretLines> {
    let known = authority.store.fingerprints().await?;
    let idle = longest_idle_time(authority).await?;
    let rows = authority.store.keys(authority.now()).await?;
    let lines_of_keys: Vec<_> =
        rows.iter().map(|row| (row, authority.keyring.line_of(row))).collect();
    let apps = authority.store.totp_secrets().await?;
    let lines_of_apps: Vec<Option<usize>> =
        apps.iter().map(|(user, sealed)| authority.totp.line_of(*user, sealed)).collect();
    let lines = authority.config.secrets.iter().enumerate().map(|(index, secret)| {
        let fingerprint = secret.derive("fingerprint");
        let newest_from = known.iter().find(|(known, _)| known[..] == fingerprint[..]);
        // A refresh token is made under the line that is the newest then.
        let replaced_at = newest_from.and_then(|(_, from)| {
            known.iter().map(|(_, other)| *other).filter(|other| other > from).min()
        });
        SecretLine {
            fingerprint: URL_SAFE_NO_PAD.encode(&fingerprint[..6]),
            signing_keys: lines_of_keys.iter().filter(|(_, line)| *line == Some(index)).count(),
            authenticator_apps: lines_of_apps.iter().filter(|line| **line == Some(index)).count(),
            tokens_until: match index {
                0 => None,
                _ => replaced_at.map(|at| at + idle),
            },
        }
    });
    let lost = lines_of_keys.iter().filter(|(_, line)| line.is_none());
    Ok(SecretLines {
        lines: lines.collect(),
        lost_keys: lost.map(|(row, _)| row.kid.clone()).collect(),
    })
}

/// The longest time for which a refresh token can lie unused.
async fn longest_idle_time(authority: &Authority) -> Result<Duration> {
    let ttls = &authority.config.ttls;
    let mut longest = Duration::ZERO;
    let mut after = String::new();
    loop {
        let clients = authority.store.clients_after(&after, 500).await?;
        let Some(last) = clients.last() else { return Ok(longest) };
        after.clone_from(&last.metadata.client_id);
        longest = clients
            .iter()
            .map(|client| ttls.family_idle(&client.metadata))
            .fold(longest, Duration::max);
    }
}
