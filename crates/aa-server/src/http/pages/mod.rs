//! Pages for people. They work without JavaScript, and there is none in them.

pub mod account;
pub mod launcher;
pub mod login;
pub mod register;
pub mod sessions;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, web};
use foundation::time::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::error::Error;
use super::request::{Cookie, current_user};
use crate::authority::Authority;

pub use super::render::{Frame, html_with, redirect};

/// `GET /`.
pub async fn root(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let to = if current_user(&authority, &request).await?.is_some() { "/apps" } else { "/login" };
    Ok(redirect(to))
}

/// An answer that sets the session cookie.
pub fn with_session(
    authority: &Authority,
    mut response: HttpResponse,
    session_token: &SecretString,
) -> HttpResponse {
    let (name, value) = Cookie::BrowserSession.set(authority, session_token.expose_secret());
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().append(name, value);
    }
    response
}

/// The path to go to after signing in: one of ours, or the launcher.
///
/// *Checks* that it is short, starts with one slash, has no backslash, space or control character, and that
/// a browser that resolves it stays at this origin.
pub fn local_path(authority: &Authority, text: Option<&str>) -> String {
    let base = Url::parse(authority.config.public_url.as_str());
    let stays = |path: &&str| {
        let odd = |c: char| c == '\\' || c.is_control() || c.is_whitespace();
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= 6 * 1024
            && !path.contains(odd)
            && base.as_ref().is_ok_and(|base| {
                base.join(path).is_ok_and(|joined| joined.origin() == base.origin())
            })
    };
    text.filter(stays).unwrap_or("/apps").to_owned()
}

/// The time that has passed, in words.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// A moment as a page shows it: machine-readable, exact, and in words.
#[derive(Debug)]
pub struct When {
    /// RFC 3339.
    pub exact: String,
    /// "2 minutes ago".
    pub words: String,
}

impl When {
    /// This moment, as seen from `now`.
    pub fn new(then: Timestamp, now: Timestamp) -> Self {
        Self { exact: then.to_string(), words: ago(then, now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_words() {
        let at = |secs: i64| Timestamp::from_millis(secs * 1000);
        for (seconds, words) in [
            (5, "just now"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (90_000, "1 day ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(at(0), at(seconds)), words);
        }
        assert_eq!(ago(at(10), at(0)), "just now", "clocks may differ");
    }
}
