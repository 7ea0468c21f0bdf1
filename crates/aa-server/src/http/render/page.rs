//! Pages for people: their frame, their headers, and errors as pages.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use askama::Template;
use service::http::{CspNonce, Policy};

use crate::authority::Authority;
use crate::http::assets;
use crate::http::error::Error;
use crate::http::request::{Csrf, CurrentUser};

/// The data for the frame of every page.
#[derive(Debug)]
pub struct Frame {
    /// In the browser's title bar.
    pub title: &'static str,
    /// The user who is signed in, if there is one.
    pub user: Option<String>,
    /// The CSRF token for the forms of the page.
    pub csrf: String,
    /// The path of the stylesheet.
    pub stylesheet: String,
    /// The path of the icon.
    pub icon: String,
}

impl Frame {
    /// The frame of a page without forms.
    pub fn bare(title: &'static str) -> Self {
        Self {
            title,
            user: None,
            csrf: String::new(),
            stylesheet: assets::stylesheet(),
            icon: assets::icon(),
        }
    }

    /// The frame of a page with forms.
    pub fn new(title: &'static str, csrf: &Csrf, current_user: Option<&CurrentUser>) -> Self {
        Self {
            user: current_user.map(|current_user| current_user.user.display_name().to_owned()),
            csrf: csrf.field.clone(),
            ..Self::bare(title)
        }
    }
}

/// A page.
pub fn html(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(body) => HttpResponse::build(status)
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .content_type("text/html; charset=utf-8")
            .body(body),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// A page with forms: its CSRF cookie goes along when the browser has none.
pub fn html_with(
    authority: &Authority,
    csrf: &Csrf,
    status: StatusCode,
    template: &impl Template,
) -> HttpResponse {
    let mut response = html(status, template);
    if let Some((name, value)) = csrf.set_cookie(authority)
        && let Ok(value) = header::HeaderValue::from_str(&value)
    {
        response.headers_mut().append(name, value);
    }
    response
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    title: &'static str,
    message: &'a str,
}

/// A page that says one thing, and leads on.
pub fn message(status: StatusCode, title: &'static str, message: &str) -> HttpResponse {
    html(status, &Message { frame: Frame::bare(title), title, message })
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
         img-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
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
pub(super) fn error(error: &Error) -> HttpResponse {
    let status = error.status_code();
    match error {
        Error::SignIn(return_to) => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("return_to", return_to)
                .finish();
            redirect(&format!("/login?{query}"))
        }
        Error::Refused { title, message: text, retry_after, .. } => {
            let mut response = message(status, title, text);
            if let Some(wait) = retry_after {
                let seconds = wait.as_secs().max(1);
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Error::Parameters(_) | Error::OAuth(..) | Error::InvalidClient => {
            let text = format!("The request cannot be understood: {error}.");
            message(status, "That did not work", &text)
        }
    }
}
