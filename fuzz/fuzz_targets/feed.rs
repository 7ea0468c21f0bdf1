//! The feed of ends: an event stream, the ends in it, cursors, and the tokens that ends are looked up by. Never a panic; the
//! pieces in which a stream arrives make no difference; what is read is written as it was.
#![no_main]

use aa_server::services::feed::Position;
use libfuzzer_sys::fuzz_target;
use tokens::feed::{EventStream, SessionIdentity};
use tokens::revocation::Revocations;

fuzz_target!(|input: (&[u8], usize, &str)| {
    let (stream, cut, text) = input;
    let whole = EventStream::new(1 << 20).read(stream);
    let (first, second) = stream.split_at(cut % (stream.len() + 1));
    let mut in_pieces = EventStream::new(1 << 20);
    if let (Ok(mut events), Ok(whole)) = (in_pieces.read(first), whole) {
        events.extend(in_pieces.read(second).unwrap());
        assert_eq!(events, whole);
    }
    if let Ok(revocations) = serde_json::from_str::<Revocations>(text) {
        let written = serde_json::to_string(&revocations).unwrap();
        assert_eq!(serde_json::from_str::<Revocations>(&written).unwrap(), revocations);
    }
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    let _ = SessionIdentity::of_received(text);
});
