//! Delegation tokens, device codes and refresh tokens: no text but a written one is read, and nothing makes the reader stumble.
#![no_main]

use aa_server::domain::refresh_token::{RefreshTokenCodec, TokenKind};
use foundation::seal::MasterSecret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let codec = RefreshTokenCodec::new(&[MasterSecret::new(vec![7; 32]).expect("long enough")]);
    for kind in [TokenKind::Delegation, TokenKind::Device, TokenKind::Refresh] {
        assert!(codec.decode(kind, text).is_none(), "a token was forged");
    }
});
