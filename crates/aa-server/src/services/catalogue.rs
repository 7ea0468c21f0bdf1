//! The catalogue: every sentence that the pages and mails say, in every language.
//!
//! The texts are in `texts/`, in the format of [Fluent](https://projectfluent.org). A deployment may replace single ones.

use std::borrow::Cow;
use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use fluent_syntax::ast::Entry;
use foundation::time::Timestamp;
use strum::VariantArray as _;
use tracing::error;
use unic_langid::LanguageIdentifier;

use crate::domain::language::Language;
use crate::domain::message::{Message, Value};
use crate::domain::time_zone::TimeZone;

/// The texts of a language, as they are shipped.
const fn shipped(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("../../texts/en.ftl"),
        Language::German => include_str!("../../texts/de.ftl"),
        Language::French => include_str!("../../texts/fr.ftl"),
    }
}

/// The texts of all languages.
#[derive(derive_more::Debug)]
#[debug("Catalogue {{ .. }}")]
pub struct Catalogue {
    bundles: Vec<(Language, FluentBundle<FluentResource>)>,
}

/// Why texts cannot be used, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The texts are not in Fluent's format.
    #[error("texts for `{0}`: {1}")]
    Syntax(&'static str, String),
    /// The texts replace one that does not exist.
    #[error("texts for `{0}`: there is no text `{1}`")]
    Unknown(&'static str, String),
}

impl Catalogue {
    /// The shipped texts, and those that replace some of them.
    ///
    /// # Errors
    /// [`CatalogueError`].
    pub fn new(replaced: &[(Language, String)]) -> Result<Self, CatalogueError> {
        let mut bundles = Vec::new();
        for &language in Language::VARIANTS {
            let tag = language.tag();
            let identifier: LanguageIdentifier = tag.parse().unwrap_or_default();
            let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
            // The marks that isolate directions of writing would be in titles and in plain text, too.
            bundle.set_use_isolating(false);
            bundle
                .add_resource(resource(tag, shipped(language).to_owned())?)
                .map_err(|errors| CatalogueError::Syntax(tag, format!("{errors:?}")))?;
            for (_, text) in replaced.iter().filter(|(of, _)| *of == language) {
                let replacing = resource(tag, text.clone())?;
                for id in ids(&replacing) {
                    if !bundle.has_message(&id) {
                        return Err(CatalogueError::Unknown(tag, id));
                    }
                }
                bundle.add_resource_overriding(replacing);
            }
            bundles.push((language, bundle));
        }
        Ok(Self { bundles })
    }

    fn format(
        &self,
        language: Language,
        id: &str,
        values: &[(&'static str, Value)],
    ) -> Option<String> {
        let (_, bundle) = self.bundles.iter().find(|(known, _)| *known == language)?;
        let (name, attribute) =
            id.split_once('.').map_or((id, None), |(name, attribute)| (name, Some(attribute)));
        let message = bundle.get_message(name)?;
        let pattern = match attribute {
            Some(attribute) => message.get_attribute(attribute)?.value(),
            None => message.value()?,
        };
        let mut arguments = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            let value = match value {
                Value::Text(text) => FluentValue::String(Cow::Borrowed(text.as_str())),
                Value::Number(number) => FluentValue::from(*number),
            };
            arguments.set(*name, value);
        }
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&arguments), &mut errors).into_owned();
        if !errors.is_empty() {
            error!(id, language = language.tag(), ?errors, "a text of the catalogue lacks a value");
        }
        Some(text)
    }

    /// A text, in English where this language has none.
    pub fn text(&self, language: Language, id: &str, values: &[(&'static str, Value)]) -> String {
        let found = self
            .format(language, id, values)
            .or_else(|| self.format(Language::English, id, values));
        found.unwrap_or_else(|| {
            error!(id, "the catalogue has no such text");
            id.to_owned()
        })
    }
}

fn resource(tag: &'static str, text: String) -> Result<FluentResource, CatalogueError> {
    FluentResource::try_new(text).map_err(|(_, errors)| {
        CatalogueError::Syntax(
            tag,
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        )
    })
}

fn ids(resource: &FluentResource) -> Vec<String> {
    let name = |entry: &Entry<&str>| match entry {
        Entry::Message(message) => Some(message.id.name.to_owned()),
        _ => None,
    };
    resource.entries().filter_map(name).collect()
}

/// The texts in the language and time zone of one reader.
#[derive(Debug, Clone)]
pub struct Texts {
    catalogue: Arc<Catalogue>,
    language: Language,
    zone: Option<TimeZone>,
}

impl Texts {
    /// The texts of this language.
    pub fn new(catalogue: &Arc<Catalogue>, language: Language) -> Self {
        Self { catalogue: Arc::clone(catalogue), language, zone: None }
    }

    /// Shows times in this zone.
    #[must_use]
    pub fn in_zone(mut self, zone: Option<TimeZone>) -> Self {
        self.zone = zone;
        self
    }

    /// The time zone that the reader has chosen, if any.
    pub fn zone(&self) -> Option<TimeZone> {
        self.zone
    }

    /// A moment to the minute in the reader's zone, which is named; in UTC if they have chosen none.
    pub fn moment(&self, at: Timestamp) -> String {
        let local = self.zone.unwrap_or(TimeZone::UTC).at(at);
        let months = self.get("months");
        let month = months.split_whitespace().nth(local.month as usize - 1).unwrap_or_default();
        let moment = Message::new("moment")
            .with("day", i64::from(local.day))
            .with("month", month)
            .with("year", local.year.to_string())
            .with("time", local.time)
            .with("zone", local.zone);
        self.message(&moment)
    }

    /// The language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// A text with nothing to fill in; `id.attribute` for an attribute of it.
    pub fn get(&self, id: &str) -> String {
        self.catalogue.text(self.language, id, &[])
    }

    /// A text with one value.
    pub fn get1(&self, id: &str, name: &'static str, value: impl Into<Value>) -> String {
        self.catalogue.text(self.language, id, &[(name, value.into())])
    }

    /// A text with its values.
    pub fn message(&self, message: &Message) -> String {
        self.catalogue.text(self.language, message.id, &message.values)
    }

    /// An attribute of a text, with the text's values.
    pub fn attribute(&self, message: &Message, attribute: &str) -> String {
        self.catalogue.text(self.language, &format!("{}.{attribute}", message.id), &message.values)
    }
}
