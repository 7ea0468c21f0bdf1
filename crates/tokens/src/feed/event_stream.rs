//! Reads `text/event-stream` (HTML, section "Server-sent events"), as far as the feed uses it.

/// An event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamEvent {
    /// The type, from `event`; empty if there is none.
    pub event: String,
    /// The lines of `data`, joined by line feeds.
    pub data: String,
    /// The last event id, from `id`, if this event has one.
    pub id: Option<String>,
}

/// Takes a stream apart into events, however its bytes arrive.
#[derive(Debug)]
pub struct EventStream {
    line: Vec<u8>,
    event: StreamEvent,
    has_data: bool,
    after_cr: bool,
    size: usize,
    max_bytes: usize,
}

/// An event is larger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is too large")]
pub struct TooLarge;

impl EventStream {
    /// A reader of events of up to `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            event: StreamEvent::default(),
            has_data: false,
            after_cr: false,
            size: 0,
            max_bytes,
        }
    }

    /// Reads a piece of the stream and returns the events that it completes. Comments, `retry` and unknown fields are
    /// skipped, and so is an event without data.
    ///
    /// # Errors
    /// [`TooLarge`]: the stream cannot be read any further.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, TooLarge> {
        let mut events = Vec::new();
        for &byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => {
                    self.size += 1;
                    if self.size > self.max_bytes {
                        return Err(TooLarge);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<StreamEvent> {
        if self.line.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let line = String::from_utf8_lossy(&self.line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.event),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            _ => {}
        }
        self.line.clear();
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(event: &str, data: &str, id: Option<&str>) -> StreamEvent {
        StreamEvent { event: event.to_owned(), data: data.to_owned(), id: id.map(str::to_owned) }
    }

    #[test]
    fn fields_lines_and_comments_are_told_apart() {
        let text = ": hello\r\n\r\nevent: a\ndata: 1\ndata:2\nid: 7\nretry: 1\n\nid: 8\n\ndata\r\revent:b\ndata: x\n";
        let mut stream = EventStream::new(1000);
        let expected = [event("a", "1\n2", Some("7")), event("", "", None)];
        assert_eq!(stream.read(text.as_bytes()), Ok(expected.to_vec()));
        assert_eq!(stream.read(b"\n"), Ok(vec![event("b", "x", None)]));
    }

    #[test]
    fn an_event_that_never_ends_takes_no_more_memory_than_allowed() {
        let mut stream = EventStream::new(10);
        assert_eq!(stream.read(b"data: 123\n\n").unwrap().len(), 1);
        assert_eq!(stream.read(b"data: 12\n"), Ok(vec![]));
        assert_eq!(stream.read(b"data: 12\n"), Err(TooLarge));
    }

    proptest! {
        /// The pieces in which a stream arrives make no difference.
        #[test]
        fn pieces_make_no_difference(
            lines in prop::collection::vec("(data|event|id|x)?:? ?[a-c]{0,3}(\n|\r|\r\n)", 0..12),
            cut in 0_usize..60,
        ) {
            let text = lines.concat();
            let whole = EventStream::new(1000).read(text.as_bytes()).unwrap();
            let cut = cut.min(text.len());
            let mut stream = EventStream::new(1000);
            let mut pieces = stream.read(&text.as_bytes()[..cut]).unwrap();
            pieces.extend(stream.read(&text.as_bytes()[cut..]).unwrap());
            prop_assert_eq!(whole, pieces);
        }
    }
}
