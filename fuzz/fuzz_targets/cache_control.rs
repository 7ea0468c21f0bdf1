//! What a browser's side is told about caching: never that a shared cache may store an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use microapp_bff::cache_control;

fuzz_target!(|upstream: &str| {
    let told = cache_control(upstream);
    assert!(told == "no-store" || told == "private" || told.starts_with("private, "), "{told}");
});
