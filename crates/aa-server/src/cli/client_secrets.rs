//! The files with the secrets of apps that `aa-server app apply` declares.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use service::private_file::read_or_make_private;
use service::run::Failure;

use crate::authority::Authority;
use crate::domain::client::ClientMetadata;
use crate::domain::client_authentication::ClientAuthentication;
use crate::ops::clients::{self, Change};

/// Checks the files with the secrets of apps that exist: each must be there and be the app's. A new one would not be.
pub(super) async fn check_secrets(
    authority: &Authority,
    folder: &Path,
    apps: &[ClientMetadata],
    plan: &[Change],
) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (metadata, change) in apps.iter().zip(plan) {
        let (id, file) = (&metadata.client_id, secret_file(folder, metadata));
        if !has_secret(metadata) || (*change == Change::Add && !file.exists()) {
            continue;
        }
        let shown = file.display();
        let is_right = match std::fs::read_to_string(&file) {
            Ok(text) if *change == Change::Add => {
                check_length(text.trim()).map_err(|why| format!("{shown}: {why}"))?;
                true
            }
            Ok(text) => clients::is_secret_of(authority, id, &text.trim().into()).await?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                wrong.push(format!("{id} exists, and its secret is not in {shown}"));
                continue;
            }
            Err(error) => return Err(format!("{shown}: {error}").into()),
        };
        if !is_right {
            wrong.push(format!("{shown} is not the secret of {id}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.push(
        "Nothing was changed. Put the secret back, or give the app a new one with `aa-server app rotate-secret ID`"
            .to_owned(),
    );
    Err(wrong.join("\n").into())
}

pub(super) fn has_secret(metadata: &ClientMetadata) -> bool {
    metadata.authenticates_by() == ClientAuthentication::ClientSecret
}

pub(super) fn secret_file(folder: &Path, metadata: &ClientMetadata) -> PathBuf {
    folder.join(&metadata.client_id).join("client-secret")
}

fn check_length(secret: &str) -> Result<(), &'static str> {
    if secret.len() < 32 { Err("a secret needs at least 32 characters") } else { Ok(()) }
}

/// Reads a secret from a file. A missing file is created with a new secret.
pub(super) fn secret_in(authority: &Authority, file: &Path) -> Result<SecretString, Failure> {
    let text = read_or_make_private(file, || authority.random.token())
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let secret = text.expose_secret().trim();
    check_length(secret).map_err(|why| format!("{}: {why}", file.display()))?;
    Ok(secret.into())
}
