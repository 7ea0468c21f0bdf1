//! The frame of every page: its title, head and foot, and what its form is told.

use std::fmt::Display;
use std::sync::Arc;

use actix_web::HttpRequest;
use service::http::CspNonce;
use strum::VariantArray as _;
use url::form_urlencoded;

use crate::authority::Authority;
use crate::domain::language::Language;
use crate::domain::message::Message;
use crate::domain::user::picture_path;
use crate::http::request::{Csrf, CurrentUser, language};
use crate::services::catalogue::Texts;
use crate::services::templates::{LanguageLink, Part, PlaceLink, Surroundings, Templates};
use crate::store::User;

/// The places of the navigation, by path and by the text of their link.
const PLACES: &[(&str, &str)] = &[
    ("/apps", "nav-apps"),
    ("/sessions", "nav-sessions"),
    ("/account", "nav-account"),
    ("/account/security", "nav-security"),
];

/// A mistake in a form.
#[derive(Debug, Clone)]
pub struct FieldError {
    /// The field; empty for the form as a whole.
    pub field: &'static str,
    /// The problem, and what to do.
    pub text: String,
}

/// The data for the frame of every page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The heading.
    pub title: String,
    /// The user who is signed in, if there is one.
    pub user: Option<String>,
    /// The path of the user's picture.
    pub picture: Option<String>,
    /// The CSRF token for the forms of the page.
    pub csrf: String,
    /// The nonce of the page's scripts.
    pub nonce: String,
    /// The path of the stylesheet.
    pub stylesheet: String,
    /// The path of the script.
    pub script: String,
    /// The path of the mark.
    pub mark: String,
    /// The media type of the mark.
    pub mark_type: &'static str,
    /// The name of the deployment.
    pub brand: String,
    /// Where users get help.
    pub support: Option<String>,
    /// The outcome of the form that was sent before; empty if there was none.
    pub notice: String,
    /// The mistakes in the form that was sent.
    pub errors: Vec<FieldError>,
    /// The passkeys that the authority accepts, for the signal API of browsers, as JSON.
    pub passkeys: Option<String>,
    /// The texts in the reader's language.
    pub texts: Texts,
    templates: Arc<Templates>,
    path: String,
    query: String,
}

impl Frame {
    /// The frame of a page without forms.
    pub fn bare(authority: &Authority, request: &HttpRequest, title: String) -> Self {
        let texts = Texts::new(&authority.catalogue, language(request, None));
        let branding = &authority.branding;
        Self {
            title,
            user: None,
            picture: None,
            csrf: String::new(),
            nonce: CspNonce::of(request),
            stylesheet: branding.stylesheet.path(),
            script: branding.script.path(),
            mark: branding.mark.path(),
            mark_type: branding.mark_type,
            brand: branding.name.clone(),
            support: branding.support_url.clone(),
            notice: String::new(),
            errors: Vec::new(),
            passkeys: None,
            texts,
            templates: Arc::clone(&branding.templates),
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
        }
    }

    /// The frame of a page with forms. `title` is the name of a text.
    pub fn new(
        authority: &Authority,
        request: &HttpRequest,
        title: &str,
        csrf: &Csrf,
        current_user: Option<&CurrentUser>,
    ) -> Self {
        let mut frame = Self::untitled(authority, request, csrf, current_user);
        frame.title = frame.texts.get(title);
        frame
    }

    /// The frame of a page with forms whose title follows.
    pub(super) fn untitled(
        authority: &Authority,
        request: &HttpRequest,
        csrf: &Csrf,
        current_user: Option<&CurrentUser>,
    ) -> Self {
        let user = current_user.map(|current_user| &current_user.user);
        Self {
            user: user.map(|user| user.display_name().to_owned()),
            picture: user.and_then(|user| user.picture.as_deref()).map(picture_path),
            csrf: csrf.field.clone(),
            texts: Texts::new(&authority.catalogue, language(request, user))
                .in_zone(user.and_then(User::zone)),
            ..Self::bare(authority, request, String::new())
        }
    }

    /// Adds what is wrong with the form that was sent.
    #[must_use]
    pub fn wrong(mut self, errors: &[(&'static str, Message)]) -> Self {
        let texts = &self.texts;
        let error = |(field, message): &(&'static str, Message)| FieldError {
            field,
            text: texts.message(message),
        };
        self.errors = errors.iter().map(error).collect();
        self
    }

    /// Adds what was done, by the name of a text, if there is one.
    #[must_use]
    pub fn done(mut self, message: Option<&Message>) -> Self {
        self.notice = message.map(|message| self.texts.message(message)).unwrap_or_default();
        self
    }

    /// Adds what was done, in words.
    #[must_use]
    pub fn noticed(mut self, notice: String) -> Self {
        self.notice = notice;
        self
    }

    /// A text of the catalogue.
    pub fn t(&self, id: &str) -> String {
        self.texts.get(id)
    }

    /// A text of the catalogue with one value.
    pub fn t1(&self, id: &str, name: &'static str, value: impl Display) -> String {
        self.texts.get1(id, name, value.to_string())
    }

    /// The tag of the language.
    pub fn language(&self) -> &'static str {
        self.texts.language().tag()
    }

    /// The title in the browser's title bar: what the page is, and whose.
    pub fn full_title(&self) -> String {
        let page = if self.errors.is_empty() {
            self.title.clone()
        } else {
            self.texts.get1("title-error", "title", self.title.as_str())
        };
        format!("{page} – {}", self.brand)
    }

    /// The head of the page, as HTML.
    pub fn header(&self) -> String {
        self.part(Part::Header)
    }

    /// The foot of the page, as HTML.
    pub fn footer(&self) -> String {
        self.part(Part::Footer)
    }

    fn part(&self, part: Part) -> String {
        let place = |(path, id): &(&'static str, &str)| PlaceLink {
            path,
            text: self.t(id),
            current: self.is_at(path),
        };
        let values = Surroundings {
            brand: &self.brand,
            mark: &self.mark,
            support: self.support.as_deref(),
            language: self.language(),
            path: &self.path,
            user: self.user.as_deref(),
            picture: self.picture.as_deref(),
            csrf: &self.csrf,
            places: PLACES.iter().map(place).collect(),
            languages: self.languages(),
        };
        self.templates.render(part, &values, &self.texts)
    }

    /// Whether this page is at a place of the navigation.
    fn is_at(&self, place: &str) -> bool {
        // The forms of the security page answer below addresses of their own.
        let of_security =
            ["/account/passkeys", "/account/totp", "/account/recovery-codes", "/account/password"];
        if of_security.iter().any(|path| self.path.starts_with(path)) {
            return place == "/account/security";
        }
        let longest = PLACES.iter().map(|(path, _)| *path).filter(|path| {
            self.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        longest.max_by_key(|path| path.len()) == Some(place)
    }

    /// The links to this page in each language.
    fn languages(&self) -> Vec<LanguageLink> {
        let others: Vec<_> = form_urlencoded::parse(self.query.as_bytes())
            .filter(|(name, _)| name != "ui_locales")
            .collect();
        let link = |&language: &Language| {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&others)
                .append_pair("ui_locales", language.tag())
                .finish();
            LanguageLink {
                tag: language.tag(),
                name: language.name(),
                href: format!("{}?{query}", self.path),
                current: language == self.texts.language(),
            }
        };
        Language::VARIANTS.iter().map(link).collect()
    }

    /// Whether something is wrong with a field.
    pub fn is_wrong(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    /// The problem of a field.
    pub fn error(&self, field: &str) -> &str {
        self.errors.iter().find(|error| error.field == field).map_or("", |error| &error.text)
    }

    /// The attributes that tie a field to its hint and its problem.
    pub fn describe(&self, field: &str, hint: &str) -> String {
        let mut by = Vec::new();
        if !hint.is_empty() {
            by.push(format!("{field}-hint"));
        }
        if self.is_wrong(field) {
            by.push(format!("{field}-wrong"));
        }
        let described = if by.is_empty() {
            String::new()
        } else {
            format!(" aria-describedby=\"{}\"", by.join(" "))
        };
        let invalid = if self.is_wrong(field) { " aria-invalid=\"true\"" } else { "" };
        format!("{described}{invalid}")
    }
}
