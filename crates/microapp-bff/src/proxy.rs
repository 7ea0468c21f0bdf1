//! `/api/*`: to configured upstreams, with the application token attached. Bodies stream both ways.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use relying_party::TokenError;
use relying_party::signin::AccessToken;
use secrecy::ExposeSecret as _;
use serde_json::json;
use service::http::problem;
use service::run::detached;
use tracing::warn;

use crate::auth::{session_expired, unavailable};
use crate::{App, base_url, session_id};

/// How long an upstream may take to begin its answer. The answer itself may take as long as it likes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Chunks of a request body that wait for the upstream.
const CHUNKS_AHEAD: usize = 4;

/// What is proxied where.
#[derive(Debug, Clone)]
pub struct Route {
    prefix: String,
    upstream: String,
}

impl Route {
    /// Requests to `prefix` and below go to `upstream` and below.
    ///
    /// # Errors
    /// A text when one of them is not usable.
    pub fn new(prefix: &str, upstream: &str) -> Result<Self, String> {
        let prefix = prefix.trim_end_matches('/');
        if !prefix.starts_with("/api/") {
            return Err(format!("`{prefix}` does not begin with /api/"));
        }
        Ok(Self { prefix: prefix.to_owned(), upstream: base_url(upstream)? })
    }

    /// The upstream's URL for a path, if the path is one of this route's.
    fn target(&self, path: &str, query: &str) -> Option<String> {
        let rest = path.strip_prefix(&self.prefix)?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        Some(format!("{}{rest}{query}", self.upstream))
    }
}

/// The client for upstreams: connections are reused, redirects are never followed with a token.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .pool_idle_timeout(Duration::from_mins(1))
        .build()
}

/// Forwards a request of a signed-in browser.
pub(crate) async fn forward(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    // The path as it was sent: what is decoded here might be decoded again there.
    let path = request.uri().path();
    if !is_plain(path) {
        return problem(StatusCode::BAD_REQUEST, "the path is not plain");
    }
    let query = request.uri().query().unwrap_or_default();
    let target = app.routes.iter().find_map(|route| route.target(path, query));
    let Some(target) = target else {
        return problem(StatusCode::NOT_FOUND, "there is no such API here");
    };
    let Some(id) = session_id(&app, &request) else {
        return HttpResponse::Unauthorized().json(json!({ "error": "not_signed_in" }));
    };
    let token = match fresh_token(&app, id.clone()).await {
        Ok(token) => token,
        Err(refused) => return no_token(&app, &refused),
    };
    let bodiless = !has_body(&request);
    let body = if bodiless { None } else { Some(stream_of(payload)) };
    let answer = match send(&app, &request, &target, &token, body).await {
        Ok(answer) => answer,
        Err(response) => return response,
    };
    if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
        return relay(answer);
    }
    // The upstream does not take the token: perhaps the session has ended since, or keys were changed.
    let shared = app.clone();
    let next =
        detached(&app.runtime, async move { shared.party.token_after_refusal(&id, &token).await });
    match next.await {
        Err(refused) => no_token(&app, &refused),
        Ok(token) if bodiless => match send(&app, &request, &target, &token, None).await {
            Ok(answer) => relay(answer),
            Err(response) => response,
        },
        // The body is gone; the next try will have the fresh token.
        Ok(_) => unavailable(&"the upstream refused the token, and the body cannot be sent again"),
    }
}

async fn fresh_token(app: &web::Data<App>, id: String) -> Result<AccessToken, TokenError> {
    let shared = app.clone();
    // A refresh that has begun is finished, or its token might be lost.
    detached(&app.runtime, async move { shared.party.access_token(&id).await }).await
}

fn no_token(app: &App, refused: &TokenError) -> HttpResponse {
    match refused {
        TokenError::NoSession | TokenError::Ended => session_expired(app, "session_expired"),
        TokenError::Unavailable(error) => unavailable(error),
    }
}

/// Whether no reader of a path could take it for another one.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let tricks = ["%2e", "%2f", "%5c", "%00", "%25", "\\", "//", ";", "%0d", "%0a"];
    !tricks.iter().any(|trick| lower.contains(trick))
        && !path.split('/').any(|segment| segment == "." || segment == "..")
}

fn has_body(request: &HttpRequest) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    request.headers().contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0")
}

/// The request's body as a stream that another thread may read. It waits when the upstream is slow.
fn stream_of(mut payload: web::Payload) -> reqwest::Body {
    let (sender, receiver) =
        tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(CHUNKS_AHEAD);
    actix_web::rt::spawn(async move {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| std::io::Error::other(error.to_string()));
            let broken = chunk.is_err();
            if sender.send(chunk).await.is_err() || broken {
                return;
            }
        }
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    reqwest::Body::wrap_stream(stream)
}

async fn send(
    app: &App,
    request: &HttpRequest,
    target: &str,
    token: &AccessToken,
    body: Option<reqwest::Body>,
) -> Result<reqwest::Response, HttpResponse> {
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes());
    let method = method.map_err(|_| problem(StatusCode::NOT_IMPLEMENTED, "unknown method"))?;
    let mut upstream = app.upstream.request(method, target);
    for (name, value) in request.headers() {
        if is_forwarded(name, request.headers()) {
            upstream = upstream.header(name.as_str(), value.as_bytes());
        }
    }
    upstream = upstream
        .header("x-request-id", service::http::RequestId::of(request))
        .bearer_auth(token.token.expose_secret());
    if let Some(body) = body {
        upstream = upstream.body(body);
    }
    match tokio::time::timeout(PATIENCE, upstream.send()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            warn!(error = %error.without_url(), "an upstream could not be reached");
            Err(problem(StatusCode::BAD_GATEWAY, "the API cannot be reached right now"))
        }
        Err(_) => Err(problem(StatusCode::GATEWAY_TIMEOUT, "the API did not answer in time")),
    }
}

/// Headers that concern one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header of the browser's goes to the upstream. What speaks for the browser is said by us alone.
fn is_forwarded(name: &HeaderName, headers: &HeaderMap) -> bool {
    const OURS: [&str; 9] = [
        "authorization",
        "cookie",
        "forwarded",
        "host",
        "origin",
        "referer",
        "x-csrf",
        "x-real-ip",
        "x-request-id",
    ];
    let name = name.as_str();
    // Some servers read `X_Forwarded_For` as `X-Forwarded-For`.
    !name.contains('_')
        && !name.starts_with("x-forwarded-")
        && !name.starts_with("sec-fetch-")
        && !OURS.contains(&name)
        && !HOP_BY_HOP.contains(&name)
        && !is_named_by_connection(name, headers)
}

fn is_named_by_connection(name: &str, headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case(name))
}

/// Whether a header of the upstream's goes to the browser. Cookies, challenges and policies are our own.
fn is_relayed(name: &str, connection: &str) -> bool {
    const OURS: [&str; 9] = [
        "content-security-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "referrer-policy",
        "set-cookie",
        "strict-transport-security",
        "www-authenticate",
        "x-frame-options",
        "x-request-id",
    ];
    !OURS.contains(&name)
        && !HOP_BY_HOP.contains(&name)
        && !name.starts_with("access-control-")
        && !connection.split(',').any(|named| named.trim().eq_ignore_ascii_case(name))
}

/// The upstream's answer, as it comes. When the browser goes away, the upstream call is dropped.
fn relay(answer: reqwest::Response) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    if status == StatusCode::UNAUTHORIZED {
        return problem(StatusCode::BAD_GATEWAY, "the API does not accept this app's token");
    }
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return problem(StatusCode::BAD_GATEWAY, "the API wants to lead elsewhere");
    }
    let connection = answer
        .headers()
        .get("connection")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut response = HttpResponse::build(status);
    let mut length = None;
    for (name, value) in answer.headers() {
        if name == "content-length" {
            length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        } else if is_relayed(name.as_str(), &connection) {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    let stream = answer.bytes_stream().map(|chunk| {
        chunk.map_err(|error| actix_web::error::ErrorBadGateway(error.without_url().to_string()))
    });
    match length {
        Some(length) => response.no_chunking(length).streaming(stream),
        None => response.streaming(stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_their_route() {
        let route = Route::new("/api/notes", "http://notes:1/notes/").unwrap();
        assert_eq!(route.target("/api/notes", "").unwrap(), "http://notes:1/notes");
        assert_eq!(route.target("/api/notes/7", "a=b").unwrap(), "http://notes:1/notes/7?a=b");
        assert_eq!(route.target("/api/notesx", ""), None);
        assert_eq!(route.target("/api/other", ""), None);
        assert!(Route::new("/notes", "http://notes:1").is_err());
        assert!(Route::new("/api/notes", "ftp://notes").is_err());
    }

    #[test]
    fn tricky_paths_are_refused() {
        for path in [
            "/api/notes/../admin",
            "/api/notes/..",
            "/api/notes/%2e%2e/admin",
            "/api/notes/%2E%2e/admin",
            "/api/notes/..%2fadmin",
            "/api/notes//admin",
            "/api/notes/\\admin",
            "/api/notes/%5cadmin",
            "/api/notes/%252e",
            "/api/notes;x",
            "/api/notes/%00",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        assert!(is_plain("/api/notes/0190-a.b_c~d"));
    }

    #[test]
    fn only_harmless_headers_go_on() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("close, X-Drop"));
        let goes = |name: &'static str| is_forwarded(&HeaderName::from_static(name), &headers);
        for name in ["accept", "content-type", "if-match", "last-event-id"] {
            assert!(goes(name), "{name}");
        }
        for name in [
            "authorization",
            "cookie",
            "connection",
            "x-drop",
            "x-forwarded-for",
            "x_forwarded_for",
            "authorization_",
            "forwarded",
            "host",
            "te",
            "upgrade",
        ] {
            assert!(!goes(name), "{name}");
        }
        assert!(
            is_relayed("etag", "") && !is_relayed("set-cookie", "") && !is_relayed("x-a", "X-A")
        );
    }
}
