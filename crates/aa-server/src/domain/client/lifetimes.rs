use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Lifetimes that an app may set for itself, as humantime texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetimes {
    /// Of application tokens.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub at_ttl: Option<Duration>,
    /// Of delegation tokens.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub dt_ttl: Option<Duration>,
    /// How long a predecessor is answered with its successor.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub refresh_grace: Option<Duration>,
    /// Of families that are not used.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub family_idle_ttl: Option<Duration>,
    /// Of families at all.
    #[serde(default, with = "humantime_serde::option", skip_serializing_if = "Option::is_none")]
    pub family_ttl: Option<Duration>,
}

/// The longest life of an application token: a signing key stays published for a day after its last signature.
pub const MAX_AT_TTL: Duration = Duration::from_hours(24);
/// The longest life of a delegation token (RFC 6749 §4.1.2 recommends ten minutes at most).
pub const MAX_DT_TTL: Duration = Duration::from_mins(10);

impl Lifetimes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        for (name, life, most) in [
            ("at_ttl", self.at_ttl, MAX_AT_TTL),
            ("dt_ttl", self.dt_ttl, MAX_DT_TTL),
            ("family_idle_ttl", self.family_idle_ttl, Duration::MAX),
            ("family_ttl", self.family_ttl, Duration::MAX),
        ] {
            if life.is_some_and(|life| life < second || life > most) {
                let most = match most {
                    Duration::MAX => String::new(),
                    most => format!(" and at most {}", humantime::format_duration(most)),
                };
                return Err(format!("{name}: at least 1s{most}"));
            }
        }
        Ok(())
    }
}
