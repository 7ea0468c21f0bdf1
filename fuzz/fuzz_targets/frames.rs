//! Where the frames of a WebSocket end: the same wherever the stream of bytes is cut, and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use microapp_bff::Frames;

fuzz_target!(|input: (&[u8], usize)| {
    let (bytes, at) = input;
    let (mut whole, mut cut) = (Frames::default(), Frames::default());
    whole.pass(bytes);
    let (first, second) = bytes.split_at(at.min(bytes.len()));
    cut.pass(first);
    cut.pass(second);
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    assert_eq!(whole.is_between(), cut.is_between());
});
