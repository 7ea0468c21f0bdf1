//! Where a sign-in may lead: never to another site.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relying_party::attempt::{Attempt, local_path};
use foundation::seal::Seal;
use foundation::time::Timestamp;

fuzz_target!(|text: &str| {
    let path = local_path(Some(text));
    assert!(path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\"));
    let seal = Seal::new(&[7; 32]);
    assert!(Attempt::open(&seal, text, text, Timestamp::from_millis(0)).is_none());
});
