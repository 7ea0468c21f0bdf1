//! How errors and pages leave the authority: one rendering per surface.

mod oauth;
mod page;
mod problem;

use actix_web::HttpResponse;

use super::error::Error;

pub use page::{Frame, allow_form_origins, html, html_with, message, policy, redirect};

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
pub fn error(kind: Kind, error: &Error) -> HttpResponse {
    match kind {
        Kind::Page | Kind::Form | Kind::Asset => page::error(error),
        Kind::OAuth => oauth::error(error),
        Kind::Machine => problem::error(error),
    }
}
