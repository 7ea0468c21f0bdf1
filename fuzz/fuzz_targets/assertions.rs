//! Assertions of clients, and the key sets that clients register.
#![no_main]

use aa_server::domain::client_assertion::{ClientAssertion, MAX_KEYS};
use foundation::time::Timestamp;
use libfuzzer_sys::fuzz_target;
use tokens::signed::parse_jwks;

fuzz_target!(|data: &[u8]| {
    let document = serde_json::from_slice(data).unwrap_or_default();
    let keys = parse_jwks(&document, MAX_KEYS).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(assertion) = ClientAssertion::parse(text) else { return };
    let _ = assertion.check(&["https://aa.example"], Timestamp::from_millis(1_800_000_000_000));
    assert!(!assertion.is_signed_by_one_of(&keys), "an assertion was forged");
});
