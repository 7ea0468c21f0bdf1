//! The settings of signing keys.

use std::time::Duration;

use service::settings::{Settings, SettingsError};
use tokens::Algorithm;

/// The shortest interval: a tenth of the time for which a key is announced.
const SHORTEST: Duration = Duration::from_mins(1);

/// Reads `AA_AT_ALG`. APIs check application tokens with a fixed list of algorithms, which PS256 is not on.
///
/// # Errors
/// [`SettingsError`].
pub(super) fn read_at_alg(settings: &Settings) -> Result<Algorithm, SettingsError> {
    let algorithm = settings.get("at_alg")?;
    if algorithm == Algorithm::PS256 {
        return Err(SettingsError::new("AA_AT_ALG: EdDSA, ES256, RS256 and HS256 are possible"));
    }
    Ok(algorithm)
}

/// `AA_KEY_ROTATION`; `None` for `never` and `0s`.
pub(super) fn read_key_rotation(settings: &Settings) -> Result<Option<Duration>, SettingsError> {
    if settings.get::<String>("key_rotation")? == "never" {
        return Ok(None);
    }
    match settings.duration("key_rotation")?.unwrap_or_default() {
        Duration::ZERO => Ok(None),
        interval if interval < SHORTEST => {
            Err(SettingsError::new("AA_KEY_ROTATION must be at least one minute, or `never`"))
        }
        interval => Ok(Some(interval)),
    }
}
