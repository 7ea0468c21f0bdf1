//! The user's own audit trail.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, When, html_with, place_in_words};
use crate::authority::Authority;
use crate::domain::event::EventKind;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::request::{Csrf, query_params, signed_in};
use crate::ops::lists::{self, PageRequest, client_names};
use crate::services::catalogue::Texts;
use crate::store::EventFilter;

/// The number of events on a page.
const SHOWN: u32 = 50;

/// The kinds that a user can look for.
const FILTERS: &[EventKind] = &[
    EventKind::BrowserSessionStarted,
    EventKind::SignInRefused,
    EventKind::FactorRefused,
    EventKind::BrowserSessionEnded,
    EventKind::FamilyStarted,
    EventKind::FamilyEnded,
    EventKind::FamilyReuse,
    EventKind::PasswordChanged,
    EventKind::PasswordReset,
    EventKind::PasskeyAdded,
    EventKind::TotpAdded,
];

#[derive(Template)]
#[template(path = "activity.html")]
struct Page<'a> {
    frame: Frame,
    filters: Vec<(&'static str, String)>,
    filter: &'a str,
    events: Vec<Line>,
    older: Option<String>,
}

struct Line {
    what: String,
    app: String,
    at: When,
    place: String,
}

/// `GET /account/activity`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let current_user = signed_in(&authority, &request, "/account/activity").await?;
    let query = query_params(&request)?;
    let page = PageRequest { cursor: query.get("cursor")?, limit: SHOWN };
    let kind =
        query.get("kind")?.and_then(EventKind::from_stored).filter(|kind| FILTERS.contains(kind));
    let only = EventFilter {
        user: Some(current_user.user.id),
        kind: kind.map(|kind| kind.as_str().to_owned()),
        ..EventFilter::default()
    };
    let found = lists::events(&authority, &only, page).await?;
    let ids = found.items.iter().filter_map(|event| event.client_id.as_deref());
    let names = client_names(&authority, ids).await?;
    let csrf = Csrf::of(&authority, &request);
    let frame = Frame::new(&authority, &request, "activity-title", &csrf, Some(&current_user));
    let now = authority.now();
    let line = |event: crate::store::EventRow| Line {
        what: in_words(&frame.texts, &event.kind, event.count),
        app: event.client_id.and_then(|id| names.get(&id).cloned()).unwrap_or_default(),
        at: When::new(event.at, now, &frame.texts),
        place: place_in_words(&authority, &frame.texts, &event.ip, &event.user_agent),
    };
    let events = found.items.into_iter().map(line).collect();
    let all = std::iter::once(("", frame.t("activity-all")));
    let filters = FILTERS.iter().map(|kind| (kind.as_str(), frame.t(&kind.text())));
    let page = Page {
        filters: all.chain(filters).collect(),
        filter: kind.map(EventKind::as_str).unwrap_or_default(),
        events,
        older: found.next,
        frame,
    };
    Ok(html_with(&authority, &request, &csrf, StatusCode::OK, &page))
}

/// The sentence of an event's kind. A kind of a newer version has none, and is shown as it is stored.
fn in_words(texts: &Texts, kind: &str, count: i64) -> String {
    let words = match EventKind::from_stored(kind) {
        Some(kind) => texts.get(&kind.text()),
        None => texts.get1("event-unknown", "kind", kind),
    };
    if count > 1 {
        let times = Message::new("event-times").with("what", words).with("count", count);
        return texts.message(&times);
    }
    words
}
