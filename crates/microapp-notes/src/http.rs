//! The routes of the API. A handler's signature names the scope it requires; the token is checked before it runs.

use std::time::Duration;

use actix_cors::Cors;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use bytes::Bytes;
use foundation::origin::PublicUrl;
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use service::http::{no_other_method, problem};
use service::run;
use tokens::{Denied, Guard, ProtectedResource, Reject, RequiredScope, Scoped};
use tokio::sync::broadcast::error::RecvError;
use tracing::error;
use uuid::Uuid;

use crate::Api;
use crate::store::{Change, Note, WriteOutcome};

/// The longest note, in characters.
const MAX_TEXT_CHARS: usize = 10_000;
/// The largest request body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The largest page of notes, and the default.
const MAX_PAGE: u16 = 100;
/// The interval of comments on an idle event stream, which keep proxies from closing it.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The scope `notes:read`.
pub(crate) struct NotesRead;
/// The scope `notes:write`.
pub(crate) struct NotesWrite;

impl RequiredScope for NotesRead {
    const SCOPE: &'static str = "notes:read";
}

impl RequiredScope for NotesWrite {
    const SCOPE: &'static str = "notes:write";
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/notes")
                .route(web::get().to(list))
                .route(web::post().to(add))
                .default_service(no_other_method("GET, POST")),
        )
        .service(
            web::resource("/notes/stream")
                .route(web::get().to(changes))
                .default_service(no_other_method("GET")),
        )
        .service(
            web::resource("/notes/{id}")
                .route(web::get().to(read))
                .route(web::put().to(replace))
                .route(web::delete().to(remove))
                .default_service(no_other_method("GET, PUT, DELETE")),
        )
        .service(
            web::resource("/readyz")
                .route(web::get().to(readyz))
                .default_service(no_other_method("GET")),
        )
        .default_service(web::to(not_found));
}

/// Cross-origin requests with credentials, allowed for exactly the listed origins.
pub(crate) fn cors(origins: &[PublicUrl]) -> Cors {
    let proof = HeaderName::from_static("dpop");
    let headers = [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, proof];
    let exposed = [header::DATE, header::ETAG, header::LOCATION, header::WWW_AUTHENTICATE];
    service::http::cors(origins, &headers, &exposed)
}

/// JSON bodies: `application/json` only (else 415), at most 64 KiB (413), well-formed and as declared (400).
pub(crate) fn json_config() -> web::JsonConfig {
    web::JsonConfig::default().limit(MAX_BODY_BYTES).error_handler(|error, _| {
        use actix_web::error::JsonPayloadError as Json;
        let (status, detail) = match &error {
            Json::ContentType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json".to_owned())
            }
            Json::Overflow { .. } | Json::OverflowKnownLength { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB".to_owned())
            }
            other => (StatusCode::BAD_REQUEST, other.to_string()),
        };
        actix_web::error::InternalError::from_response(error, problem(status, &detail)).into()
    })
}

/// The reason that a request fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no such note")]
    NotFound,
    #[error("the note was changed meanwhile: read it again")]
    VersionMismatch,
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Store(#[from] database::Error),
}

impl ResponseError for Error {
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::NotFound => problem(StatusCode::NOT_FOUND, &self.to_string()),
            Self::VersionMismatch => problem(StatusCode::PRECONDITION_FAILED, &self.to_string()),
            Self::Invalid(why) => problem(StatusCode::BAD_REQUEST, why),
            Self::Denied(denied) => denied.error_response(),
            Self::Store(cause) => {
                error!(%cause, "a database statement failed");
                if !cause.is_unavailable() {
                    return problem(StatusCode::INTERNAL_SERVER_ERROR, "something is wrong here");
                }
                let mut response = problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the notes cannot be reached right now",
                );
                response.headers_mut().insert(header::RETRY_AFTER, 1.into());
                response
            }
        }
    }
}

/// What the API says of itself (RFC 9728), to every page and program.
pub(crate) fn metadata_route(resource: &ProtectedResource) -> impl FnOnce(&mut web::ServiceConfig) {
    let (path, body) = (resource.path(), resource.to_json().to_string());
    let answer = move || {
        let response = HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header(("Cross-Origin-Resource-Policy", "cross-origin"))
            .content_type("application/json")
            .body(body.clone());
        std::future::ready(response)
    };
    move |config| {
        let resource = web::resource(path).route(web::get().to(answer));
        config.service(resource.default_service(no_other_method("GET")));
    }
}

type Response = Result<HttpResponse, Error>;

async fn readyz(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    let mut missing = Vec::new();
    if api.stop.is_stopping() {
        missing.push("stopping");
    }
    match request.app_data::<Guard>() {
        Some(guard) if guard.is_stale() => missing.push("news of ended sessions"),
        Some(guard) if guard.is_ready() => {}
        _ => missing.push("keys"),
    }
    if api.notes.ping().await.is_err() {
        missing.push("database");
    }
    run::readyz(&missing)
}

async fn not_found() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "there is nothing here")
}

/// The owner of the notes: the token's user. A service has no notes.
fn owner<S>(token: &Scoped<S>) -> Result<Uuid, Error> {
    let user = token.sub.user();
    user.ok_or(Error::Denied(Denied::InvalidToken(Reject::InvalidClaim("sub"))))
}

/// The body of a request that writes a note. Its name is part of the error text for a body that is not an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

impl Text {
    /// The text, if it is not blank, within the limit and without NUL, which PostgreSQL cannot store.
    fn checked_text(&self) -> Result<&str, Error> {
        if self.text.trim().is_empty() {
            return Err(Error::Invalid("a note needs some text"));
        }
        if self.text.chars().count() > MAX_TEXT_CHARS {
            return Err(Error::Invalid("a note has at most 10,000 characters"));
        }
        if self.text.contains('\0') {
            return Err(Error::Invalid("a note cannot contain NUL"));
        }
        Ok(&self.text)
    }
}

/// The query of a request for a page of notes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    /// The id of the note that the page continues after: `next` of the page before it.
    before: Option<Uuid>,
    /// From 1 to [`MAX_PAGE`]; other numbers are taken as the nearest of these.
    limit: Option<u16>,
}

/// A page of the user's notes, newest first. `next`, if not null, is the value of `before` for the next page.
async fn list(api: web::Data<Api>, token: Scoped<NotesRead>, request: HttpRequest) -> Response {
    let page = web::Query::<PageQuery>::from_query(request.query_string())
        .map_err(|_| Error::Invalid("only `before` (a note's id) and `limit` are understood"))?;
    let limit = page.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let notes = api.notes.list(owner(&token)?, page.before, i64::from(limit)).await?;
    let next =
        if notes.len() == usize::from(limit) { notes.last().map(|note| note.id) } else { None };
    Ok(HttpResponse::Ok().json(json!({ "notes": notes, "next": next })))
}

async fn add(api: web::Data<Api>, token: Scoped<NotesWrite>, body: web::Json<Text>) -> Response {
    let now = api.clock.now();
    let id = api.random.uuid_at(now);
    let note = api.notes.add(owner(&token)?, id, body.checked_text()?, now).await?;
    Ok(with_etag(
        HttpResponse::Created().insert_header((header::LOCATION, format!("/notes/{id}"))),
        &note,
    ))
}

async fn read(api: web::Data<Api>, token: Scoped<NotesRead>, id: web::Path<String>) -> Response {
    let note = api.notes.read(owner(&token)?, parse_id(&id)?).await?.ok_or(Error::NotFound)?;
    Ok(with_etag(&mut HttpResponse::Ok(), &note))
}

async fn replace(
    api: web::Data<Api>,
    token: Scoped<NotesWrite>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Json<Text>,
) -> Response {
    let expected = if_match(&request)?;
    let (user, id, now) = (owner(&token)?, parse_id(&id)?, api.clock.now());
    match api.notes.replace(user, id, body.checked_text()?, expected, now).await? {
        WriteOutcome::Done(note) => Ok(with_etag(&mut HttpResponse::Ok(), &note)),
        WriteOutcome::NotFound => Err(Error::NotFound),
        WriteOutcome::VersionMismatch => Err(Error::VersionMismatch),
    }
}

async fn remove(
    api: web::Data<Api>,
    token: Scoped<NotesWrite>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Response {
    let expected = if_match(&request)?;
    match api.notes.remove(owner(&token)?, parse_id(&id)?, expected).await? {
        WriteOutcome::Done(()) => Ok(HttpResponse::NoContent().finish()),
        WriteOutcome::NotFound => Err(Error::NotFound),
        WriteOutcome::VersionMismatch => Err(Error::VersionMismatch),
    }
}

fn parse_id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::NotFound)
}

/// The version that `If-Match` requires (RFC 9110 §13.1.1); `None` without the header or for `*`.
fn if_match(request: &HttpRequest) -> Result<Option<i64>, Error> {
    let Some(value) = request.headers().get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let version =
        version.and_then(|version| version.parse::<i64>().ok()).filter(|found| *found > 0);
    version.map(Some).ok_or(Error::VersionMismatch)
}

fn with_etag(response: &mut actix_web::HttpResponseBuilder, note: &Note) -> HttpResponse {
    response.insert_header((header::ETAG, format!("\"{}\"", note.version))).json(note)
}

/// Server-sent events, one for each change of the user's notes. The stream ends when the token expires, so that the
/// client reconnects with a new one, and when its session has ended.
async fn changes(api: web::Data<Api>, token: Scoped<NotesRead>, request: HttpRequest) -> Response {
    let guard = request.app_data::<Guard>().cloned().ok_or(Error::Denied(Denied::NotReady))?;
    let user = owner(&token)?;
    let remaining = u64::try_from(token.exp - api.clock.now().secs()).unwrap_or(0).max(1);
    let end: BoxFuture<'static, ()> = Box::pin(async move {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(remaining)) => {}
            () = guard.denied(&token) => {}
        }
    });
    let receiver = api.notes.changes();
    let stop = api.stop.clone();
    let events = stream::unfold((receiver, end, true), move |(mut receiver, mut end, first)| {
        let stop = stop.clone();
        async move {
            if first {
                // Tells the client that it is subscribed: it gets every change from now on.
                return Some((
                    Ok(Bytes::from_static(b"event: ready\ndata: {}\n\n")),
                    (receiver, end, false),
                ));
            }
            loop {
                let event = tokio::select! {
                    () = &mut end => return None,
                    () = stop.wait() => return None,
                    () = tokio::time::sleep(HEARTBEAT) => Some(": still here\n\n".to_owned()),
                    change = receiver.recv() => match change {
                        Ok(change) => event_for(&change, user),
                        Err(RecvError::Lagged(_)) => Some("event: reset\ndata: {}\n\n".to_owned()),
                        Err(RecvError::Closed) => return None,
                    },
                };
                if let Some(event) = event {
                    return Some((
                        Ok::<_, actix_web::Error>(Bytes::from(event)),
                        (receiver, end, false),
                    ));
                }
            }
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(Box::pin(events)))
}

/// The event for a change; `None` if the note belongs to another user.
fn event_for(change: &Change, user: Uuid) -> Option<String> {
    let data = json!({ "id": change.note });
    (change.user == user).then(|| format!("event: {}\ndata: {data}\n\n", change.kind))
}
