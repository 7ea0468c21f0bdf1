//! How errors and pages leave the authority: one rendering per surface.

mod english;
mod frame;
mod oauth;
mod page;
mod problem;

use actix_web::{HttpRequest, HttpResponse};

use super::error::Error;
use super::request::CurrentUser;

pub use frame::Frame;
pub use page::{allow_form_origins, html, html_with, message, message_to, policy, redirect};

/// The kind of a route: the form of its answers and of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page for people.
    Page,
    /// A form of a page. It changes something, so it needs a CSRF token.
    Form,
    /// An endpoint of OAuth 2.0 or OpenID Connect, called by clients.
    OAuth,
    /// A document for programs.
    Machine,
    /// A file that never changes under its name.
    Asset,
}

/// Renders an error as the kind of the route has it.
pub fn error(
    request: &HttpRequest,
    kind: Kind,
    error: &Error,
    current_user: Option<&CurrentUser>,
) -> HttpResponse {
    match kind {
        Kind::Page | Kind::Form | Kind::Asset => page::error(request, error, current_user),
        Kind::OAuth => oauth::error(request, error),
        Kind::Machine => problem::error(request, error),
    }
}
