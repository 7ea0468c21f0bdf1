//! Writes letters: a subject, paragraphs, and a button, as text and as HTML.

use crate::authority::Authority;
use crate::domain::message::Message;
use crate::domain::user_agent::UserAgent;
use crate::services::catalogue::Texts;
use crate::services::mailer::Letter;
use crate::services::templates::{MailLink, MailValues, Part};
use crate::store::Place;

/// The content of a letter.
#[derive(Debug)]
pub(super) struct Draft {
    /// The text whose value is the subject, and whose attribute `text` is the first paragraph.
    pub(super) about: Message,
    /// A link, with the name of its text.
    pub(super) link: Option<(&'static str, String)>,
    /// A code to be typed.
    pub(super) code: Option<String>,
    /// Facts, one a line.
    pub(super) facts: Vec<String>,
    /// The name of the last paragraph, which says what to do if the reader did not ask for this.
    pub(super) otherwise: &'static str,
}

impl Draft {
    /// A letter with this text, and nothing else.
    pub(super) fn of(text: &'static str) -> Self {
        Self {
            about: Message::new(text),
            link: None,
            code: None,
            facts: Vec::new(),
            otherwise: "mail-ignore",
        }
    }
}

/// Writes a letter.
pub(super) fn write(authority: &Authority, texts: &Texts, to: String, draft: Draft) -> Letter {
    let brand = authority.branding.name.as_str();
    let about = draft.about.with("brand", brand);
    let subject = texts.message(&about);
    let paragraph = texts.attribute(&about, "text");
    let otherwise = texts.get(draft.otherwise);
    let footer = texts.message(
        &Message::new("mail-footer")
            .with("brand", brand)
            .with("url", authority.config.public_url.as_str()),
    );
    let label = draft.link.as_ref().map(|(id, _)| texts.get(id));
    let link = draft.link.as_ref().zip(label.as_deref());
    let link = link.map(|((_, url), text)| MailLink { text, url });
    let values = MailValues {
        language: texts.language().tag(),
        subject: &subject,
        accent: &authority.branding.accent,
        brand,
        paragraph: &paragraph,
        code: draft.code.as_deref(),
        facts: &draft.facts,
        link,
        otherwise: &otherwise,
        footer: &footer,
    };
    let templates = &authority.branding.templates;
    Letter {
        to,
        text: templates.render(Part::MailText, &values, texts),
        html: templates.render(Part::MailHtml, &values, texts),
        subject,
    }
}

/// A place in words: "Firefox on Linux, 192.0.2.1".
pub(super) fn place(authority: &Authority, texts: &Texts, place: &Place) -> String {
    let agent = texts.message(&UserAgent::of(&place.user_agent).message());
    texts.message(
        &Message::new("mail-place")
            .with("agent", agent)
            .with("ip", authority.countries.describe(&place.ip, texts.language())),
    )
}
