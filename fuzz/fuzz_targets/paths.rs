//! Where a sign-in may lead: never to another site.
#![no_main]

use foundation::seal::Seal;
use foundation::time::Timestamp;
use libfuzzer_sys::fuzz_target;
use oidc_client::{Attempt, local_path};

fuzz_target!(|text: &str| {
    let path = local_path(Some(text));
    assert!(path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\"));
    let seal = Seal::new(&[7; 32]);
    assert!(Attempt::unseal(&seal, text, text, Timestamp::from_millis(0)).is_none());
});
