//! Time zones: whatever a form names, it is a zone that can be chosen, by its exact name, or none; every moment can be shown.
#![no_main]

use aa_server::domain::time_zone::TimeZone;
use foundation::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, i64)| {
    if let Ok(zone) = input.0.parse::<TimeZone>() {
        assert_eq!(zone.name(), input.0);
        let local = zone.at(Timestamp::from_millis(input.1));
        assert!((1..=12).contains(&local.month) && (1..=31).contains(&local.day));
    }
});
