//! Texts for people by their name in the catalogue, with what is filled in. Rules and operations say *what* happened;
//! pages and mails say it in the language of the reader.

/// A value that is filled into a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, as it is.
    Text(String),
    /// A number, which also selects the plural form.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A text of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text's name in the catalogue.
    pub id: &'static str,
    /// The values that are filled in, by name.
    pub values: Vec<(&'static str, Value)>,
}

impl Message {
    /// A text with nothing to fill in.
    pub const fn new(id: &'static str) -> Self {
        Self { id, values: Vec::new() }
    }

    /// Fills in a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, value.into()));
        self
    }
}
