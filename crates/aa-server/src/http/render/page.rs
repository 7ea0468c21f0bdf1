//! Pages for people: their frame, their headers, and errors as pages.

use std::fmt::Display;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use askama::Template;
use service::http::{CspNonce, Policy, RequestId};
use strum::VariantArray as _;
use url::form_urlencoded;

use crate::authority::Authority;
use crate::domain::language::Language;
use crate::domain::message::Message;
use crate::domain::user::picture_path;
use crate::http::error::Error;
use crate::http::request::{Cookie, Csrf, CurrentUser, language};
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
    fn untitled(
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

/// A page.
pub fn html(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(body) => HttpResponse::build(status)
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::VARY, "accept-language, cookie"))
            .content_type("text/html; charset=utf-8")
            .body(body),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Adds a cookie to a response.
pub fn append_cookie(response: &mut HttpResponse, (name, value): (header::HeaderName, String)) {
    if let Ok(value) = header::HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
}

/// A page with forms: its CSRF cookie goes along when the browser has none, and so does a language that was chosen by a link.
pub fn html_with(
    authority: &Authority,
    request: &HttpRequest,
    csrf: &Csrf,
    status: StatusCode,
    template: &impl Template,
) -> HttpResponse {
    let mut response = html(status, template);
    if let Some(cookie) = csrf.set_cookie(authority) {
        append_cookie(&mut response, cookie);
    }
    if let Some(chosen) = crate::http::request::chosen_language(request) {
        append_cookie(&mut response, Cookie::Language.set(authority, chosen.tag()));
    }
    response
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    frame: Frame,
    message: String,
    onward: Option<(String, String)>,
    detail: String,
}

/// A page that says one thing, and leads on to the sign-in page or to the apps.
///
/// The text has the attribute `message`.
pub fn message(
    authority: &Authority,
    request: &HttpRequest,
    status: StatusCode,
    text: &Message,
) -> HttpResponse {
    message_with(authority, request, status, text, (String::new(), None))
}

/// As [`message`], for a user who may be signed in: they keep the navigation.
pub fn message_to(
    authority: &Authority,
    request: &HttpRequest,
    status: StatusCode,
    text: &Message,
    current_user: Option<&CurrentUser>,
) -> HttpResponse {
    message_with(authority, request, status, text, (String::new(), current_user))
}

fn message_with(
    authority: &Authority,
    request: &HttpRequest,
    status: StatusCode,
    text: &Message,
    (detail, current_user): (String, Option<&CurrentUser>),
) -> HttpResponse {
    let csrf = Csrf::of(authority, request);
    let mut frame = Frame::untitled(authority, request, &csrf, current_user);
    frame.title = frame.texts.message(text);
    let (to, label) = match current_user {
        Some(_) => ("/apps", "to-your-apps"),
        None => ("/login", "back-to-sign-in"),
    };
    let page = MessagePage {
        message: frame.texts.attribute(text, "message"),
        onward: Some((to.to_owned(), frame.t(label))),
        detail,
        frame,
    };
    match current_user {
        Some(_) => html_with(authority, request, &csrf, status, &page),
        None => html(status, &page),
    }
}

/// 303: go there with a GET. The answer must not be cached: its URL may carry a delegation token.
pub fn redirect(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, to))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// The policy of the authority's pages. No script runs but those that carry the response's nonce.
pub fn policy(authority: &Authority) -> Policy {
    Policy {
        csp: content_security_policy(&[]),
        https: authority.config.public_url.is_https(),
        hsts_subdomains: authority.config.hsts_subdomains,
    }
}

/// A Content-Security-Policy whose forms may also lead to these origins.
///
/// Chromium follows a form's redirects only to origins that `form-action` names.
fn content_security_policy(form_origins: &[String]) -> String {
    let mut forms = String::from("'self'");
    for origin in form_origins {
        forms.push(' ');
        forms.push_str(origin);
    }
    format!(
        "default-src 'none'; style-src 'self' 'nonce-{{nonce}}'; script-src 'nonce-{{nonce}}'; \
         img-src 'self'; connect-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )
}

/// Lets the forms of a page be redirected to these origins too.
pub fn allow_form_origins(request: &HttpRequest, response: &mut HttpResponse, origins: &[String]) {
    let nonce = CspNonce::of(request);
    let csp = content_security_policy(origins).replace("{nonce}", &nonce);
    if let Ok(csp) = header::HeaderValue::from_str(&csp) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, csp);
    }
}

/// An error as a page.
pub(super) fn error(
    request: &HttpRequest,
    error: &Error,
    current_user: Option<&CurrentUser>,
) -> HttpResponse {
    let status = error.status_code();
    let Some(authority) = request.app_data::<web::Data<Authority>>() else {
        return HttpResponse::build(status).finish();
    };
    let technical = |what: &str| {
        let id = RequestId::of(request);
        [what, &id].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" · ")
    };
    match error {
        Error::SignIn(return_to) | Error::SignInAgain(return_to) => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("return_to", return_to);
            if matches!(error, Error::SignInAgain(_)) {
                query.append_pair("again", "1");
            }
            redirect(&format!("/login?{}", query.finish()))
        }
        Error::Refused { message: text, detail, retry_after, .. } => {
            let mut response =
                message_with(authority, request, status, text, (technical(detail), current_user));
            if let Some(wait) = retry_after {
                let seconds = wait.as_secs().max(1);
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Error::Parameters(_)
        | Error::OAuth(..)
        | Error::InvalidClient(_)
        | Error::InvalidGrant(_) => {
            let text = Message::new("error-bad-request");
            let said = (technical(&error.to_string()), current_user);
            message_with(authority, request, status, &text, said)
        }
    }
}
