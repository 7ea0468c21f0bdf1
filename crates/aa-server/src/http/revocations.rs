//! `GET /revocations`: the ends that can still matter to a token (contract §3), as JSON or as an event stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ETag, EntityTag, Header as _, HeaderValue, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use foundation::time::Timestamp;
use futures_util::future::BoxFuture;
use futures_util::stream;
use tokens::revocation::Revocations;
use tokio::sync::broadcast;
use tokio::time::{Interval, Sleep, interval, sleep};

use super::error::Error;
use super::oauth::client_of_basic;
use super::request::params::Params;
use super::request::query_params;
use crate::authority::Authority;
use crate::services::feed::{Frame, Position, Since, frames};

/// The longest interval at which a follower is told that there is nothing new, and the default.
const MAX_HEARTBEAT: u64 = 15;
/// The longest life of a stream, after which the follower authenticates again. A random part of it is taken off, so that
/// followers do not all come back at once.
const MAX_STREAM: Duration = Duration::from_mins(15);
/// Characters of the name by which followers of one client are told apart, at most.
const MAX_NAME: usize = 64;
/// Bytes of a piece, at most.
const MAX_PIECE: usize = 2048;
const CURRENT: &str = "event: current\ndata: {}\n\n";
const START_OVER: &str = "event: start_over\ndata: {}\n\n";

/// Answers a client that is not public.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let client = client_of_basic(&authority, &request).await?;
    if client.metadata.is_public() {
        return Err(Error::InvalidClient("public clients are not told of ends"));
    }
    let query = Query::read(&request, &query_params(&request)?)?;
    if !authority.feed.is_current(authority.now()) {
        return Err(Error::unavailable());
    }
    let client_id = client.metadata.client_id.clone();
    authority.feed.confirm(&client_id, &query.name, query.position, authority.now());
    if query.is_stream {
        return follow(authority, client_id, query);
    }
    let Since { start_over, entries, position } = authority.feed.since(query.position);
    let tag = EntityTag::new_strong(position.to_string());
    let known = query.position == Some(position) && !start_over && is_known(&request, &tag);
    let mut response =
        HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    response.insert_header((header::VARY, "Accept, Authorization"));
    response.insert_header(ETag(tag));
    if known {
        return Ok(response.finish());
    }
    let revocations = entries.iter().flat_map(|entry| entry.revocations.clone()).collect();
    Ok(response.json(Revocations { cursor: position.to_string(), start_over, revocations }))
}

fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// A request for the feed.
struct Query {
    is_stream: bool,
    /// The position to go on from. One that cannot be read counts as one that is not known any more.
    position: Option<Position>,
    heartbeat: Duration,
    name: String,
}

impl Query {
    fn read(request: &HttpRequest, params: &Params) -> Result<Self, Error> {
        let text = |name: header::HeaderName| {
            request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let accept = text(header::ACCEPT).unwrap_or_default();
        let is_stream =
            accept.split(',').any(|range| range.trim().starts_with("text/event-stream"));
        let last_event_id = text(header::HeaderName::from_static("last-event-id"));
        let position = match last_event_id.filter(|_| is_stream) {
            Some(id) => Some(id),
            None => params.get("after")?,
        };
        let unknown = Position { serial: i64::MAX, ended_at: Timestamp::from_millis(0) };
        let seconds = match params.get("heartbeat")? {
            Some(text) => text.parse().ok().filter(|seconds| (1..=MAX_HEARTBEAT).contains(seconds)),
            None => Some(MAX_HEARTBEAT),
        };
        let seconds =
            seconds.ok_or_else(|| Error::bad_request("heartbeat: 1 to 15 seconds are possible"))?;
        let name = params.get("follower")?.unwrap_or_default();
        if name.chars().count() > MAX_NAME || name.contains(char::is_control) {
            return Err(Error::bad_request("follower: a name of up to 64 characters is possible"));
        }
        Ok(Self {
            is_stream,
            position: position.map(|text| text.parse().unwrap_or(unknown)),
            heartbeat: Duration::from_secs(seconds),
            name: name.to_owned(),
        })
    }
}

/// The rest of a stream.
struct Stream {
    authority: web::Data<Authority>,
    client_id: String,
    name: String,
    /// What is sent before anything that is new.
    waiting: VecDeque<Bytes>,
    live: broadcast::Receiver<Frame>,
    heartbeat: Interval,
    life: Pin<Box<Sleep>>,
    stop: BoxFuture<'static, ()>,
    has_ended: bool,
}

impl Stream {
    /// The next piece; `None` ends the stream, and the follower connects anew.
    async fn next(&mut self) -> Option<Bytes> {
        if self.waiting.is_empty() && !self.has_ended {
            let bytes = self.more().await?;
            self.send(bytes);
        }
        self.waiting.pop_front()
    }

    /// Puts bytes at the end of what waits, in pieces that leave the buffer of a connection as small as it is.
    fn send(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(MAX_PIECE));
            self.waiting.push_back(piece);
        }
    }

    async fn more(&mut self) -> Option<Bytes> {
        tokio::select! {
            // Before a heartbeat, which says that there is nothing that was not sent.
            biased;
            () = &mut self.stop => None,
            () = &mut self.life => None,
            // A follower that is too slow is not waited for: it resumes where it was.
            frame = self.live.recv() => frame.ok().map(|frame| self.take(frame)),
            _ = self.heartbeat.tick() => self.say_current(),
        }
    }

    fn take(&mut self, frame: Frame) -> Bytes {
        // It may not follow any more, but is told why.
        self.has_ended = frame.ended_clients.contains(&self.client_id);
        frame.bytes
    }

    /// Ends the stream of a follower when this replica cannot say that there is nothing new: another may.
    fn say_current(&self) -> Option<Bytes> {
        let now = self.authority.now();
        if !self.authority.feed.is_current(now) {
            return None;
        }
        self.authority.feed.confirm(&self.client_id, &self.name, None, now);
        Some(Bytes::from_static(CURRENT.as_bytes()))
    }
}

fn follow(
    authority: web::Data<Authority>,
    client_id: String,
    query: Query,
) -> Result<HttpResponse, Error> {
    let Some((since, live)) = authority.feed.follow(query.position) else {
        return Err(Error::unavailable());
    };
    let [byte] = authority.random.bytes::<1>();
    let mut heartbeat = interval(query.heartbeat);
    heartbeat.reset();
    let stop = authority.stop.clone();
    let mut stream = Stream {
        client_id,
        name: query.name,
        waiting: VecDeque::new(),
        live,
        heartbeat,
        life: Box::pin(sleep(MAX_STREAM.mul_f64(1.0 - f64::from(byte) / 512.0))),
        stop: Box::pin(async move { stop.wait().await }),
        has_ended: false,
        authority,
    };
    if since.start_over {
        stream.send(Bytes::from_static(START_OVER.as_bytes()));
    }
    for frame in frames(&since.entries) {
        stream.send(frame.bytes);
    }
    // With the position, for a follower that begins when nothing has ended.
    stream.send(format!("id: {}\n{CURRENT}", since.position).into());
    let events = stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(bytes), stream))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would keep events back.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(Box::pin(events)))
}
