//! The server's secret: read, or made where the data folder has none.

use std::path::Path;

use foundation::random::Random;
use foundation::seal::MasterSecret;
use secrecy::ExposeSecret as _;
use service::private_file::read_or_make_private;
use service::settings::{Settings, SettingsError};

/// The file of the server's secret in the data folder, unless a setting names another.
pub(super) const SECRET_FILE: &str = "secret";

/// The lines of the server's secret, newest first. Empty when there is none and none is to be made.
pub(super) fn read_secrets(
    settings: &Settings,
    database_url: &str,
    data_dir: &Path,
    random: Option<&dyn Random>,
) -> Result<Vec<MasterSecret>, SettingsError> {
    let given = settings.secret("secret", "secret_file")?;
    let text = match given {
        Some(text) => text,
        None if database_url.starts_with("sqlite:") => {
            let path = data_dir.join(SECRET_FILE);
            let text = match random {
                Some(random) => read_or_make_private(&path, || random.token()),
                None if !path.exists() => return Ok(Vec::new()),
                None => std::fs::read_to_string(&path).map(Into::into),
            };
            text.map_err(|error| SettingsError::new(format!("{}: {error}", path.display())))?
        }
        None => {
            return Err(SettingsError::new(
                "AA_SECRET_FILE must be set: replicas on PostgreSQL share one secret. Make one with\n    \
                 (umask 077; head -c 32 /dev/urandom | base64 > aa-secret)",
            ));
        }
    };
    let lines: Vec<&str> =
        text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let secrets: Option<Vec<MasterSecret>> =
        lines.iter().map(|line| MasterSecret::new(line.as_bytes().to_vec())).collect();
    match secrets {
        Some(secrets) if !secrets.is_empty() => Ok(secrets),
        _ => Err(SettingsError::new(
            "the server's secret (AA_SECRET_FILE) needs at least 32 bytes in each line. Make one with\n    \
             (umask 077; head -c 32 /dev/urandom | base64 > aa-secret)",
        )),
    }
}
