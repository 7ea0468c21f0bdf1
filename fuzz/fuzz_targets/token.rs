//! Delegation and refresh tokens: no text but a written one is read, and nothing makes the reader stumble.
#![no_main]

use aa_server::domain::refresh_token::{Kind, RefreshTokenCodec};
use libfuzzer_sys::fuzz_target;
use foundation::seal::MasterSecret;

fuzz_target!(|text: &str| {
    let mint = RefreshTokenCodec::new(&[MasterSecret::new(vec![7; 32]).expect("long enough")]);
    for kind in [Kind::Delegation, Kind::Refresh] {
        assert!(mint.read(kind, text).is_none(), "a token was forged");
    }
});
