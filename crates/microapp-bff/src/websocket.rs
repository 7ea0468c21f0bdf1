//! WebSockets through the proxy (RFC 6455 §4): two streams of bytes, of which only the ends of frames are looked at.

use std::pin::Pin;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use service::http::problem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf};
use tokio::sync::oneshot;

use crate::Bff;
use crate::frames::{Frames, session_ended};
use crate::proxy::{answer_of, relay, request_to};
use crate::routes::Target;
use crate::session_end::StreamSession;

/// The most bytes that are read at once.
const READ: usize = 16 * 1024;

/// The API's side of an open WebSocket.
struct ApiSide {
    from_api: ReadHalf<reqwest::Upgraded>,
    frames: Frames,
    over: Pin<Box<dyn Future<Output = ()>>>,
    /// Dropped with this side, which stops the other direction.
    _open: oneshot::Sender<()>,
}

impl ApiSide {
    /// The next bytes for the browser. At the end of the session a close frame is the last of them, if the API is not in
    /// the middle of a frame.
    async fn next(mut self) -> std::io::Result<Option<(Bytes, Option<Self>)>> {
        let mut chunk = BytesMut::with_capacity(READ);
        tokio::select! {
            () = &mut self.over => {
                Ok(self.frames.is_between().then(|| (session_ended().into(), None)))
            }
            count = self.from_api.read_buf(&mut chunk) => {
                if count? == 0 {
                    return Ok(None);
                }
                self.frames.pass(&chunk);
                Ok(Some((chunk.freeze(), Some(self))))
            }
        }
    }
}

/// Passes a WebSocket through until one side closes it or the session ends.
pub(crate) async fn upgrade(
    bff: &Bff,
    request: &HttpRequest,
    mut payload: web::Payload,
    target: &Target<'_>,
    session: StreamSession,
) -> HttpResponse {
    let upstream = match request_to(bff, request, target, &session.token) {
        Ok(upstream) => upstream.header("connection", "upgrade").header("upgrade", "websocket"),
        Err(failed) => return failed.into(),
    };
    let answer = match answer_of(upstream, target.route.timeout).await {
        Ok(answer) if answer.status() == reqwest::StatusCode::SWITCHING_PROTOCOLS => answer,
        Ok(answer) => return relay(answer, session),
        Err(failed) => return failed.into(),
    };
    let mut response = HttpResponse::SwitchingProtocols();
    response.upgrade("websocket");
    for (name, value) in answer.headers() {
        if name.as_str().starts_with("sec-websocket-") {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    let Ok(upgraded) = answer.upgrade().await else {
        return problem(StatusCode::BAD_GATEWAY, "the API did not become a WebSocket");
    };
    let (from_api, mut to_api) = tokio::io::split(upgraded);
    let (open, mut closed) = oneshot::channel();
    actix_web::rt::spawn(async move {
        loop {
            tokio::select! {
                _ = &mut closed => break,
                chunk = payload.next() => match chunk {
                    Some(Ok(chunk)) if to_api.write_all(&chunk).await.is_ok() => {}
                    _ => break,
                }
            }
        }
        let _ = to_api.shutdown().await;
    });
    let over = Box::pin(session.over());
    let side = ApiSide { from_api, frames: Frames::default(), over, _open: open };
    let stream = futures_util::stream::try_unfold(Some(side), |side| async move {
        match side {
            Some(side) => side.next().await,
            None => Ok(None),
        }
    });
    response.streaming(stream)
}
