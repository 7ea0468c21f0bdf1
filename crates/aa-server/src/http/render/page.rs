//! Pages for people: their headers, and errors as pages.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use askama::Template;
use service::http::{CspNonce, Policy, RequestId, with_cookies};
use url::form_urlencoded;

use super::Frame;
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::request::{Cookie, Csrf, CurrentUser};

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

/// A page with forms: its CSRF cookie goes along when the browser has none, and so does a language that was chosen by a link.
pub fn html_with(
    authority: &Authority,
    request: &HttpRequest,
    csrf: &Csrf,
    status: StatusCode,
    template: &impl Template,
) -> HttpResponse {
    let chosen = crate::http::request::chosen_language(request);
    let language = chosen.map(|chosen| Cookie::Language.set(authority, chosen.tag()));
    let response = html(status, template);
    with_cookies(response, csrf.set_cookie(authority).into_iter().chain(language))
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
    Policy::new(content_security_policy(&[]), authority.config.public_url.is_https())
        .with_hsts_subdomains(authority.config.hsts_subdomains)
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
        | Error::NoToken
        | Error::InvalidToken(_)
        | Error::InvalidGrant(_)
        | Error::UseDpopNonce(_) => {
            let text = Message::new("error-bad-request");
            let said = (technical(&error.to_string()), current_user);
            message_with(authority, request, status, &text, said)
        }
    }
}
