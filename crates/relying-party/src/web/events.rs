//! `GET /auth/events`: tells the tabs of a browser when their session has ended, and why.
//!
//! Server-sent events: `ready` at the beginning, `ended` with the reason as the last one, and `check` when the page has to
//! ask for a new token to find out.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use oidc_client::Browser;
use serde_json::json;
use service::http::with_cookies;
use service::run::detached;

use super::Site;
use super::auth::unavailable;
use super::cookies::Cookie;
use crate::TokenError;
use crate::signin::{Notice, Reason, SessionWatch};

/// The interval of comments, which keep proxies from closing the stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream that ends with the session.
struct Events {
    site: web::Data<Site>,
    watch: SessionWatch,
    /// The session in the store, and the browser for which a doubt is cleared; a page clears its own if there is none.
    asker: Option<(String, Browser)>,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Wait,
    Over,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Over => return None,
            Step::Begin => {
                self.step = Step::Wait;
                return Some(Bytes::from_static(b"event: ready\ndata: {}\n\n"));
            }
            Step::Wait => {}
        }
        loop {
            let stop = self.site.stop.clone();
            let notice = tokio::select! {
                () = stop.wait() => return None,
                notice = self.watch.next() => notice,
                () = tokio::time::sleep(HEARTBEAT) => return Some(Bytes::from_static(b": still here\n\n")),
            };
            match notice {
                Notice::Ended(reason) => {
                    self.step = Step::Over;
                    return Some(ended(reason.as_ref()));
                }
                Notice::InDoubt => match self.asker.clone() {
                    None => return Some(Bytes::from_static(b"event: check\ndata: {}\n\n")),
                    Some((id, browser)) => self.ask(id, browser).await,
                },
            }
        }
    }

    /// Asks the provider for a token, which ends a session that has ended there.
    async fn ask(&self, id: String, browser: Browser) {
        let shared = self.site.clone();
        let asked = detached(&self.site.runtime, async move {
            shared.party.any_access_token(&id, &browser).await
        });
        // An end is noticed by the watch; after a fault the next use of the session finds out.
        let _ = asked.await;
    }
}

/// The stream of an app that keeps its sessions in the store.
pub async fn of_store_session(
    site: &web::Data<Site>,
    request: &HttpRequest,
    cookie: &Cookie<'_>,
) -> HttpResponse {
    let Some(id) = site.cookies.read(cookie, request) else { return over(None) };
    let browser = site.browser(request);
    let (shared, asker) = (site.clone(), (id.clone(), browser.clone()));
    let session = id.clone();
    let token =
        detached(
            &site.runtime,
            async move { shared.party.any_access_token(&session, &browser).await },
        );
    match token.await {
        Ok(token) => respond(site, site.party.watch(&id, &token), Some(asker)),
        Err(TokenError::NoSession | TokenError::Ended) => {
            let reason = site.party.reason_of_end(&id);
            with_cookies(over(reason.as_ref()), [site.cookies.remove(cookie)])
        }
        Err(error) => unavailable(&error),
    }
}

/// The stream of a session that is watched. `asker` is the session in the store and its browser, if its tokens are there.
pub fn respond(
    site: &web::Data<Site>,
    watch: SessionWatch,
    asker: Option<(String, Browser)>,
) -> HttpResponse {
    let events = Events { site: site.clone(), watch, asker, step: Step::Begin };
    let pieces = stream::unfold(events, |mut events| async move {
        let piece = events.next().await?;
        Some((Ok::<_, actix_web::Error>(piece), events))
    });
    response().streaming(Box::pin(pieces))
}

/// The answer for a session that is over.
pub fn over(reason: Option<&Reason>) -> HttpResponse {
    response().body(ended(reason))
}

fn ended(reason: Option<&Reason>) -> Bytes {
    let data = json!({ "reason": reason.map(|reason| &**reason) });
    format!("event: ended\ndata: {data}\n\n").into()
}

fn response() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would keep events back.
        .insert_header(("X-Accel-Buffering", "no"));
    response
}
