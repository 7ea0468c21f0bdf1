//! Names and attributes of cookies (contract §4, RFC 6265bis §4.1.3).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::cookie::{self, SameSite};
use foundation::origin::PublicUrl;
use service::http::single_cookie;

/// One of an app's cookies. Its bare name is the app's own, because cookies ignore ports.
#[derive(Debug, Clone, Copy)]
pub struct Cookie<'a> {
    /// Without prefix.
    pub name: &'a str,
    /// Below which path it is sent.
    pub path: &'static str,
    /// Strict or Lax.
    pub same_site: SameSite,
    /// Whether `COOKIE_DOMAIN` applies to it.
    pub shared: bool,
}

/// The cookies of one app: sets and reads them.
#[derive(Debug)]
pub struct Cookies {
    https: bool,
    domain: Option<String>,
}

impl Cookies {
    /// Cookies for a public URL: secure if it is https.
    pub fn new(public_url: &PublicUrl, domain: Option<String>) -> Self {
        Self { https: public_url.is_https(), domain }
    }

    fn domain_of(&self, cookie: &Cookie<'_>) -> Option<&str> {
        self.domain.as_deref().filter(|_| cookie.shared)
    }

    /// The full name: `__Host-` when the URL is https; `__Secure-` where a path or a domain rules that out.
    pub fn name(&self, cookie: &Cookie<'_>) -> String {
        let prefix = match (self.https, cookie.path, self.domain_of(cookie)) {
            (false, ..) => "",
            (true, "/", None) => "__Host-",
            (true, ..) => "__Secure-",
        };
        format!("{prefix}{}", cookie.name)
    }

    /// Its value, if there is exactly one: a second one was set by another host or an attacker.
    pub fn read(&self, cookie: &Cookie<'_>, request: &HttpRequest) -> Option<String> {
        single_cookie(request.headers(), &self.name(cookie)).map(str::to_owned)
    }

    /// The cookie as a response sets it, for this long.
    pub fn set(
        &self,
        cookie: &Cookie<'_>,
        value: &str,
        max_age: Duration,
    ) -> cookie::Cookie<'static> {
        let mut set = cookie::Cookie::build(self.name(cookie), value.to_owned())
            .path(cookie.path)
            .http_only(true)
            .same_site(cookie.same_site)
            .max_age(
                cookie::time::Duration::try_from(max_age).unwrap_or(cookie::time::Duration::MAX),
            )
            .secure(self.https)
            .finish();
        if let Some(domain) = self.domain_of(cookie) {
            set.set_domain(domain.to_owned());
        }
        set
    }

    /// The cookie as a response removes it.
    pub fn remove(&self, cookie: &Cookie<'_>) -> cookie::Cookie<'static> {
        self.set(cookie, "", Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Cookie<'_> =
        Cookie { name: "app_session", path: "/", same_site: SameSite::Lax, shared: true };
    const REFRESH: Cookie<'_> = Cookie {
        name: "app_rt",
        path: "/auth/refresh",
        same_site: SameSite::Strict,
        shared: false,
    };

    #[test]
    fn prefixes_promise_what_the_attributes_keep() {
        let cookies = |url: &str, domain: Option<&str>| {
            Cookies::new(&url.parse().unwrap(), domain.map(str::to_owned))
        };
        let set = |cookies: Cookies, cookie: &Cookie<'_>| {
            cookies.set(cookie, "v", Duration::from_secs(9)).to_string()
        };
        assert_eq!(
            set(cookies("https://a.example", None), &SESSION),
            "__Host-app_session=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=9"
        );
        assert_eq!(
            set(cookies("https://a.b.example", Some("b.example")), &SESSION),
            "__Secure-app_session=v; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=b.example; Max-Age=9"
        );
        assert_eq!(
            set(cookies("https://a.b.example", Some("b.example")), &REFRESH),
            "__Secure-app_rt=v; HttpOnly; SameSite=Strict; Secure; Path=/auth/refresh; Max-Age=9"
        );
        assert_eq!(
            set(cookies("http://localhost:8082", None), &SESSION),
            "app_session=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=9"
        );
    }
}
