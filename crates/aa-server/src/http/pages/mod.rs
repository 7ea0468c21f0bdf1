//! Pages for people. They work without JavaScript; a script makes some of them better.

pub mod account;
pub mod activity;
pub mod demo_mail;
pub mod device;
pub mod email;
pub mod factors;
pub mod launcher;
pub mod login;
pub mod mail_code;
pub mod password;
pub mod picture;
pub mod register;
pub mod security;
pub mod sessions;
pub mod strength;
pub mod verify;

use std::net::IpAddr;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, web};
use foundation::time::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use service::http::with_cookies;
use url::{Url, form_urlencoded};

use super::error::{Error, too_many_attempts};
use super::request::{Cookie, Csrf, CurrentUser, current_user};
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::domain::user_agent::UserAgent;
use crate::ops::account::AccountError;
use crate::ops::authentication::next::{Demand, Origin, Outcome, SignedIn, is_strong};
use crate::services::catalogue::Texts;
use crate::services::throttle::ThrottleError;

pub use super::render::{Frame, html_with, redirect};

/// The age of a sign-in up to which delicate things may be done without signing in again.
const RECENT: std::time::Duration = std::time::Duration::from_mins(15);

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
    response: HttpResponse,
    session_token: &SecretString,
) -> HttpResponse {
    let cookie = Cookie::BrowserSession.set(authority, session_token.expose_secret());
    with_cookies(response, [cookie])
}

/// The browser that a sign-in happens in, and where it leads to.
fn origin_of(
    authority: &Authority,
    request: &HttpRequest,
    return_to: &str,
    demand: Demand,
) -> Origin {
    Origin {
        browser_token: Cookie::Browser.read(authority, request),
        session_token: Cookie::BrowserSession.read(authority, request),
        binding: Csrf::of(authority, request).binding(),
        return_to: return_to.to_owned(),
        demand,
    }
}

/// Sets the cookies of a new sign-in, and leads on.
fn welcome(
    authority: &Authority,
    request: &HttpRequest,
    signed_in: &SignedIn,
    response: HttpResponse,
) -> HttpResponse {
    let response = with_session(authority, response, &signed_in.session_token);
    // The cookie of a known browser is set again: its life begins anew.
    let known = Cookie::Browser.read(authority, request);
    let new = signed_in.browser_token.as_ref().map(|token| token.expose_secret().to_owned());
    let token = new.or(known);
    with_cookies(response, token.map(|token| Cookie::Browser.set(authority, &token)))
}

/// Leads on from a step of a sign-in: to the next one, or to its goal.
fn lead_on(
    authority: &Authority,
    request: &HttpRequest,
    outcome: &Outcome,
    return_to: &str,
) -> HttpResponse {
    match outcome {
        Outcome::SignedIn(signed_in) => welcome(authority, request, signed_in, redirect(return_to)),
        Outcome::Verify(reference) => redirect(&format!("/login/verify?attempt={reference}")),
        Outcome::Enrol(reference) => redirect(&format!("/login/enrol?attempt={reference}")),
    }
}

/// Whether a user may do delicate things: they have signed in lately, with two factors if they have a second one.
async fn is_recent(authority: &Authority, current_user: &CurrentUser) -> Result<bool, Error> {
    let session = &current_user.browser_session;
    Ok(authority.now().since(session.auth_time) <= RECENT
        && is_strong(authority, &current_user.user, &session.amr).await?)
}

/// Demands of a user who does something delicate that they have signed in lately; else leads to the sign-in page, and from
/// there to this page.
async fn must_be_recent(
    authority: &Authority,
    current_user: &CurrentUser,
    page: &str,
) -> Result<(), Error> {
    if is_recent(authority, current_user).await? {
        return Ok(());
    }
    Err(Error::SignInAgain(page.to_owned()))
}

/// A mistake in a form: the field, or `""` for the form as a whole, and the text.
type Wrong = (&'static str, Message);

/// The mistake that an error tells of; the error itself if it is no mistake of the user's.
fn mistake(error: AccountError) -> Result<Wrong, Error> {
    match error {
        AccountError::Invalid(invalid) => {
            let field = match invalid {
                crate::domain::user::InvalidUser::Email => "email",
                crate::domain::user::InvalidUser::Name => "name",
                crate::domain::user::InvalidUser::TimeZone => "time_zone",
            };
            Ok((field, invalid.message()))
        }
        AccountError::WeakPassword(weak) => Ok(("password", weak.message())),
        AccountError::Picture(_) => Ok(("file", Message::new("wrong-picture"))),
        AccountError::EmailTaken => Ok(("email", Message::new("email-taken"))),
        AccountError::SameEmail => Ok(("email", Message::new("email-same"))),
        AccountError::WrongPassword => Ok(("current_password", Message::new("password-wrong"))),
        AccountError::SamePassword => Ok(("password", Message::new("password-same"))),
        AccountError::Throttle(ThrottleError::TooManyTries { retry_after }) => {
            Ok(("", too_many_attempts(retry_after)))
        }
        AccountError::Throttle(refused) => Err(refused.into()),
        AccountError::Closed => {
            Err(Error::refused(actix_web::http::StatusCode::FORBIDDEN, "error-registration-closed"))
        }
        AccountError::NoInvitation => {
            Err(Error::refused(actix_web::http::StatusCode::GONE, "error-invitation"))
        }
        AccountError::NoConfirmation => {
            Err(Error::refused(actix_web::http::StatusCode::GONE, "error-link-expired"))
        }
        AccountError::Ended => Err(Error::SignIn("/account".to_owned())),
        AccountError::Busy(_) => Err(Error::unavailable()),
        AccountError::Store(cause) => Err(cause.into()),
    }
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

/// The link to a page that leads on to the same place.
fn with_return_to(page: &str, return_to: &str) -> String {
    if return_to == "/apps" {
        return page.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", return_to)
        .finish();
    format!("{page}?{query}")
}

/// A browser in the reader's language: "Firefox on Linux".
fn agent_in_words(texts: &Texts, agent: &UserAgent) -> String {
    texts.message(&agent.message())
}

/// The place of an event: an address, with the browser, or with the word that an app's server or an operator was there.
fn place_in_words(authority: &Authority, texts: &Texts, ip: &str, user_agent: &str) -> String {
    if ip.parse::<IpAddr>().is_err() {
        return texts.get("place-operator");
    }
    let agent = UserAgent::of(user_agent);
    let id = if agent.is_browser() { "place-browser" } else { "place-server" };
    let ip = authority.countries.describe(ip, texts.language());
    texts.message(&Message::new(id).with("ip", ip).with("agent", agent_in_words(texts, &agent)))
}

/// A moment as a page shows it: machine-readable, exact, and in words.
#[derive(Debug)]
pub struct When {
    /// RFC 3339.
    pub exact: String,
    /// "31 January 2027, 14:05 CET (UTC+1)".
    pub full: String,
    /// "2 minutes ago".
    pub words: String,
}

impl When {
    /// This moment, as seen from `now`.
    pub fn new(then: Timestamp, now: Timestamp, texts: &Texts) -> Self {
        let seconds = now.since(then).as_secs();
        let (count, id) = match seconds {
            0..60 => (0, "time-now"),
            60..3_600 => (seconds / 60, "time-minutes"),
            3_600..86_400 => (seconds / 3_600, "time-hours"),
            _ => (seconds / 86_400, "time-days"),
        };
        let words = Message::new(id).with("count", i64::try_from(count).unwrap_or(i64::MAX));
        Self { exact: then.to_string(), full: texts.moment(then), words: texts.message(&words) }
    }
}

/// The header value of a JSON file to be saved.
fn attachment(name: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}
