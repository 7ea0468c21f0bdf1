//! Time zones of the IANA database, and the time that clocks show in one.

use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Offset as _, Timelike as _};
use chrono_tz::{OffsetName as _, TZ_VARIANTS, Tz};
use foundation::time::Timestamp;

use super::user::InvalidUser;

/// The first parts of the names that users choose from.
const AREAS: &[&str] = &[
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
];

/// A time zone that a user can choose: one that is named after a place, or UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeZone(Tz);

/// A moment as clocks in a zone show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTime {
    /// The year.
    pub year: i32,
    /// The month, from 1 to 12.
    pub month: u32,
    /// The day of the month, from 1.
    pub day: u32,
    /// Hour and minute: `14:05`.
    pub time: String,
    /// The zone at that moment: `CET (UTC+1)`, `UTC+5:45`, `UTC`.
    pub zone: String,
}

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// The name in the IANA database: `Europe/Berlin`. It is the claim `zoneinfo` (OpenID Connect Core §5.1).
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Area and place of the name, but for UTC.
    pub fn area_and_place(self) -> Option<(&'static str, &'static str)> {
        self.name().split_once('/').filter(|(area, _)| AREAS.contains(area))
    }

    /// The zones that are named after a place, by name. Some have several names.
    pub fn places() -> impl Iterator<Item = Self> {
        TZ_VARIANTS.iter().map(|zone| Self(*zone)).filter(|zone| zone.area_and_place().is_some())
    }

    /// A moment in this zone.
    pub fn at(self, moment: Timestamp) -> LocalTime {
        let utc = DateTime::from_timestamp_millis(moment.millis()).unwrap_or_default();
        let local = utc.with_timezone(&self.0);
        let offset = local.offset();
        LocalTime {
            year: local.year(),
            month: local.month(),
            day: local.day(),
            time: format!("{:02}:{:02}", local.hour(), local.minute()),
            zone: describe(offset.abbreviation(), offset.fix().local_minus_utc()),
        }
    }
}

impl FromStr for TimeZone {
    type Err = InvalidUser;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let zone = name.parse().map(Self).map_err(|_| InvalidUser::TimeZone)?;
        let can_be_chosen = zone == Self::UTC || zone.area_and_place().is_some();
        can_be_chosen.then_some(zone).ok_or(InvalidUser::TimeZone)
    }
}

/// The zone with its offset in seconds, as many abbreviations are used by several zones, and some zones have none.
fn describe(abbreviation: Option<&str>, offset: i32) -> String {
    let (hours, minutes) = (offset / 3_600, offset / 60 % 60);
    let from_utc = match (offset, minutes) {
        (0, _) => String::new(),
        (_, 0) => format!("UTC{hours:+}"),
        _ => {
            let sign = if offset < 0 { '-' } else { '+' };
            format!("UTC{sign}{}:{:02}", hours.abs(), minutes.abs())
        }
    };
    let known = abbreviation.filter(|text| text.chars().all(|c| c.is_ascii_alphabetic()));
    match known {
        Some(name) if from_utc.is_empty() => name.to_owned(),
        Some(name) => format!("{name} ({from_utc})"),
        None if from_utc.is_empty() => "UTC".to_owned(),
        None => from_utc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: &str, moment: &str) -> (String, String) {
        let moment = DateTime::parse_from_rfc3339(moment).unwrap().timestamp_millis();
        let local = zone.parse::<TimeZone>().unwrap().at(Timestamp::from_millis(moment));
        let LocalTime { year, month, day, time, zone } = local;
        (format!("{year}-{month}-{day} {time}"), zone)
    }

    #[test]
    fn an_hour_that_comes_twice_is_told_apart() {
        for (zone, moment, shown, named) in [
            ("Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25 02:30", "CEST (UTC+2)"),
            ("Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25 02:30", "CET (UTC+1)"),
            ("Europe/Berlin", "2027-03-28T00:59:59Z", "2027-3-28 01:59", "CET (UTC+1)"),
            ("Europe/Berlin", "2027-03-28T01:00:00Z", "2027-3-28 03:00", "CEST (UTC+2)"),
            ("Europe/London", "2026-12-31T23:05:00Z", "2026-12-31 23:05", "GMT"),
            ("America/New_York", "2027-01-01T03:05:00Z", "2026-12-31 22:05", "EST (UTC-5)"),
            ("America/St_Johns", "2026-12-31T12:00:00Z", "2026-12-31 08:30", "NST (UTC-3:30)"),
            ("Asia/Kathmandu", "2026-12-31T12:00:00Z", "2026-12-31 17:45", "UTC+5:45"),
            ("America/Sao_Paulo", "2026-12-31T12:00:00Z", "2026-12-31 09:00", "UTC-3"),
            ("UTC", "2026-12-31T12:00:00Z", "2026-12-31 12:00", "UTC"),
        ] {
            assert_eq!(at(zone, moment), (shown.to_owned(), named.to_owned()), "{zone} {moment}");
        }
    }

    #[test]
    fn only_zones_that_are_listed_can_be_chosen() {
        let places: Vec<_> = TimeZone::places().collect();
        assert!(places.len() > 400);
        assert!(places.is_sorted_by_key(|zone| zone.area_and_place()));
        assert!(places.iter().all(|zone| zone.name().parse() == Ok(*zone)));
        // Names that browsers still use.
        for name in ["Asia/Calcutta", "Europe/Kiev", "America/Argentina/Buenos_Aires", "UTC"] {
            assert_eq!(name.parse::<TimeZone>().unwrap().name(), name);
        }
        let long = "Europe/Berlin".repeat(5_000);
        for name in ["", "CET", "Etc/GMT-3", "europe/berlin", "Europe/Atlantis", "+01:00", &long] {
            assert_eq!(name.parse::<TimeZone>(), Err(InvalidUser::TimeZone), "{name}");
        }
    }
}
