//! What a command prints.

use serde_json::Value;

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

    pub(super) fn print(&self, json: bool) {
        if json {
            println!("{}", self.json);
        } else if !self.text.is_empty() {
            println!("{}", self.text);
        }
    }
}
