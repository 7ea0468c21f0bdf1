//! What keeps other sites out: the header `X-CSRF: 1`, which only our own scripts can send, and `Origin`.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use service::http::problem;

use crate::App;

/// Middleware: `/api/*` and everything that changes something needs `X-CSRF: 1`; a foreign or `null` origin is
/// refused whatever else is right.
pub(crate) async fn same_site_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let refusal = request.app_data::<web::Data<App>>().and_then(|app| refusal(app, &request));
    match refusal {
        Some(why) => {
            let response = problem(StatusCode::FORBIDDEN, why);
            Ok(request.into_response(response).map_into_right_body())
        }
        None => next.call(request).await.map(ServiceResponse::map_into_left_body),
    }
}

fn refusal(app: &App, request: &ServiceRequest) -> Option<&'static str> {
    let is_api = request.path().starts_with("/api/");
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_api && !changes {
        return None;
    }
    let mut origins = request.headers().get_all(header::ORIGIN);
    let ours = app.public_url.as_str().as_bytes();
    if origins.any(|origin| origin.as_bytes() != ours) {
        return Some("this comes from another site");
    }
    let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    if header("sec-fetch-site").is_some_and(|site| site != b"same-origin" && site != b"none") {
        return Some("this comes from another site");
    }
    (header("x-csrf") != Some(b"1")).then_some("the header `X-CSRF: 1` is missing")
}
