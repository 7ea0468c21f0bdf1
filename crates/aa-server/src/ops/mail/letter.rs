//! Writes letters: a subject, paragraphs, and a button, as text and as HTML.

use askama::Template;

use crate::authority::Authority;
use crate::domain::message::Message;
use crate::domain::user::Agent;
use crate::services::catalogue::Texts;
use crate::services::mailer::Letter;
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

#[derive(Template)]
#[template(path = "mail.txt")]
struct Plain<'a> {
    brand: &'a str,
    paragraph: &'a str,
    code: Option<&'a str>,
    facts: &'a [String],
    link: Option<(&'a str, &'a str)>,
    otherwise: &'a str,
    footer: &'a str,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    language: &'static str,
    subject: &'a str,
    accent: &'a str,
    brand: &'a str,
    paragraph: &'a str,
    code: Option<&'a str>,
    facts: &'a [String],
    link: Option<(&'a str, &'a str)>,
    otherwise: &'a str,
    footer: &'a str,
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
    let link =
        draft.link.as_ref().zip(label.as_deref()).map(|((_, url), label)| (label, url.as_str()));
    let (code, facts) = (draft.code.as_deref(), draft.facts.as_slice());
    let plain = Plain {
        brand,
        paragraph: &paragraph,
        code,
        facts,
        link,
        otherwise: &otherwise,
        footer: &footer,
    };
    let html = Html {
        language: texts.language().tag(),
        subject: &subject,
        accent: &authority.branding.accent,
        brand,
        paragraph: &paragraph,
        code,
        facts,
        link,
        otherwise: &otherwise,
        footer: &footer,
    };
    Letter {
        to,
        text: plain.render().unwrap_or_default(),
        html: html.render().unwrap_or_default(),
        subject,
    }
}

/// A place in words: "Firefox on Linux, 192.0.2.1".
pub(super) fn place(authority: &Authority, texts: &Texts, place: &Place) -> String {
    let agent = texts.message(&Agent::of(&place.user_agent).message());
    texts.message(
        &Message::new("mail-place")
            .with("agent", agent)
            .with("ip", authority.countries.describe(&place.ip, texts.language())),
    )
}
