//! Application tokens and key sets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokens::jws::Compact;
use tokens::{Algorithm, KeySet, Verifier};

fuzz_target!(|data: &[u8]| {
    let keys = KeySet::from_jwks(data).unwrap_or_default();
    let keys = keys.with_secret("a key that only we know", &[7; 32]).expect("a new id");
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = Compact::parse(text) {
        let _ = token.claims();
    }
    let verifier = Verifier::new("https://aa.example", "notes").algorithms(&Algorithm::ALL);
    assert!(verifier.verify(text, &keys, 0).is_err(), "a token was forged");
});
