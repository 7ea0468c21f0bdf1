//! Follows the ends that an authority publishes at `GET /revocations` (contract §3).

mod event_stream;
mod session_identity;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, warn};
use url::form_urlencoded;

pub use self::event_stream::{EventStream, StreamEvent, TooLarge};
pub use self::session_identity::SessionIdentity;
use crate::ended_set::EndedSet;
pub use crate::ended_set::KnownEnd;
use crate::fetch::is_safe;
use crate::revocation::Revocation;
use crate::{Claims, FetchError};

/// The interval at which the authority says that it has nothing new, unless a follower asks for a shorter one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The interval at which it tells the authority what it knows, if that is more than before.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(15);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const MAX_RETRY: Duration = Duration::from_secs(5);
/// The pause after the authority did not accept the credentials.
const REFUSED_RETRY: Duration = Duration::from_secs(30);
/// The interval at which ends that do not matter any more are removed.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
const MAX_EVENT_BYTES: usize = 4 << 20;
/// Ends that a subscriber may lag behind.
const SUBSCRIBER_CAPACITY: usize = 1024;

/// Where the feed is, and the credentials that read it.
#[derive(Clone)]
pub struct FeedSource {
    /// The base URL of the authority, as this process reaches it.
    pub authority: String,
    /// The client id of this API or backend.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
    /// The name of this process, by which an administrator tells followers of one client apart; may be empty.
    pub name: String,
}

impl std::fmt::Debug for FeedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedSource")
            .field("authority", &self.authority)
            .field("client_id", &self.client_id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A follower of an authority's ends, in the background. Clones share it; it ends with the last one.
///
/// A follower resumes where it was when its connection breaks, with pauses of up to five seconds in between, and starts over when
/// the authority does not know its position any more. What it knows of is never forgotten early.
#[derive(Debug, Clone)]
pub struct Follower(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: FeedSource,
    http: reqwest::Client,
    heartbeat: AtomicU64,
    heartbeat_changed: Notify,
    ended: EndedSet,
    now: fn() -> i64,
    began: Instant,
    /// Milliseconds since `began` of the last word, and 1 more; 0 before the first.
    last_word: AtomicU64,
    cursor: Mutex<Option<String>>,
    subscribers: broadcast::Sender<Arc<Revocation>>,
}

impl Follower {
    /// Starts to follow. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`FetchError::InsecureIssuer`] when the authority is http and not this machine, and `insecure_http` is not set;
    /// [`FetchError::Http`] when no HTTP client can be made.
    pub fn follow(source: FeedSource, insecure_http: bool) -> Result<Self, FetchError> {
        if !insecure_http && !is_safe(&source.authority) {
            return Err(FetchError::InsecureIssuer(source.authority));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let shared = Arc::new(Shared {
            source,
            http,
            heartbeat: AtomicU64::new(HEARTBEAT.as_secs()),
            heartbeat_changed: Notify::new(),
            ended: EndedSet::default(),
            now: crate::guard::system_time,
            began: instant(),
            last_word: AtomicU64::new(0),
            cursor: Mutex::new(None),
            subscribers: broadcast::Sender::new(SUBSCRIBER_CAPACITY),
        });
        tokio::spawn(follow(Arc::downgrade(&shared)));
        tokio::spawn(sweep(Arc::downgrade(&shared)));
        tokio::spawn(confirm(Arc::downgrade(&shared)));
        Ok(Self(shared))
    }

    /// Whether the session of an accepted token is known to have ended.
    pub fn has_ended(&self, claims: &Claims) -> bool {
        self.0.ended.contains(claims)
    }

    /// The end that concerns a session, if it is known. A backend asks this of sessions whose tokens it keeps.
    pub fn end_of(&self, session: &SessionIdentity) -> Option<KnownEnd> {
        self.0.ended.end_of(session)
    }

    /// The time since the authority last said that this follower knows of every end. `None` before it first did.
    pub fn age(&self) -> Option<Duration> {
        match self.0.last_word.load(Ordering::Acquire) {
            0 => None,
            at => Some(self.0.began.elapsed().saturating_sub(Duration::from_millis(at - 1))),
        }
    }

    /// Whether the last word of the authority is not older than this.
    pub fn is_fresh(&self, max_age: Duration) -> bool {
        self.age().is_some_and(|age| age <= max_age)
    }

    /// The number of ends that it keeps one by one.
    pub fn len(&self) -> usize {
        self.0.ended.len()
    }

    /// Whether it knows of no end that matters.
    pub fn is_empty(&self) -> bool {
        self.0.ended.is_empty()
    }

    /// The ends from now on. A subscriber that lags behind is told so by [`broadcast::error::RecvError::Lagged`], and has to
    /// ask [`Follower::has_ended`] about what it looks after.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Revocation>> {
        self.0.subscribers.subscribe()
    }

    /// Waits until the session of an accepted token has ended: for streams that outlast the check at their beginning.
    pub async fn ended(&self, claims: &Claims) {
        let mut ends = self.subscribe();
        loop {
            if self.has_ended(claims) {
                return;
            }
            if ends.recv().await == Err(broadcast::error::RecvError::Closed) {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Asks the authority to say more often that it has nothing new, so that `max_age` can be kept to.
    pub(crate) fn ask_for_word_within(&self, max_age: Duration) {
        let seconds = (max_age.as_secs() / 3).clamp(1, HEARTBEAT.as_secs());
        if self.0.heartbeat.fetch_min(seconds, Ordering::AcqRel) > seconds {
            self.0.heartbeat_changed.notify_one();
        }
    }
}

/// The reason that a connection to the feed ended.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the authority does not accept `{0}` and its secret")]
    Refused(String),
    #[error("the authority answered {0}")]
    Status(StatusCode),
    #[error("the authority was silent for too long")]
    Silent,
    #[error("the stream ended")]
    Ended,
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error("an event could not be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

#[derive(serde::Deserialize)]
struct Batch {
    revocations: Vec<Revocation>,
}

async fn follow(weak: Weak<Shared>) {
    let mut retry = FIRST_RETRY;
    loop {
        let Some(shared) = weak.upgrade() else { return };
        let connected = instant();
        let failure = match shared.connect().await {
            Ok(answer) => {
                let url = shared.source.authority.clone();
                drop(shared);
                let failure = read(&weak, answer).await;
                debug!(%failure, url, "the feed of ended sessions is connected anew");
                failure
            }
            Err(failure) => failure,
        };
        let Some(shared) = weak.upgrade() else { return };
        let had_word = shared.word_at().is_some_and(|at| at >= connected);
        if had_word {
            retry = FIRST_RETRY;
        }
        let url = &shared.source.authority;
        let pause = match &failure {
            FeedError::Refused(_) => {
                error!(%failure, url, "ended sessions cannot be followed");
                REFUSED_RETRY
            }
            FeedError::Ended if had_word => Duration::ZERO,
            _ => {
                warn!(%failure, url, "ended sessions cannot be followed; trying again");
                retry
            }
        };
        drop(shared);
        retry = (retry * 2).min(MAX_RETRY);
        // Followers that lost one authority must not all come back in the same moment.
        tokio::time::sleep(pause + jitter(pause.max(FIRST_RETRY))).await;
    }
}

/// Reads a stream until it ends, fails or falls silent, or the last follower is dropped.
async fn read(weak: &Weak<Shared>, mut answer: reqwest::Response) -> FeedError {
    let mut stream = EventStream::new(MAX_EVENT_BYTES);
    loop {
        let Some(shared) = weak.upgrade() else { return FeedError::Ended };
        let chunk = tokio::select! {
            chunk = timeout(shared.patience(), answer.chunk()) => chunk,
            // The next connection asks for the heartbeat that is needed now.
            () = shared.heartbeat_changed.notified() => return FeedError::Ended,
        };
        let chunk = match chunk {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return FeedError::Ended,
            Ok(Err(error)) => return error.into(),
            Err(_) => return FeedError::Silent,
        };
        let taken = stream.read(&chunk).map_err(FeedError::from).and_then(|events| {
            events.into_iter().try_for_each(|event| shared.take(event).map_err(FeedError::from))
        });
        if let Err(failure) = taken {
            // A position that cannot be read from is given up, and with it nothing that is known.
            *shared.cursor.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return failure;
        }
    }
}

impl Shared {
    async fn connect(&self) -> Result<reqwest::Response, FeedError> {
        let heartbeat = self.heartbeat.load(Ordering::Acquire).to_string();
        let mut request =
            self.request().query(&[("heartbeat", heartbeat)]).header("accept", "text/event-stream");
        if let Some(cursor) = self.cursor() {
            request = request.header("last-event-id", cursor);
        }
        let answer = timeout(self.patience(), request.send()).await;
        let answer = answer.map_err(|_| FeedError::Silent)??;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(FeedError::Refused(self.source.client_id.clone()))
            }
            status => Err(FeedError::Status(status)),
        }
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let FeedSource { authority, client_id, client_secret, name } = &self.source;
        self.http
            .get(format!("{}/revocations", authority.trim_end_matches('/')))
            .query(&[("follower", name)])
            .basic_auth(form_encode(client_id), Some(form_encode(client_secret)))
    }

    fn cursor(&self) -> Option<String> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The longest silence of a connection that works.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.heartbeat.load(Ordering::Acquire)) * 2 + Duration::from_secs(2)
    }

    fn take(&self, event: StreamEvent) -> Result<(), serde_json::Error> {
        match event.event.as_str() {
            "revocations" => {
                let batch: Batch = serde_json::from_str(&event.data)?;
                self.ended.add(&batch.revocations);
                for revocation in batch.revocations {
                    // Without subscribers there is nothing to be told.
                    let _ = self.subscribers.send(Arc::new(revocation));
                }
            }
            "current" => {
                let at = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
                if self.last_word.swap(at + 1, Ordering::AcqRel) == 0 {
                    let url = &self.source.authority;
                    info!(url, ends = self.ended.len(), "ended sessions are followed");
                }
            }
            // What matters comes again after it, and what is known stays.
            "start_over" => debug!("the authority does not know the position in its feed any more"),
            _ => {}
        }
        if event.id.is_some() {
            *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = event.id;
        }
        Ok(())
    }

    fn word_at(&self) -> Option<Instant> {
        let at = self.last_word.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.began + Duration::from_millis(at))
    }
}

/// Tells the authority the position that was reached, if it is another than the last time. An administrator then sees
/// that an end is known here. Nothing else depends on it.
async fn confirm(shared: Weak<Shared>) {
    let mut confirmed = None;
    loop {
        tokio::time::sleep(CONFIRM_INTERVAL.mul_f64(0.75) + jitter(CONFIRM_INTERVAL / 4)).await;
        let Some(shared) = shared.upgrade() else { return };
        let Some(cursor) = shared.cursor().filter(|cursor| confirmed.as_ref() != Some(cursor))
        else {
            continue;
        };
        // What has ended since comes by the stream: only the answer's status is looked at.
        let request = shared.request().query(&[("after", &cursor)]).timeout(CONFIRM_TIMEOUT);
        match request.header("if-none-match", format!("\"{cursor}\"")).send().await {
            Ok(answer)
                if answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED =>
            {
                confirmed = Some(cursor);
            }
            Ok(answer) => debug!(status = %answer.status(), "the position was not confirmed"),
            Err(error) => debug!(%error, "the position was not confirmed"),
        }
    }
}

async fn sweep(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.ended.forget_old((shared.now)());
    }
}

/// Encodes a client id or secret for the `Authorization` header (RFC 6749 §2.3.1).
fn form_encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A random part of `most`.
fn jitter(most: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(0);
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures the time since the last word; the time of no token depends on it"
)]
fn instant() -> Instant {
    Instant::now()
}
