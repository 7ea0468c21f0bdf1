//! The setting of key rotation.

use std::time::Duration;

use service::settings::{Settings, SettingsError};

/// The shortest interval: a tenth of the time for which a key is announced.
const SHORTEST: Duration = Duration::from_mins(1);

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
