//! What a command prints.

use serde_json::Value;
use service::run::print_line;

/// The output of a command: a text for people, a JSON document for programs.
#[derive(Debug)]
pub(super) struct Output {
    text: String,
    json: Value,
    note: Option<String>,
}

impl Output {
    pub(super) fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, note: None }
    }

    /// With a note about what is printed, for standard error.
    pub(super) fn with_note(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }

    /// Prints the output. A reader that closed the pipe is no error.
    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        if let Some(note) = &self.note {
            eprintln!("{note}");
        }
        if json {
            print_line(&self.json.to_string())
        } else if self.text.is_empty() {
            Ok(())
        } else {
            print_line(&self.text)
        }
    }
}
