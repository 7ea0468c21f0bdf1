//! `/api/*`: to configured upstreams, with the application token attached. Bodies stream both ways, and WebSockets
//! are passed through.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use relying_party::TokenError;
use relying_party::signin::AccessToken;
use relying_party::web::Site;
use relying_party::web::auth::{no_token, not_signed_in, unavailable};
use relying_party::web::guard::is_websocket;
use secrecy::ExposeSecret as _;
use service::http::problem;
use service::run::detached;
use tracing::warn;

use crate::headers::{self, cache_control, is_forwarded, is_relayed};
use crate::routes::{RouteError, Target};
use crate::session_end::StreamSession;
use crate::websocket::upgrade;
use crate::{Bff, SESSION};

/// Chunks of a request body that wait for the upstream.
const CHUNKS_AHEAD: usize = 4;
/// The longest body that is not watched for the end of its session: it has arrived before that could be noticed.
const SHORT_BODY: u64 = 64 * 1024;

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
    site: web::Data<Site>,
    bff: web::Data<Bff>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    // The path as it was sent: what is decoded here might be decoded again there.
    let uri = request.uri();
    let target = match bff.routes.find(request.method(), uri.path(), uri.query()) {
        Ok(target) => target,
        Err(error) => return route_error(&error),
    };
    let Some(id) = site.cookies.read(&SESSION, &request) else { return not_signed_in() };
    let token_request = target.route.token_request.clone();
    let (shared, session, which) = (site.clone(), id.clone(), token_request.clone());
    let browser = site.browser(&request);
    let agent = browser.clone();
    // A refresh that has begun is finished, or its token might be lost.
    let token = detached(&site.runtime, async move {
        shared.party.access_token(&session, &which, &agent).await
    });
    let token = match token.await {
        Ok(token) => token,
        Err(error) => return no_token(&site, &SESSION, &error),
    };
    let of_stream = |token: &AccessToken| StreamSession {
        site: site.clone(),
        session_id: id.clone(),
        token_request: token_request.clone(),
        browser: browser.clone(),
        token: token.clone(),
    };
    if is_websocket(request.headers()) {
        let session = of_stream(&token);
        return upgrade(&bff, &request, payload, &target, session).await;
    }
    let bodiless = !has_body(&request);
    let body = if bodiless { None } else { Some(stream_of(payload)) };
    let answer = match send(&bff, &request, &target, &token, body).await {
        Ok(answer) => answer,
        Err(failed) => return failed.into(),
    };
    if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
        return relay(answer, of_stream(&token));
    }
    // The upstream does not take the token: perhaps the session has ended since, or keys were changed.
    let refused = of_stream(&token);
    let next: Result<AccessToken, TokenError> = detached(&site.runtime, async move {
        let StreamSession { site, session_id, token_request, browser, token } = refused;
        site.party.token_after_refusal(&session_id, &token_request, &browser, &token.token).await
    })
    .await;
    match next {
        Err(error) => no_token(&site, &SESSION, &error),
        Ok(token) if bodiless => match send(&bff, &request, &target, &token, None).await {
            Ok(answer) => relay(answer, of_stream(&token)),
            Err(failed) => failed.into(),
        },
        // The body is gone; the next try will have the fresh token.
        Ok(_) => unavailable(&"the upstream refused the token, and the body cannot be sent again"),
    }
}

fn route_error(error: &RouteError) -> HttpResponse {
    match error {
        RouteError::NotPlain => problem(StatusCode::BAD_REQUEST, "the path is not plain"),
        RouteError::Unknown => problem(StatusCode::NOT_FOUND, "there is no such API here"),
        RouteError::Method(allowed) => {
            let detail = "this API does not answer that method";
            let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, detail);
            if let Ok(allowed) = header::HeaderValue::from_str(allowed) {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
            response
        }
    }
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

/// Error of a request to an upstream.
pub(crate) enum Failed {
    /// Its method has no name that could be sent on.
    Method,
    /// The upstream cannot be reached.
    Unreachable,
    /// The upstream took too long.
    Late,
}

impl From<Failed> for HttpResponse {
    fn from(failed: Failed) -> Self {
        let (status, detail) = match failed {
            Failed::Method => (StatusCode::NOT_IMPLEMENTED, "unknown method"),
            Failed::Unreachable => (StatusCode::BAD_GATEWAY, "the API cannot be reached right now"),
            Failed::Late => (StatusCode::GATEWAY_TIMEOUT, "the API did not answer in time"),
        };
        problem(status, detail)
    }
}

/// The request as it goes to the upstream, without a body.
pub(crate) fn request_to(
    bff: &Bff,
    request: &HttpRequest,
    target: &Target<'_>,
    token: &AccessToken,
) -> Result<reqwest::RequestBuilder, Failed> {
    let method = request.method().as_str().as_bytes();
    let method = reqwest::Method::from_bytes(method).map_err(|_| Failed::Method)?;
    let mut upstream = bff.upstream.request(method, target.url.clone());
    for (name, value) in request.headers() {
        if is_forwarded(name, request.headers(), &target.route.forward_headers) {
            upstream = upstream.header(name.as_str(), value.as_bytes());
        }
    }
    Ok(upstream
        .header("x-request-id", service::http::RequestId::of(request))
        .bearer_auth(token.token.expose_secret()))
}

async fn send(
    bff: &Bff,
    request: &HttpRequest,
    target: &Target<'_>,
    token: &AccessToken,
    body: Option<reqwest::Body>,
) -> Result<reqwest::Response, Failed> {
    let mut upstream = request_to(bff, request, target, token)?;
    if let Some(body) = body {
        upstream = upstream.body(body);
    }
    answer_of(upstream, target.route.timeout).await
}

pub(crate) async fn answer_of(
    upstream: reqwest::RequestBuilder,
    time_limit: Duration,
) -> Result<reqwest::Response, Failed> {
    match tokio::time::timeout(time_limit, upstream.send()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            warn!(error = %error.without_url(), "an upstream could not be reached");
            Err(Failed::Unreachable)
        }
        Err(_) => Err(Failed::Late),
    }
}

/// The upstream's answer, as it comes. When the browser goes away or its session ends, the upstream call is dropped.
pub(crate) fn relay(answer: reqwest::Response, session: StreamSession) -> HttpResponse {
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
    let lines = |name: &str| {
        let values = answer.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap_or("no-store")).collect::<Vec<_>>().join(", ")
    };
    let cache_control = cache_control(&lines("cache-control"));
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, headers::value(&cache_control, "no-store")));
    response.insert_header((header::VARY, headers::value(&headers::vary(&lines("vary")), "*")));
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
        Some(length) if length <= SHORT_BODY => response.no_chunking(length).streaming(stream),
        Some(length) => {
            response.no_chunking(length).streaming(stream.take_until(Box::pin(session.over())))
        }
        None => response.streaming(stream.take_until(Box::pin(session.over()))),
    }
}
