//! Cursors of paged lists: no text but a written one is read, and nothing makes the reader stumble.
#![no_main]

use aa_server::services::cursor::CursorCodec;
use foundation::seal::MasterSecret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let codec = CursorCodec::new(&[MasterSecret::new(vec![7; 32]).expect("long enough")]);
    assert!(codec.decode::<(i64, String)>("events", text).is_err(), "a cursor was forged");
});
