//! The feed of ends (contract §3): what can still matter of the log of ends, in memory, and the followers that are told.
//!
//! A job reads the log and publishes; every answer of `GET /revocations` comes from here. A new end is rendered once, for
//! all followers, and none of them is waited for: one that does not keep up is disconnected, and resumes where it was.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foundation::time::Timestamp;
use serde::Serialize;
use tokens::revocation::{Revocation, Revoked};
use tokio::sync::broadcast;

use crate::store::Confirmation;

/// The age of the last reading of the log from which on this replica does not say any more that it knows of every end.
const MAX_AGE: Duration = Duration::from_secs(3);
/// Frames that a follower may lag behind before it is disconnected.
const CAPACITY: usize = 256;
/// Ids in one frame, at most: some 40 kB.
const MAX_IDS_IN_FRAME: usize = 1000;
/// Followers of one replica, at most.
const MAX_FOLLOWERS: usize = 20_000;

/// A position in the log: the serial of an end, and its time, by which a position of another history of the database (a
/// restored backup) is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The serial.
    pub serial: i64,
    /// The time of the end.
    pub ended_at: Timestamp,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.serial, self.ended_at.millis())
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (serial, ended_at) = text.split_once('.').ok_or(())?;
        let number = |text: &str| match text.as_bytes() {
            [b'0'..=b'9', ..] => text.parse::<i64>().map_err(|_| ()),
            _ => Err(()),
        };
        Ok(Self { serial: number(serial)?, ended_at: Timestamp::from_millis(number(ended_at)?) })
    }
}

/// An end of the log as it is published. An end of many families is several revocations, and one of nothing that could
/// have a token is none.
#[derive(Debug)]
pub struct PublishedEnd {
    /// The position in the log.
    pub position: Position,
    /// The time from which it does not matter any more.
    pub until: Timestamp,
    /// The ends as they are sent.
    pub revocations: Vec<Revocation>,
}

/// A piece of an event stream, shared by all followers.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The event.
    pub bytes: Bytes,
    /// Clients that this frame tells the end of: they may not follow any more.
    pub ended_clients: Arc<[String]>,
}

/// The ends after a position.
#[derive(Debug)]
pub struct Since {
    /// The position is not known any more: these are all ends that can still matter.
    pub start_over: bool,
    /// The ends, oldest first.
    pub entries: Vec<Arc<PublishedEnd>>,
    /// The position after them.
    pub position: Position,
}

/// The feed of this replica.
#[derive(Debug)]
pub struct Feed {
    ring: Mutex<Ring>,
    live: broadcast::Sender<Frame>,
    confirmed: Mutex<HashMap<(String, String), Confirmation>>,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Arc<PublishedEnd>>,
    /// The position of the newest end that was read.
    newest: Position,
    /// The time of the last complete reading of the log.
    read_at: Option<Timestamp>,
}

impl Default for Feed {
    fn default() -> Self {
        let newest = Position { serial: 0, ended_at: Timestamp::from_millis(0) };
        Self {
            ring: Mutex::new(Ring { entries: VecDeque::new(), newest, read_at: None }),
            live: broadcast::Sender::new(CAPACITY),
            confirmed: Mutex::default(),
        }
    }
}

impl Feed {
    /// Publishes ends in the order of the log.
    pub fn publish(&self, entries: Vec<PublishedEnd>) {
        if entries.is_empty() {
            return;
        }
        let entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
        let frames = frames(&entries);
        let mut ring = self.ring();
        if let Some(last) = entries.last() {
            ring.newest = last.position;
        }
        ring.entries.extend(entries);
        // Under the lock, so that a follower that begins gets each end from the ring or from here, and not from both.
        for frame in frames {
            // Without followers there is nothing to be sent.
            let _ = self.live.send(frame);
        }
    }

    /// Notes that the log was read to its end at this time, and forgets what does not matter any more.
    pub fn has_read_all(&self, at: Timestamp) {
        let mut ring = self.ring();
        ring.read_at = Some(at);
        while ring.entries.front().is_some_and(|entry| entry.until < at) {
            ring.entries.pop_front();
        }
    }

    /// Whether every end that was committed a few seconds ago is known here.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.ring().read_at.is_some_and(|at| now.since(at) <= MAX_AGE)
    }

    /// The ends after a position, from the oldest if there is none.
    pub fn since(&self, position: Option<Position>) -> Since {
        self.ring().since(position)
    }

    /// The ends after a position, and those to come. `None` when there are too many followers.
    pub fn follow(
        &self,
        position: Option<Position>,
    ) -> Option<(Since, broadcast::Receiver<Frame>)> {
        let ring = self.ring();
        (self.followers() < MAX_FOLLOWERS).then(|| (ring.since(position), self.live.subscribe()))
    }

    /// The time of the first end after this serial, if it can still matter.
    pub fn first_after(&self, serial: i64) -> Option<Timestamp> {
        let ring = self.ring();
        let index = ring.entries.partition_point(|entry| entry.position.serial <= serial);
        ring.entries.get(index).map(|entry| entry.position.ended_at)
    }

    /// The number of followers that are connected.
    pub fn followers(&self) -> usize {
        self.live.receiver_count()
    }

    /// The number of ends that are kept.
    pub fn len(&self) -> usize {
        self.ring().entries.len()
    }

    /// Whether no end is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that a follower is there, and the position up to which it says that it knows of every end.
    pub fn confirm(&self, client_id: &str, name: &str, position: Option<Position>, now: Timestamp) {
        let newest = self.ring().newest;
        let serial =
            position.map(|position| position.serial).filter(|serial| *serial <= newest.serial);
        let key = (client_id.to_owned(), name.to_owned());
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = confirmed.len() >= MAX_FOLLOWERS;
        match confirmed.entry(key) {
            Entry::Occupied(mut known) => {
                let serial = serial.or(known.get().serial);
                known.insert(Confirmation { serial, seen_at: now });
            }
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(free) => {
                free.insert(Confirmation { serial, seen_at: now });
            }
        }
    }

    /// Takes the confirmations that have not been stored yet, by client and name.
    pub fn take_confirmations(&self) -> Vec<((String, String), Confirmation)> {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.drain().collect()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn since(&self, position: Option<Position>) -> Since {
        let (start_over, entries): (bool, Vec<_>) = match position {
            Some(position) if position == self.newest => (false, Vec::new()),
            Some(position) => match self.index_of(position) {
                Some(index) => (false, self.entries.range(index + 1..).cloned().collect()),
                None => (true, self.entries.iter().cloned().collect()),
            },
            None => (false, self.entries.iter().cloned().collect()),
        };
        Since { start_over, entries, position: self.newest }
    }

    fn index_of(&self, position: Position) -> Option<usize> {
        let index =
            self.entries.binary_search_by_key(&position.serial, |entry| entry.position.serial);
        index.ok().filter(|index| self.entries[*index].position == position)
    }
}

/// Renders ends as events; families that ended for the same reason are told of together.
///
/// Only the last event of an end has the position, so that a follower that breaks off in between is sent the whole end again.
pub fn frames(entries: &[Arc<PublishedEnd>]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut pending: Vec<Revocation> = Vec::new();
    let mut ids = 0;
    for (index, entry) in entries.iter().enumerate() {
        for revocation in &entry.revocations {
            let more = ids_in(revocation);
            if ids + more > MAX_IDS_IN_FRAME && !pending.is_empty() {
                // An end whose revocations are all in frames before this one has its position in the last of them.
                frames.push(frame(&std::mem::take(&mut pending), position_before(entries, index)));
                ids = 0;
            }
            ids += more;
            add(&mut pending, revocation);
        }
    }
    if let Some(last) = entries.last() {
        frames.push(frame(&pending, Some(last.position)));
    }
    frames
}

/// Adds an end to those of one event. What is told of together matters until the last of them does not any more.
fn add(pending: &mut Vec<Revocation>, more: &Revocation) {
    if let Some(last) = pending.last_mut()
        && last.reason == more.reason
        && let (Revoked::Families { sids }, Revoked::Families { sids: more_sids }) =
            (&mut last.of, &more.of)
    {
        sids.extend(more_sids);
        last.ended_at = last.ended_at.max(more.ended_at);
        last.until = last.until.max(more.until);
        return;
    }
    pending.push(more.clone());
}

fn position_before(entries: &[Arc<PublishedEnd>], index: usize) -> Option<Position> {
    index.checked_sub(1).map(|before| entries[before].position)
}

fn ids_in(revocation: &Revocation) -> usize {
    match &revocation.of {
        Revoked::Families { sids } => sids.len(),
        Revoked::User { except, .. } => 1 + except.len(),
        Revoked::Client { .. } | Revoked::Everything { .. } => 1,
    }
}

fn frame(revocations: &[Revocation], position: Option<Position>) -> Frame {
    #[derive(Serialize)]
    struct Batch<'a> {
        revocations: &'a [Revocation],
    }
    let data = serde_json::to_string(&Batch { revocations }).expect("revocations are JSON");
    let id = position.map(|position| format!("id: {position}\n")).unwrap_or_default();
    let ended_clients = revocations.iter().filter_map(|revocation| match &revocation.of {
        Revoked::Client { client_id, .. } => Some(client_id.clone()),
        _ => None,
    });
    Frame {
        bytes: format!("{id}event: revocations\ndata: {data}\n\n").into(),
        ended_clients: ended_clients.collect(),
    }
}

#[cfg(test)]
mod tests {
    use tokens::feed::EventStream;
    use uuid::Uuid;

    use super::*;

    fn position(serial: i64) -> Position {
        Position { serial, ended_at: Timestamp::from_millis(serial * 1000) }
    }

    fn entry(serial: i64, sids: u128) -> PublishedEnd {
        let of = Revoked::Families { sids: (0..sids).map(Uuid::from_u128).collect() };
        let (reason, ended_at) = ("signed_out".to_owned(), serial);
        let until = Timestamp::from_millis((serial + 60) * 1000);
        let revocation = Revocation { of, reason, ended_at, until: until.secs() };
        PublishedEnd { position: position(serial), until, revocations: vec![revocation] }
    }

    fn serials(since: &Since) -> (bool, Vec<i64>, i64) {
        let entries = since.entries.iter().map(|entry| entry.position.serial).collect();
        (since.start_over, entries, since.position.serial)
    }

    #[test]
    fn a_follower_resumes_where_it_was_or_starts_over() {
        let feed = Feed::default();
        assert_eq!(serials(&feed.since(None)), (false, vec![], 0));
        feed.publish((5..9).map(|serial| entry(serial, 1)).collect());
        assert_eq!(serials(&feed.since(None)), (false, vec![5, 6, 7, 8], 8));
        assert_eq!(serials(&feed.since(Some(position(6)))), (false, vec![7, 8], 8));
        assert_eq!(serials(&feed.since(Some(position(8)))), (false, vec![], 8));
        // One that was never here, one of the future, and one of another history of the database.
        let other = Position { serial: 6, ended_at: Timestamp::from_millis(1) };
        for unknown in [position(4), position(9), other] {
            assert_eq!(serials(&feed.since(Some(unknown))), (true, vec![5, 6, 7, 8], 8));
        }
        feed.has_read_all(Timestamp::from_millis(66_500));
        assert_eq!(serials(&feed.since(None)), (false, vec![7, 8], 8), "the others do not matter");
        feed.has_read_all(Timestamp::from_millis(100_000));
        assert!(feed.is_empty());
        assert_eq!(serials(&feed.since(Some(position(8)))), (false, vec![], 8));
    }

    #[test]
    fn only_a_replica_that_reads_the_log_is_current() {
        let feed = Feed::default();
        let at = Timestamp::from_millis(10_000);
        assert!(!feed.is_current(at));
        feed.has_read_all(at);
        assert!(feed.is_current(at + MAX_AGE));
        assert!(!feed.is_current(at + MAX_AGE + Duration::from_millis(1)));
    }

    #[test]
    fn a_follower_that_is_too_slow_is_not_waited_for() {
        let feed = Feed::default();
        let (_, mut slow) = feed.follow(None).unwrap();
        let (_, mut quick) = feed.follow(None).unwrap();
        for serial in 1..=i64::try_from(CAPACITY).unwrap() + 1 {
            feed.publish(vec![entry(serial, 1)]);
            quick.try_recv().unwrap();
        }
        assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
        assert_eq!(feed.since(Some(position(1))).entries.len(), CAPACITY, "it resumes");
    }

    #[test]
    fn positions_are_read_as_they_are_written() {
        assert_eq!(position(7).to_string(), "7.7000");
        assert_eq!("7.7000".parse(), Ok(position(7)));
        for text in ["", "7", "7.", ".7", "-7.1", "7.+1", "7.1.1", "99999999999999999999.1", "x.1"]
        {
            assert_eq!(text.parse::<Position>(), Err(()), "{text}");
        }
    }

    #[test]
    fn an_end_that_takes_several_frames_has_its_position_in_the_last() {
        let mut large = entry(6, 900);
        large.revocations.extend(entry(6, 900).revocations);
        let entries = [entry(5, 500), large, entry(7, 1), entry(8, 0)].map(Arc::new);
        let bytes: Vec<u8> =
            frames(&entries).iter().flat_map(|frame| frame.bytes.to_vec()).collect();
        let events = EventStream::new(1 << 20).read(&bytes).unwrap();
        let ids: Vec<_> = events.iter().map(|event| event.id.as_deref()).collect();
        assert_eq!(ids, [Some("5.5000"), Some("5.5000"), Some("8.8000")]);
        let sids: Vec<_> =
            events.iter().map(|event| event.data.matches("0000-").count() / 4).collect();
        assert_eq!(sids, [500, 900, 901]);
        assert!(events.iter().all(|event| event.data.matches("type").count() == 1), "one reason");
    }
}
