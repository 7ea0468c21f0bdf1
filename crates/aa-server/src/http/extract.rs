//! What handlers take from requests: who calls, who is signed in, and forms that are really ours.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::time::Timestamp;
use service::http::{RequestId, SetCookie, single_cookie};
use service::run::detached;

use super::error::Error;
use super::params::Params;
use crate::app::App;
use crate::domain::token::SecretHash;
use crate::ops::Caller;
use crate::store::{Identity, User};

/// The largest form, in bytes.
const MAX_FORM: usize = 64 * 1024;
/// How long a form may take to arrive.
const FORM_PATIENCE: Duration = Duration::from_secs(10);
/// How often the use of a sign-in is noted.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// The cookies of the authority's own pages.
#[derive(Debug, Clone, Copy)]
pub enum Cookie {
    /// The identity token.
    Identity,
    /// The device.
    Device,
    /// What CSRF tokens are made from.
    Csrf,
}

impl Cookie {
    /// The full name: `__Host-` when the public URL is https.
    pub fn name(self, app: &App) -> String {
        app.config.public_url.cookie_name(match self {
            Self::Identity => "aa_identity",
            Self::Device => "aa_device",
            Self::Csrf => "aa_csrf",
        })
    }

    /// Its value; `None` if there is none, several, or one that could not be ours.
    pub fn read(self, app: &App, request: &HttpRequest) -> Option<String> {
        let name = self.name(app);
        let value = single_cookie(request.headers(), &name)?;
        (value.len() <= 128).then(|| value.to_owned())
    }

    /// As a header that sets it.
    pub fn set(self, app: &App, value: &str) -> (header::HeaderName, String) {
        let max_age = match self {
            Self::Identity => Some(app.config.ttls.identity.as_secs()),
            // As long as browsers keep one.
            Self::Device => Some(400 * 24 * 3600),
            Self::Csrf => None,
        };
        self.header(app, value, max_age)
    }

    /// As a header that removes it.
    pub fn remove(self, app: &App) -> (header::HeaderName, String) {
        self.header(app, "", Some(0))
    }

    fn header(self, app: &App, value: &str, max_age: Option<u64>) -> (header::HeaderName, String) {
        let secure = app.config.public_url.is_https();
        // Lax, not Strict: people come from their apps' redirects.
        let name = self.name(app);
        SetCookie { name: &name, value, path: "/", domain: None, same_site: "Lax", max_age, secure }
            .header()
    }
}

/// Where a request comes from. Only trusted proxies are believed about it.
///
/// # Errors
/// 400 when a trusted proxy says something that is no address: better nobody than somebody else.
pub fn address(app: &App, request: &HttpRequest) -> Result<IpAddr, Error> {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let trusted = |ip: IpAddr| {
        app.config.trusted_proxies.iter().any(|network| network.contains(&ip.to_canonical()))
    };
    let mut address = peer.to_canonical();
    if !trusted(address) {
        return Ok(address);
    }
    let unreadable = || Error::bad_request("A proxy's X-Forwarded-For header cannot be read.");
    let values: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .map(|value| value.to_str().map_err(|_| unreadable()))
        .collect::<Result<_, _>>()?;
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        address = hop.trim().parse::<IpAddr>().map_err(|_| unreadable())?.to_canonical();
        if !trusted(address) {
            break;
        }
    }
    Ok(address)
}

/// Who calls.
///
/// # Errors
/// See [`address`].
pub fn caller(app: &App, request: &HttpRequest) -> Result<Caller, Error> {
    let user_agent = request
        .headers()
        .get(header::USER_AGENT)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(512).collect())
        .unwrap_or_default();
    Ok(Caller {
        ip: address(app, request)?.to_string(),
        user_agent,
        request_id: RequestId::of(request),
    })
}

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Person {
    /// Their sign-in.
    pub identity: Identity,
    /// Who they are.
    pub user: User,
    /// What is in the cookie.
    pub token: String,
}

/// Who is signed in in this browser, if anybody.
///
/// # Errors
/// What the database says.
pub async fn person(app: &web::Data<App>, request: &HttpRequest) -> Result<Option<Person>, Error> {
    let Some(token) = Cookie::Identity.read(app, request) else { return Ok(None) };
    let now = app.now();
    let hash = SecretHash::of(token.as_bytes());
    let Some(identity) = app.store.identity(&hash, now).await? else { return Ok(None) };
    let Some(user) = app.store.user(identity.user_id).await? else { return Ok(None) };
    if now.since(Timestamp::from_millis(identity.seen_at)) >= TOUCH_EVERY {
        let caller = caller(app, request)?;
        let idle = now + app.config.ttls.identity_idle;
        app.store.touch_identity(&identity, idle, caller.place(), now).await?;
    }
    Ok(Some(Person { identity, user, token }))
}

/// Who is signed in; else off to sign in, and back to this page.
///
/// # Errors
/// [`Error::SignIn`], and what the database says.
pub async fn signed_in(
    app: &web::Data<App>,
    request: &HttpRequest,
    page: &str,
) -> Result<Person, Error> {
    person(app, request).await?.ok_or_else(|| Error::SignIn(page.to_owned()))
}

/// A CSRF token: the HMAC of a random cookie, which only our own pages can tell.
#[derive(Debug)]
pub struct Csrf {
    /// For the hidden field `csrf`.
    pub field: String,
    cookie: String,
    is_new: bool,
}

impl Csrf {
    /// The one of this browser, or a new one.
    pub fn of(app: &App, request: &HttpRequest) -> Self {
        let known = Cookie::Csrf.read(app, request).filter(|value| value.len() == 43);
        let is_new = known.is_none();
        let cookie = known.unwrap_or_else(|| app.random.token());
        let tag = hmac::sign(&app.csrf_key, cookie.as_bytes());
        Self { field: URL_SAFE_NO_PAD.encode(tag), cookie, is_new }
    }

    /// The header that sets its cookie, if the browser has none.
    pub fn set_cookie(&self, app: &App) -> Option<(header::HeaderName, String)> {
        self.is_new.then(|| Cookie::Csrf.set(app, &self.cookie))
    }
}

/// The fields of a form of ours.
///
/// *Checks* the content type, the size, how long it takes, that a browser sent it from our own pages
/// (`Sec-Fetch-Site`, `Origin`), and the CSRF token.
///
/// # Errors
/// 415, 413, 408, 403 or 400, as a page.
pub async fn form(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Params, Error> {
    if !is_from_our_pages(app, request) {
        return Err(expired_form());
    }
    let params = body_params(request, payload).await?;
    check_form(app, request, &params)?;
    Ok(params)
}

/// Checks that fields are those of a form of ours: see [`form`], which reads them too.
///
/// # Errors
/// 403 or 400, as a page.
pub fn check_form(app: &App, request: &HttpRequest, params: &Params) -> Result<(), Error> {
    if !is_from_our_pages(app, request) {
        return Err(expired_form());
    }
    let cookie = Cookie::Csrf.read(app, request).ok_or_else(expired_form)?;
    let sent = params.get("csrf")?.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let sent = sent.ok_or_else(expired_form)?;
    hmac::verify(&app.csrf_key, cookie.as_bytes(), &sent).map_err(|_| expired_form())
}

fn expired_form() -> Error {
    Error::page(
        StatusCode::FORBIDDEN,
        "This form has expired",
        "It was not sent from one of our pages, or your browser was restarted meanwhile. \
         Please go back, load the page again, and send it once more.",
    )
}

/// Whether a browser says that a form comes from our own pages.
///
/// Pages that send no referrer make browsers write `Origin: null`; then `Sec-Fetch-Site`, which no page can
/// forge, has to say that it is ours. A client that sends neither is no browser, and has no cookies to abuse.
fn is_from_our_pages(app: &App, request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name).map(header::HeaderValue::as_bytes);
    let site = header(header::HeaderName::from_static("sec-fetch-site"));
    match (header(header::ORIGIN), site) {
        (Some(b"null"), site) => site == Some(b"same-origin"),
        (Some(origin), site) => {
            origin == app.config.public_url.as_str().as_bytes()
                && site.is_none_or(|site| site == b"same-origin")
        }
        (None, site) => site.is_none_or(|site| site == b"same-origin" || site == b"none"),
    }
}

/// The parameters of a form-encoded body.
///
/// # Errors
/// 415, 413, 408 or 400, as a page.
pub async fn body_params(request: &HttpRequest, payload: web::Payload) -> Result<Params, Error> {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = media_type.and_then(|value| value.split(';').next()).is_some_and(|value| {
        value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(Error::page(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "That did not work",
            "The body must be application/x-www-form-urlencoded.",
        ));
    }
    let arrived = tokio::time::timeout(FORM_PATIENCE, payload.to_bytes_limited(MAX_FORM)).await;
    let body = match arrived {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => return Err(Error::bad_request("The request broke off.")),
        Ok(Err(_)) => {
            return Err(Error::page(
                StatusCode::PAYLOAD_TOO_LARGE,
                "That was too much",
                "The body is larger than 64 KiB.",
            ));
        }
        Err(_) => {
            return Err(Error::page(
                StatusCode::REQUEST_TIMEOUT,
                "That took too long",
                "The body did not arrive in time.",
            ));
        }
    };
    Ok(Params::parse(&body)?)
}

/// The parameters of the query.
///
/// # Errors
/// 400, as a page.
pub fn query_params(request: &HttpRequest) -> Result<Params, Error> {
    Ok(Params::parse(request.query_string().as_bytes())?)
}

/// Whether a browser asks ahead of time, or without wanting a body: nothing may be made for that.
pub fn is_speculative(request: &HttpRequest) -> bool {
    let names = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    request.method() == actix_web::http::Method::HEAD
        || names.iter().any(|name| {
            request.headers().get(*name).and_then(|value| value.to_str().ok()).is_some_and(
                |value| {
                    value.to_ascii_lowercase().contains("prefetch")
                        || value.to_ascii_lowercase().contains("prerender")
                        || value.to_ascii_lowercase().contains("preview")
                },
            )
        })
}

/// Runs what changes something to its end, even if the client hangs up meanwhile.
pub async fn to_the_end<T, F>(app: &web::Data<App>, work: impl FnOnce(web::Data<App>) -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    detached(&app.runtime, work(app.clone())).await
}
