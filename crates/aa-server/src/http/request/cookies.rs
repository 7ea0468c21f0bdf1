//! The cookies of the authority's own pages.

use actix_web::HttpRequest;
use actix_web::http::header;
use service::http::{SetCookie, single_cookie};

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

    /// As a header that sets it.
    pub fn set(self, authority: &Authority, value: &str) -> (header::HeaderName, String) {
        let max_age = match self {
            Self::BrowserSession => Some(authority.config.ttls.browser_session.as_secs()),
            // As long as browsers keep one.
            Self::Browser | Self::Language => Some(400 * 24 * 3600),
            Self::Csrf => None,
        };
        self.header(authority, value, max_age)
    }

    /// As a header that removes it.
    pub fn remove(self, authority: &Authority) -> (header::HeaderName, String) {
        self.header(authority, "", Some(0))
    }

    fn header(
        self,
        authority: &Authority,
        value: &str,
        max_age: Option<u64>,
    ) -> (header::HeaderName, String) {
        let secure = authority.config.public_url.is_https();
        // Lax, not Strict: people come from their apps' redirects.
        let name = self.name(authority);
        SetCookie { name: &name, value, path: "/", domain: None, same_site: "Lax", max_age, secure }
            .header()
    }
}
