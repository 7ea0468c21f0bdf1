//! `check`: looks at everything that a start needs, and changes nothing.

use std::path::Path;

use database::{Access, Db, Error, Schema};
use foundation::time::{Clock as _, SystemClock, Timestamp};
use serde_json::json;
use service::run::Failure;
use url::Url;

use super::Output;
use crate::authority::StartError;
use crate::config::Config;
use crate::services::branding::Branding;
use crate::services::keyring::Keyring;
use crate::services::time_reference::TOLERATED;
use crate::store::{self, Store};

/// Findings.
#[derive(Debug, Default)]
struct Report {
    /// Facts.
    lines: Vec<String>,
    /// Problems, each with the remedy.
    notes: Vec<String>,
}

impl Report {
    fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// Reports what a start would find.
///
/// # Errors
/// When a start would fail.
pub(crate) async fn run(config: &Config) -> Result<Output, Failure> {
    let mut report = Report::default();
    let now = SystemClock.now();
    look_at_database(config, now, &mut report).await?;
    report.line(format!("cookies: {}", config.public_url.cookie_name("aa_identity")));
    report.line(format!("clock: {now}"));
    look_at_settings(config, &mut report);
    look_at_secret(&config.secret_file(), &mut report);
    if now < Timestamp::from_millis(1_750_000_000_000) {
        report.note("the clock is in the past: tokens will be refused elsewhere");
    }
    let Report { lines, notes } = report;
    let text = lines.iter().cloned().chain(notes.iter().map(|note| format!("note: {note}")));
    let text = text.collect::<Vec<_>>().join("\n");
    Ok(Output::new(text, json!({ "ok": true, "found": lines, "notes": notes })))
}

async fn look_at_database(
    config: &Config,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), Failure> {
    let db = match Db::open(&config.database_url, Access::ReadOnly).await {
        Err(Error::Missing(place)) if config.database_url.starts_with("sqlite:") => {
            report.line(format!("database: none yet at {place}; `aa-server serve` creates it"));
            return Ok(());
        }
        opened => opened?,
    };
    let kind = db.kind();
    match db.schema(&store::migrations(&db)).await? {
        Schema::Empty => {
            report.line(format!(
                "database: {kind} answers, and is empty; `aa-server serve` fills it"
            ));
            return Ok(());
        }
        Schema::Older { missing } => {
            report.line(format!(
                "database: {kind} answers; `aa-server serve` or `migrate` applies {missing} migrations"
            ));
            return Ok(());
        }
        Schema::Current => {
            report.line(format!("database: {kind} answers, and its schema is current"));
        }
    }
    if let Some(time) = db.time().await? {
        let off = time.abs_diff(now.millis());
        if u128::from(off) > TOLERATED.as_millis() {
            report.note(format!("this machine's clock differs by {off} ms from the database's"));
        }
    }
    let store = Store::new(db);
    if config.secrets.is_empty() {
        return Err(StartError::NoSecret(config.secret_file().display().to_string()).into());
    }
    let fingerprints: Vec<Vec<u8>> =
        config.secrets.iter().map(|secret| secret.derive("fingerprint").to_vec()).collect();
    if !store.accepts_secrets(&fingerprints).await? {
        return Err(StartError::WrongSecret.into());
    }
    let keyring = Keyring::new(&config.secrets);
    keyring.reload(&store, now).await.map_err(StartError::from)?;
    report.line(format!("keys: {} published", keyring.public_keys().key_ids().len()));
    if !store.has_administrator().await? {
        report.note("there is no administrator: `aa-server user add --admin …`");
    }
    if store.clients_after("", 1).await?.is_empty() {
        report.note("there are no apps yet: `aa-server app add …`");
    }
    store.db().close().await;
    Ok(())
}

fn look_at_settings(config: &Config, report: &mut Report) {
    match &config.mail.smtp {
        Some(smtp) => report.line(format!("mail: {} as {}", smtp.shown(), config.mail.from)),
        None => report.note(format!(
            "no mail is sent, but put into {}: set AA_SMTP_URL, or users cannot reset their passwords",
            config.mail.folder.display()
        )),
    }
    match Branding::read(config.branding.as_deref()) {
        Ok((branding, _)) => report.line(format!("branding: {}", branding.name)),
        Err(error) => report.note(format!("AA_BRANDING: {error}")),
    }
    let public_url = &config.public_url;
    if public_url.is_https() && config.trusted_proxies.is_empty() {
        report.note(
            "the public URL is https and no proxy is trusted: every request will seem to come from the one \
             that ends TLS. Set AA_TRUSTED_PROXIES",
        );
    }
    let url = Url::parse(public_url.as_str()).ok();
    let port = url.and_then(|url| url.port_or_known_default());
    if public_url.is_loopback() && port.is_some_and(|port| port != config.listen.port()) {
        report.note(format!(
            "browsers are sent to {public_url}, and the authority listens on {}: is a proxy between them? If not, \
             let AA_PUBLIC_URL and AA_LISTEN agree",
            config.listen
        ));
    }
    if is_remote_without_verified_tls(&config.database_url) {
        report.note(
            "PostgreSQL is on another machine, and its certificate is not checked: add \
             sslmode=verify-full (and sslrootcert) to AA_DATABASE_URL",
        );
    }
}

/// Whether a URL of PostgreSQL leads to another machine, by a connection that an attacker on the way could take over.
fn is_remote_without_verified_tls(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    if !url.scheme().starts_with("postgres") {
        return false;
    }
    let parameter = |name: &str| {
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    let host = parameter("host").or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
    let is_local = host.is_empty()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    !is_local && parameter("sslmode").as_deref() != Some("verify-full")
}

#[cfg(unix)]
fn look_at_secret(file: &Path, report: &mut Report) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        let file = file.display();
        report.note(format!("{file} can be read by other users of this machine: chmod 600 {file}"));
    }
}

#[cfg(not(unix))]
fn look_at_secret(_file: &Path, _report: &mut Report) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_postgresql_needs_verified_tls() {
        for (url, remote) in [
            ("sqlite:///var/lib/aa.db", false),
            ("postgres://aa@localhost/aa", false),
            ("postgres://aa@127.0.0.1:5433/aa", false),
            ("postgres://aa@[::1]/aa", false),
            ("postgres:///aa?host=/run/postgresql", false),
            ("postgres://aa@db.example/aa?sslmode=verify-full", false),
            ("postgres://aa@db.example/aa", true),
            ("postgres://aa@db.example/aa?sslmode=require", true),
            ("postgresql://aa@10.0.0.7/aa?sslmode=prefer", true),
        ] {
            assert_eq!(is_remote_without_verified_tls(url), remote, "{url}");
        }
    }
}
