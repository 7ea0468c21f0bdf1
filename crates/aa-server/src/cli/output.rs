//! What a command prints.

use serde_json::Value;
use service::run::print_line;

/// The output of a command: a text for people, a JSON document for programs.
#[derive(Debug)]
pub(super) struct Output {
    text: String,
    json: Value,
}

impl Output {
    pub(super) fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json }
    }

    /// Prints the output. A reader that closed the pipe is no error.
    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        if json {
            print_line(&self.json.to_string())
        } else if self.text.is_empty() {
            Ok(())
        } else {
            print_line(&self.text)
        }
    }
}
