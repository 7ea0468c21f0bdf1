//! The `claims` parameter: what is kept can be read again, and is never more than was sent.
#![no_main]

use aa_server::domain::requested_claims::{ClaimTarget, ClaimsParameter, RequestedClaims};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(read) = ClaimsParameter::parse(text) else { return };
    let kept = serde_json::to_string(&read.claims).expect("names");
    assert_eq!(serde_json::from_str::<RequestedClaims>(&kept).expect("what was kept"), read.claims);
    for target in [ClaimTarget::IdToken, ClaimTarget::Userinfo] {
        assert!(!read.claims.asks(target, "sub"));
        assert!(read.claims.is_empty(target) || text.contains(':'));
    }
});
