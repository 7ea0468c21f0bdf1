//! Protection from other sites: `Origin`, `Sec-Fetch-Site`, and the header `X-CSRF: 1`, which only our
//! own scripts can send.

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use service::http::problem;

use super::Site;
use super::auth::BACK_CHANNEL_LOGOUT;

/// Routes that other sites lead browsers to; and the question of a proxy, which may be about such a visit.
const NAVIGATED_TO: [&str; 4] =
    ["/auth/login", "/auth/callback", "/auth/logout/callback", "/auth/verify"];

/// Middleware: a foreign or `null` origin is refused whatever else is right, and whatever changes something or
/// answers scripts has to be asked by ours, in JSON or without a body.
pub(super) async fn ours_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let refusal = request.app_data::<web::Data<Site>>().and_then(|site| refusal(site, &request));
    match refusal {
        Some((status, why)) => {
            let response = problem(status, why);
            Ok(request.into_response(response).map_into_right_body())
        }
        None => next.call(request).await.map(ServiceResponse::map_into_left_body),
    }
}

fn refusal(site: &Site, request: &ServiceRequest) -> Option<(StatusCode, &'static str)> {
    const FOREIGN: &str = "this comes from another site";
    // As the router reads it, percent-decoded: another spelling of a path has the same route, and the same guard.
    let path = request.match_info().as_str();
    if path == BACK_CHANNEL_LOGOUT {
        return None;
    }
    let is_api = path.starts_with("/api/");
    let is_auth = path.starts_with("/auth/");
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_api && !changes && !is_auth {
        return None;
    }
    let forbidden = |why| Some((StatusCode::FORBIDDEN, why));
    let headers = request.headers();
    let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    if has_foreign_origin(site, headers) {
        return forbidden(FOREIGN);
    }
    // An allowed `Origin` suffices; without one, `Sec-Fetch-Site`, if present, has to name this origin.
    let vouched = headers.contains_key(header::ORIGIN) || NAVIGATED_TO.contains(&path);
    if !vouched
        && header("sec-fetch-site").is_some_and(|from| from != b"same-origin" && from != b"none")
    {
        return forbidden(FOREIGN);
    }
    if site.program.csrf_header && (is_api || changes) {
        if is_websocket(headers) {
            // A browser cannot send the header here, but always sends the origin.
            if !headers.contains_key(header::ORIGIN) {
                return forbidden("the header `Origin` is missing");
            }
        } else if header("x-csrf") != Some(b"1") {
            return forbidden("the header `X-CSRF: 1` is missing");
        }
    }
    // A proxy that asks passes on the type of a body that it keeps.
    let is_asked_by_proxy = path == "/auth/verify";
    (is_auth && changes && !is_asked_by_proxy && !is_json(headers))
        .then_some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "only JSON is read here"))
}

/// Whether a body is JSON, or there is none that says what it is.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_TYPE).all(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    })
}

/// Whether an `Origin` is there that is none of ours.
pub fn has_foreign_origin(site: &Site, headers: &HeaderMap) -> bool {
    headers.get_all(header::ORIGIN).any(|origin| {
        !site.origins.iter().any(|allowed| origin.as_bytes() == allowed.as_str().as_bytes())
    })
}

/// Whether a request wants to become a WebSocket (RFC 6455 §4.1).
pub fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// Lets scripts of the allowed origins call, with credentials, and with the headers that go on to an API.
pub(super) fn cors(site: &Site) -> Cors {
    let named = [
        "dpop",
        "x-csrf",
        "x-csrf-token",
        "last-event-id",
        "idempotency-key",
        "prefer",
        "traceparent",
        "tracestate",
    ]
    .map(HeaderName::from_static);
    let usual = [
        header::CONTENT_TYPE,
        header::AUTHORIZATION,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::RANGE,
    ];
    let further = site.api_headers.iter().cloned();
    let allowed: Vec<HeaderName> = named.into_iter().chain(usual).chain(further).collect();
    let nonce = HeaderName::from_static("dpop-nonce");
    let exposed = [header::DATE, header::ETAG, header::LOCATION, header::RETRY_AFTER, nonce];
    service::http::cors(&site.origins, &allowed, &exposed)
}
