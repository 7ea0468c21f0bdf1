//! What a command prints.

use serde_json::{Value, json};
use service::run::{Failure, print_line};

/// The output of a command: a text for people, a JSON document for programs.
#[derive(Debug)]
pub(crate) struct Output {
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
}

/// How output is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// As one JSON document instead of text.
    pub(crate) json: bool,
}

impl Format {
    /// Prints the result of a command. A failure becomes a JSON document too; the reader of a pipe that is closed is no
    /// error.
    ///
    /// # Errors
    /// The failure itself, for the text on standard error and the exit status.
    pub(crate) fn print(self, result: Result<Output, Failure>) -> Result<(), Failure> {
        let output = match result {
            Ok(output) => output,
            Err(failure) => {
                if self.json {
                    print_line(&json!({ "error": failure.to_string() }).to_string())?;
                }
                return Err(failure);
            }
        };
        if let Some(note) = &output.note {
            eprintln!("{note}");
        }
        if self.json {
            print_line(&output.json.to_string())?;
        } else if !output.text.is_empty() {
            print_line(&output.text)?;
        }
        Ok(())
    }
}
