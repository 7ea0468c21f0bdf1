//! What handlers take from a request: the caller, cookies, the signed-in user, forms, parameters.

mod body;
mod caller;
mod cookies;
mod csrf;
mod language;
pub mod params;
mod session;
pub mod upload;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, web};

use crate::authority::Authority;

pub use body::{body_params, body_params_if_any, plain_body, query_params, require_json};
pub use caller::{address, caller, caller_for_client};
pub use cookies::Cookie;
pub use csrf::{Csrf, check_form, form, form_again};
pub use language::{chosen_language, language};
pub use session::{CurrentUser, current_user, signed_in};
pub use upload::upload;

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

/// Whether a browser asks for what a window or a frame will show. An image, a style or a script of another page is not
/// asked for by a user. Clients that do not tell (`Sec-Fetch-Dest`) are believed.
pub fn is_for_a_window(request: &HttpRequest) -> bool {
    let dest = request.headers().get("sec-fetch-dest").map(HeaderValue::as_bytes);
    dest.is_none_or(|dest| [&b"document"[..], b"iframe", b"frame"].contains(&dest))
}

/// Runs what changes something to its end, even if the client hangs up meanwhile.
pub async fn detached<T, F>(
    authority: &web::Data<Authority>,
    work: impl FnOnce(web::Data<Authority>) -> F,
) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    service::run::detached(&authority.runtime, work(authority.clone())).await
}
