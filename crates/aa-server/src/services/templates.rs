//! The templates that a deployment may replace, one by one: what stands around every page, and mails.
//!
//! They are [MiniJinja](https://docs.rs/minijinja) templates. A replaced one is rendered with samples when it is read, so
//! that a mistake in it, or something that it leaves out, is an error at start. Forms are not among them
//! (`docs/decisions/0015-templates-around-the-forms.md`).

use askama::filters::{Escaper as _, Html};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context, escape_formatter};
use serde::Serialize;
use tracing::error;

use super::catalogue::Texts;

/// A template that can be replaced.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::Display, strum::IntoStaticStr,
)]
pub enum Part {
    /// The head of every page: mark, name, navigation, sign-out.
    #[strum(to_string = "header.html")]
    Header,
    /// The foot of every page: help, languages.
    #[strum(to_string = "footer.html")]
    Footer,
    /// A mail as HTML.
    #[strum(to_string = "mail.html")]
    MailHtml,
    /// A mail as plain text.
    #[strum(to_string = "mail.txt")]
    MailText,
}

impl Part {
    /// The name of its file.
    fn name(self) -> &'static str {
        self.into()
    }

    /// The template as it is shipped.
    const fn shipped(self) -> &'static str {
        match self {
            Self::Header => include_str!("../../templates/header.html"),
            Self::Footer => include_str!("../../templates/footer.html"),
            Self::MailHtml => include_str!("../../templates/mail.html"),
            Self::MailText => include_str!("../../templates/mail.txt"),
        }
    }
}

/// A link of the navigation.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceLink {
    /// Where it leads.
    pub path: &'static str,
    /// The text of the link.
    pub text: String,
    /// Whether this page is there.
    pub current: bool,
}

/// A link to the same page in another language.
#[derive(Debug, Clone, Serialize)]
pub struct LanguageLink {
    /// The language's tag (RFC 5646).
    pub tag: &'static str,
    /// The language's own name for itself.
    pub name: &'static str,
    /// Where the link leads.
    pub href: String,
    /// Whether this page is in it.
    pub current: bool,
}

/// The values for [`Part::Header`] and [`Part::Footer`].
#[derive(Debug, Clone, Serialize)]
pub struct Surroundings<'a> {
    /// The name of the deployment.
    pub brand: &'a str,
    /// The path of the mark.
    pub mark: &'a str,
    /// Where users get help.
    pub support: Option<&'a str>,
    /// The tag of the page's language.
    pub language: &'static str,
    /// The path of the page.
    pub path: &'a str,
    /// The name of the user who is signed in.
    pub user: Option<&'a str>,
    /// The path of the user's picture.
    pub picture: Option<&'a str>,
    /// The CSRF token for the form that signs out.
    pub csrf: &'a str,
    /// The navigation.
    pub places: Vec<PlaceLink>,
    /// The languages.
    pub languages: Vec<LanguageLink>,
}

/// A link of a mail.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MailLink<'a> {
    /// The text of the link.
    pub text: &'a str,
    /// Where it leads.
    pub url: &'a str,
}

/// The values for [`Part::MailHtml`] and [`Part::MailText`].
#[derive(Debug, Clone, Serialize)]
pub struct MailValues<'a> {
    /// The tag of the mail's language.
    pub language: &'static str,
    /// The subject.
    pub subject: &'a str,
    /// The colour of buttons, `#rrggbb`.
    pub accent: &'a str,
    /// The name of the deployment.
    pub brand: &'a str,
    /// The news, or the task.
    pub paragraph: &'a str,
    /// A code to be typed.
    pub code: Option<&'a str>,
    /// Facts, one a line.
    pub facts: &'a [String],
    /// A link.
    pub link: Option<MailLink<'a>>,
    /// Advice for a reader who did not ask for this.
    pub otherwise: &'a str,
    /// The sender, in words.
    pub footer: &'a str,
}

/// Why a template cannot be used, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The syntax is wrong, or the template cannot be rendered.
    #[error("templates/{0}: {1}")]
    Render(Part, String),
    /// The template leaves out what users need.
    #[error("templates/{0}: {1} is missing; without it, users cannot {2}")]
    Missing(Part, &'static str, &'static str),
}

/// The templates of a deployment: its own, and the shipped ones.
#[derive(Debug)]
pub struct Templates {
    shipped: Environment<'static>,
    replaced: Environment<'static>,
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name {
        "mail.txt" => AutoEscape::None,
        _ => AutoEscape::Html,
    });
    // As the other pages do: MiniJinja alone escapes `/`, too, which makes paths hard to read.
    environment.set_formatter(|output, state, value| match value.as_str() {
        Some(text) if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() => {
            Ok(Html.write_escaped_str(output, text)?)
        }
        _ => escape_formatter(output, state, value),
    });
    environment
}

impl Templates {
    /// The shipped templates, and those that replace some of them. `texts` are those of one language, for samples.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn new(replaced: Vec<(Part, String)>, texts: &Texts) -> Result<Self, TemplateError> {
        let mut templates = Self { shipped: environment(), replaced: environment() };
        for &part in <Part as strum::VariantArray>::VARIANTS {
            let added = templates.shipped.add_template(part.name(), part.shipped());
            added.map_err(|error| TemplateError::Render(part, error.to_string()))?;
        }
        for (part, source) in replaced {
            let added = templates.replaced.add_template_owned(part.name(), source);
            added.map_err(|error| TemplateError::Render(part, error.to_string()))?;
            templates.check(part, texts)?;
        }
        Ok(templates)
    }

    fn try_render(
        environment: &Environment<'_>,
        part: Part,
        values: &impl Serialize,
        texts: &Texts,
    ) -> Result<String, minijinja::Error> {
        let texts = texts.clone();
        let t = Value::from_function(move |id: String| texts.get(&id));
        let values = context! { t, ..Value::from(Serde(values)) };
        environment.get_template(part.name())?.render(values)
    }

    /// Renders a template. If one of the deployment fails, the log says so, and the shipped one is used.
    pub fn render(&self, part: Part, values: &impl Serialize, texts: &Texts) -> String {
        if self.replaced.get_template(part.name()).is_ok() {
            match Self::try_render(&self.replaced, part, values, texts) {
                Ok(text) => return text,
                Err(error) => error!(template = %part, %error, "a replaced template failed"),
            }
        }
        Self::try_render(&self.shipped, part, values, texts).unwrap_or_else(|error| {
            error!(template = %part, %error, "a template failed");
            String::new()
        })
    }

    /// Renders a replaced template with samples, and looks for what users need.
    fn check(&self, part: Part, texts: &Texts) -> Result<(), TemplateError> {
        match part {
            Part::Header | Part::Footer => self.check_surroundings(part, texts),
            Part::MailHtml | Part::MailText => self.check_mail(part, texts),
        }
    }

    fn sample(
        &self,
        part: Part,
        values: &impl Serialize,
        texts: &Texts,
    ) -> Result<String, TemplateError> {
        Self::try_render(&self.replaced, part, values, texts)
            .map_err(|error| TemplateError::Render(part, format!("{error:#}")))
    }

    fn check_surroundings(&self, part: Part, texts: &Texts) -> Result<(), TemplateError> {
        let anonymous = Surroundings {
            brand: "Sample",
            mark: "/assets/sample.svg",
            support: None,
            language: "en",
            path: "/sample",
            user: None,
            picture: None,
            csrf: "",
            places: vec![PlaceLink { path: "/sample", text: "Sample".to_owned(), current: true }],
            languages: vec![LanguageLink {
                tag: "en",
                name: "English",
                href: "/sample?ui_locales=en".to_owned(),
                current: true,
            }],
        };
        self.sample(part, &anonymous, texts)?;
        let user = Surroundings {
            support: Some("mailto:sample@sample.example"),
            user: Some("Sample User"),
            picture: Some("/sample.webp"),
            csrf: "sample-csrf",
            ..anonymous
        };
        let text = self.sample(part, &user, texts)?;
        let needed: &[_] = match part {
            Part::Header => &[
                ("action=\"/logout\"", "sign out"),
                ("sample-csrf", "sign out"),
                ("\"/sample\"", "reach their apps, sessions and account"),
            ],
            _ => &[("ui_locales=en", "choose a language")],
        };
        must_have(part, &text, needed)
    }

    fn check_mail(&self, part: Part, texts: &Texts) -> Result<(), TemplateError> {
        let mut mail = MailValues {
            language: "en",
            subject: "Sample subject",
            accent: "#000000",
            brand: "Sample",
            paragraph: "Sample paragraph",
            code: None,
            facts: &[],
            link: None,
            otherwise: "Sample advice",
            footer: "Sample sender",
        };
        self.sample(part, &mail, texts)?;
        let facts = ["Sample fact".to_owned()];
        mail.code = Some("13571357");
        mail.facts = &facts;
        mail.link = Some(MailLink { text: "Sample link", url: "sample-url" });
        let text = self.sample(part, &mail, texts)?;
        let needed = [
            ("Sample paragraph", "tell why it was sent"),
            ("13571357", "type the code"),
            ("Sample fact", "tell what happened"),
            ("sample-url", "follow the link"),
            ("Sample advice", "tell what to do if they did not ask for it"),
        ];
        must_have(part, &text, &needed)
    }
}

/// An error for the first of these texts that is not in a template's output; each with what users cannot do without it.
fn must_have(
    part: Part,
    text: &str,
    needed: &[(&'static str, &'static str)],
) -> Result<(), TemplateError> {
    match needed.iter().find(|(what, _)| !text.contains(what)) {
        Some((what, to)) => Err(TemplateError::Missing(part, what, to)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strum::VariantArray as _;

    use super::*;
    use crate::domain::language::Language;
    use crate::services::catalogue::Catalogue;

    fn texts() -> Texts {
        Texts::new(&Arc::new(Catalogue::new(&[]).unwrap()), Language::English)
    }

    fn told(part: Part, source: &str) -> String {
        Templates::new(vec![(part, source.to_owned())], &texts()).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_templates_would_be_accepted_as_replacements() {
        let own = Part::VARIANTS.iter().map(|&part| (part, part.shipped().to_owned())).collect();
        Templates::new(own, &texts()).unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let footer = told(Part::Footer, "<footer>{{ compny }}</footer>");
        assert!(footer.starts_with("templates/footer.html: undefined value"), "{footer}");
        let footer = told(Part::Footer, "{% if %}");
        assert!(footer.starts_with("templates/footer.html: syntax error"), "{footer}");
        assert_eq!(
            told(Part::Footer, "<footer>Acme</footer>"),
            "templates/footer.html: ui_locales=en is missing; without it, users cannot choose a language"
        );
        let without_token = Part::Header.shipped().replace("{{ csrf }}", "");
        assert!(told(Part::Header, &without_token).contains("sample-csrf is missing"));
        for (taken, missing) in [
            ("{{ code }}", "13571357"),
            ("{{ link.url }}", "sample-url"),
            ("{{ otherwise }}", "Sample advice"),
        ] {
            let source = Part::MailText.shipped().replace(taken, "");
            assert!(told(Part::MailText, &source).contains(missing), "{taken}");
        }
    }

    fn surroundings(path: &str) -> Surroundings<'_> {
        Surroundings {
            brand: "<b>",
            mark: "/assets/mark.svg",
            support: None,
            language: "en",
            path,
            user: None,
            picture: None,
            csrf: "",
            places: Vec::new(),
            languages: Vec::new(),
        }
    }

    #[test]
    fn a_replaced_template_that_fails_later_gives_way_to_the_shipped_one() {
        let own = "{% if path == '/rare' %}{{ missing }}{% endif %}Acme, ui_locales=en";
        let templates = Templates::new(vec![(Part::Footer, own.to_owned())], &texts()).unwrap();
        let render = |path| templates.render(Part::Footer, &surroundings(path), &texts());
        assert_eq!(render("/login"), "Acme, ui_locales=en");
        assert!(render("/rare").starts_with("<footer"), "{}", render("/rare"));
    }

    #[test]
    fn values_are_escaped_in_html_alone() {
        let templates = Templates::new(Vec::new(), &texts()).unwrap();
        let html = templates.render(Part::Header, &surroundings("/login"), &texts());
        assert!(html.contains("&#60;b&#62;") && !html.contains("<b>"), "{html}");
        assert!(html.contains("src=\"/assets/mark.svg\""), "paths stay readable: {html}");
        let mail = MailValues {
            language: "en",
            subject: "s",
            accent: "#000000",
            brand: "<b>",
            paragraph: "p",
            code: None,
            facts: &[],
            link: None,
            otherwise: "o",
            footer: "f",
        };
        assert!(templates.render(Part::MailText, &mail, &texts()).starts_with("<b>\n\np\n"));
        assert!(!templates.render(Part::MailHtml, &mail, &texts()).contains("<b>"));
    }
}
