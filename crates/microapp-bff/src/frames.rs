//! Boundaries of WebSocket frames (RFC 6455 §5.2), so that a close frame is sent between two of them.

/// The longest head of a frame: two bytes, eight of length, four of mask.
const MAX_HEAD: usize = 14;

/// The place in a stream of frames. Payloads are not looked at.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; MAX_HEAD],
    /// Bytes of the next frame's head that have passed.
    seen: usize,
    /// Bytes of the present frame's payload that have not passed.
    remaining: u64,
}

impl Frames {
    /// Notes that these bytes have passed.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.remaining > 0 {
                let count = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(bytes.len());
                self.remaining -= count as u64;
                bytes = &bytes[count..];
                continue;
            }
            self.head[self.seen] = *first;
            self.seen += 1;
            bytes = rest;
            if let Some(length) = payload_length(&self.head[..self.seen]) {
                (self.seen, self.remaining) = (0, length);
            }
        }
    }

    /// Whether the last frame is complete, and the next has not begun.
    pub fn is_between(&self) -> bool {
        self.seen == 0 && self.remaining == 0
    }
}

/// The length of the payload, once the head is complete.
fn payload_length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (size, length) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(head.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    (head.len() == size + mask).then_some(length)
}

/// A close frame of a server (RFC 6455 §5.5.1) with the status 1008, policy violation.
pub(crate) fn session_ended() -> Vec<u8> {
    const REASON: &[u8; 13] = b"session ended";
    let mut frame = vec![0x88, 15];
    frame.extend(1008_u16.to_be_bytes());
    frame.extend(REASON);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, mask: bool) -> Vec<u8> {
        let bit = if mask { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(bit | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(bit | 0x7e);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(bit | 0x7f);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0xff; length + if mask { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn frames_end_where_they_end_however_they_are_cut() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let whole = frame(length, false);
            for step in [1, 2, 3, 7, 4_096, whole.len()] {
                let mut frames = Frames::default();
                let mut passed = 0;
                for piece in whole.chunks(step) {
                    assert!(passed == 0 || !frames.is_between(), "{length} {step} {passed}");
                    frames.pass(piece);
                    passed += piece.len();
                }
                assert!(frames.is_between(), "{length} {step}");
            }
            let mut frames = Frames::default();
            frames.pass(&[whole.clone(), whole[..1].to_vec()].concat());
            assert!(!frames.is_between());
        }
        let mut frames = Frames::default();
        frames.pass(&session_ended());
        assert!(frames.is_between());
        // A mask is part of the head, and its four bytes are no payload.
        assert_eq!(payload_length(&[0x81, 0x85, 1, 2, 3]), None);
        assert_eq!(payload_length(&[0x81, 0x85, 1, 2, 3, 4]), Some(5));
    }
}
