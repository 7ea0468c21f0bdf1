//! Middleware and helpers for every response: limits, security headers, cookies, CORS, problem details.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::cookie::Cookie;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, Route, web};
use metrics::{Counter, Histogram};
use serde_json::json;
use tracing::field::Empty;
use tracing::{Instrument as _, debug, info, info_span};

use foundation::origin::PublicUrl;
use foundation::random::{Random, SystemRandom};
use foundation::time::{Clock as _, SystemClock};

/// The largest total size of a request's header fields, in bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// The largest size of a request target, in bytes.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Paths polled by machines; their requests are logged at debug level.
const MACHINE_PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The security headers of one program's responses.
#[derive(Debug, Clone)]
pub struct Policy {
    csp: String,
    /// `csp` without nonces.
    csp_without_nonce: HeaderValue,
    /// True if the program is reached by https: responses then carry `Strict-Transport-Security`.
    https: bool,
    hsts_subdomains: bool,
}

impl Policy {
    /// With this Content-Security-Policy for responses that set none. `{nonce}` is replaced by the response's [`CspNonce`];
    /// sources `'nonce-{nonce}'` are left out of responses that have none.
    ///
    /// # Panics
    /// When the policy cannot stand in a header.
    pub fn new(csp: String, https: bool) -> Self {
        let csp_without_nonce = HeaderValue::try_from(csp.replace(" 'nonce-{nonce}'", ""));
        Self {
            csp,
            csp_without_nonce: csp_without_nonce.expect("the policy can stand in a header"),
            https,
            hsts_subdomains: false,
        }
    }

    /// Whether browsers are told to insist on https at every subdomain too.
    #[must_use]
    pub fn with_hsts_subdomains(self, hsts_subdomains: bool) -> Self {
        Self { hsts_subdomains, ..self }
    }

    fn csp(&self, nonce: Option<CspNonce>) -> HeaderValue {
        let with_nonce = nonce.and_then(|CspNonce(nonce)| {
            HeaderValue::try_from(self.csp.replace("{nonce}", &nonce)).ok()
        });
        with_nonce.unwrap_or_else(|| self.csp_without_nonce.clone())
    }
}

/// The id of one request: its `X-Request-Id` if that is well-formed, else a new UUID.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The nonce of one response, for the `nonce` attributes of its own scripts and styles.
#[derive(Debug, Clone)]
pub struct CspNonce(pub String);

impl RequestId {
    /// The id of a request that came through [`harden`].
    pub fn of(request: &HttpRequest) -> String {
        request.extensions().get::<Self>().map_or_else(String::new, |id| id.0.clone())
    }

    fn accept(headers: &HeaderMap) -> Self {
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        let well_formed = |id: &&str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=64).contains(&id.len()) && id.bytes().all(allowed)
        };
        let random: &dyn Random = &SystemRandom;
        Self(
            given
                .filter(well_formed)
                .map_or_else(|| random.uuid_at(SystemClock.now()).to_string(), str::to_owned),
        )
    }
}

impl CspNonce {
    /// The nonce of the response to this request. It is made when it is first asked for: most responses need none.
    pub fn of(request: &HttpRequest) -> String {
        if let Some(Self(nonce)) = request.extensions().get() {
            return nonce.clone();
        }
        let random: &dyn Random = &SystemRandom;
        let nonce = random.token();
        request.extensions_mut().insert(Self(nonce.clone()));
        nonce
    }
}

/// Middleware for every request: limits, request id, security headers, access log and metrics.
///
/// The log never contains the query, which may hold a delegation token.
pub async fn harden(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = SystemClock.now();
    let policy = request.app_data::<web::Data<Policy>>().cloned();
    let id = RequestId::accept(request.headers());
    request.extensions_mut().insert(id.clone());

    let method = request.method().clone();
    let path = request.path().to_owned();
    // The last three are recorded by handlers that know them.
    let span = info_span!(
        "request",
        id = %id.0,
        %method,
        path = path.as_str(),
        address = Empty,
        user = Empty,
        client = Empty
    );
    let mut response = match refusal(&request) {
        Some(refused) => request.into_response(refused).map_into_right_body(),
        None => match next.call(request).instrument(span.clone()).await {
            Ok(response) => response.map_into_left_body(),
            Err(error) => return Err(error),
        },
    };

    let status = response.status().as_u16();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    if let Some(policy) = policy {
        secure(&mut response, &policy);
    }

    let elapsed = SystemClock.now().since(started);
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    count(&method, route, status, elapsed);
    let ms = elapsed.as_millis();
    // Health checks and scrapes would fill the log.
    if MACHINE_PATHS.contains(&path.as_str()) {
        span.in_scope(|| debug!(status, ms, "answered"));
    } else {
        span.in_scope(|| info!(status, ms, "answered"));
    }
    Ok(response)
}

/// The response to a request that no program answers.
fn refusal(request: &ServiceRequest) -> Option<HttpResponse> {
    if let Some(status) = too_large(request) {
        return Some(problem(status, "the request's head is too large"));
    }
    // TRACE sends a request's headers back, credentials included (RFC 9110 §9.3.8).
    if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
        let mut refused = problem(StatusCode::METHOD_NOT_ALLOWED, "this method is never answered");
        let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        refused.headers_mut().insert(header::ALLOW, allowed);
        return Some(refused);
    }
    None
}

fn too_large(request: &ServiceRequest) -> Option<StatusCode> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if target > MAX_TARGET_BYTES {
        Some(StatusCode::URI_TOO_LONG)
    } else if headers > MAX_HEADER_BYTES {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        None
    }
}

/// The counters of the responses with one method and status on one route.
struct Meters {
    method: Method,
    status: u16,
    requests: Counter,
    seconds: Histogram,
}

/// Counts a response in the Prometheus metrics.
fn count(method: &Method, route: String, status: u16, elapsed: Duration) {
    thread_local! {
        /// Counters by route, because a look-up in the registry takes longer than counting.
        static METERS: RefCell<HashMap<String, Vec<Meters>>> = RefCell::default();
    }
    // A client that invents methods must not create time series.
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
    let name = if known.contains(method) { method.as_str() } else { "other" };
    METERS.with_borrow_mut(|meters| {
        if !meters.contains_key(&route) {
            meters.insert(route.clone(), Vec::new());
        }
        let Some(of_route) = meters.get_mut(&route) else { return };
        let known = |meters: &&Meters| meters.method.as_str() == name && meters.status == status;
        if let Some(meters) = of_route.iter().find(known) {
            meters.requests.increment(1);
            meters.seconds.record(elapsed.as_secs_f64());
            return;
        }
        let labels =
            [("method", name.to_owned()), ("route", route), ("status", status.to_string())];
        let meters = Meters {
            method: Method::from_bytes(name.as_bytes()).unwrap_or_default(),
            status,
            requests: metrics::counter!("http_requests_total", &labels),
            seconds: metrics::histogram!("http_request_duration_seconds", &labels[..2]),
        };
        meters.requests.increment(1);
        meters.seconds.record(elapsed.as_secs_f64());
        of_route.push(meters);
    });
}

/// Headers of every response that does not set them itself.
const DEFAULTS: [(HeaderName, HeaderValue); 7] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), browsing-topics=()"),
    ),
];

fn secure<B>(response: &mut ServiceResponse<B>, policy: &Policy) {
    if !response.headers().contains_key(header::CONTENT_SECURITY_POLICY) {
        let nonce = response.request().extensions().get::<CspNonce>().cloned();
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.csp(nonce));
    }
    let headers = response.headers_mut();
    for (name, value) in DEFAULTS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if policy.https {
        let value = HeaderValue::from_static(if policy.hsts_subdomains {
            "max-age=63072000; includeSubDomains"
        } else {
            "max-age=63072000"
        });
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

/// An error response as problem details (RFC 9457), for endpoints outside OAuth.
pub fn problem(status: StatusCode, detail: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/problem+json")
        .body(
            json!({
                "type": "about:blank",
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "detail": detail,
            })
            .to_string(),
        )
}

/// The answer to a method that an address does not have, with those that it has (RFC 9110 §15.5.6).
pub fn method_not_allowed(allow: &'static str) -> HttpResponse {
    let mut response =
        problem(StatusCode::METHOD_NOT_ALLOWED, "this address does not answer that method");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// A route for all methods that an address does not have.
pub fn no_other_method(allow: &'static str) -> Route {
    web::to(move || std::future::ready(method_not_allowed(allow)))
}

/// The values of all cookies with this name, in order.
///
/// Several mean that another host of the domain has set one.
pub fn cookies<'r>(headers: &'r HeaderMap, name: &'r str) -> impl Iterator<Item = &'r str> {
    all_cookies(headers).filter_map(move |(found, value)| (found == name).then_some(value))
}

/// Names and values of all cookies, in order.
pub fn all_cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// The value of the only cookie with this name; `None` if there is none **or several**, because a sibling site may
/// have planted one.
pub fn single_cookie<'r>(headers: &'r HeaderMap, name: &'r str) -> Option<&'r str> {
    let mut found = cookies(headers, name);
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

/// The response with these cookies set; a 500 if one of them cannot stand in a header.
pub fn with_cookies(
    mut response: HttpResponse,
    cookies: impl IntoIterator<Item = Cookie<'static>>,
) -> HttpResponse {
    for cookie in cookies {
        if let Err(error) = response.add_cookie(&cookie) {
            tracing::error!(name = cookie.name(), %error, "a cookie could not be set");
            return problem(StatusCode::INTERNAL_SERVER_ERROR, "a cookie could not be set");
        }
    }
    response
}

/// CORS rules that allow requests with credentials from exactly these origins.
pub fn cors(
    origins: &[PublicUrl],
    allowed_headers: &[HeaderName],
    exposed_headers: &[HeaderName],
) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers(allowed_headers)
        .expose_headers(exposed_headers)
        .supports_credentials()
        .max_age(600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_cannot_be_set_is_an_error() {
        let set = |value: &'static str| {
            with_cookies(HttpResponse::Ok().finish(), [Cookie::new("a", value)])
        };
        let response = set("1");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers().get(header::SET_COOKIE).unwrap(), "a=1");
        let response = set("1\n2");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.headers().get(header::SET_COOKIE).is_none());
    }
}
