//! Pictures: whatever a file is, it is drawn anew as a PNG of the right size, or refused, within bounds of memory and time.
#![no_main]

use aa_server::services::drawing::{Fit, Square, draw};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    for fit in [Fit::Inside, Fit::Cover] {
        if let Ok(png) = draw(file, Square { size: 32, fit, max_file: 8 }) {
            assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
            assert_eq!((&png[16..20], &png[20..24]), (&32u32.to_be_bytes()[..], &32u32.to_be_bytes()[..]));
        }
    }
});
