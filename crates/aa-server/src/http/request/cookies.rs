//! The cookies of the authority's own pages.

use actix_web::HttpRequest;
use actix_web::cookie::{self, SameSite};
use service::http::single_cookie;

use crate::authority::Authority;

/// The cookies of the authority's own pages.
#[derive(Debug, Clone, Copy)]
pub enum Cookie {
    /// The session cookie.
    BrowserSession,
    /// The cookie by which a browser is known again.
    Browser,
    /// The random value that CSRF tokens are made from.
    Csrf,
    /// The language that was chosen in this browser.
    Language,
}

impl Cookie {
    /// The full name: `__Host-` when the public URL is https.
    pub fn name(self, authority: &Authority) -> String {
        authority.config.public_url.cookie_name(match self {
            Self::BrowserSession => "aa_identity",
            Self::Browser => "aa_device",
            Self::Csrf => "aa_csrf",
            Self::Language => "aa_language",
        })
    }

    /// Its value; `None` if there is none, several, or one that could not be ours.
    pub fn read(self, authority: &Authority, request: &HttpRequest) -> Option<String> {
        let name = self.name(authority);
        let value = single_cookie(request.headers(), &name)?;
        (value.len() <= 128).then(|| value.to_owned())
    }

    /// The cookie as a response sets it.
    pub fn set(self, authority: &Authority, value: &str) -> cookie::Cookie<'static> {
        let max_age = match self {
            Self::BrowserSession => {
                cookie::time::Duration::try_from(authority.config.ttls.browser_session).ok()
            }
            // As long as browsers keep one.
            Self::Browser | Self::Language => Some(cookie::time::Duration::days(400)),
            Self::Csrf => None,
        };
        let mut cookie = self.with_value(authority, value);
        cookie.set_max_age(max_age);
        cookie
    }

    /// The cookie as a response removes it.
    pub fn remove(self, authority: &Authority) -> cookie::Cookie<'static> {
        let mut cookie = self.with_value(authority, "");
        cookie.set_max_age(cookie::time::Duration::ZERO);
        cookie
    }

    fn with_value(self, authority: &Authority, value: &str) -> cookie::Cookie<'static> {
        cookie::Cookie::build(self.name(authority), value.to_owned())
            .path("/")
            .http_only(true)
            // Lax, not Strict: people come from their apps' redirects.
            .same_site(SameSite::Lax)
            .secure(authority.config.public_url.is_https())
            .finish()
    }
}
