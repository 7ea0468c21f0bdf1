//! DPoP proofs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokens::dpop::{Proof, ProofTarget};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (proof, url) = text.split_once('\n').unwrap_or((text, "https://api.example/"));
    for access_token in [None, Some("token")] {
        let target = ProofTarget { method: "GET", url, access_token, now: 1_800_000_000 };
        let _ = Proof::verify(proof, &target);
    }
});
