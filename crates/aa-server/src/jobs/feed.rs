//! Reads the log of ends for the feed of this replica: at once when something ended here or another replica says so, and
//! twice a second in any case, because a signal can be lost and a command of another process sends none.

use std::sync::Arc;
use std::time::Duration;

use foundation::time::Timestamp;
use tokens::revocation::{Revocation, Revoked};
use tracing::{debug, info, warn};

use crate::authority::Authority;
use crate::domain::event::EndKind;
use crate::services::feed::{Position, PublishedEnd};
use crate::store::{ENDS_CHANNEL, EndRecord, Result};

/// The interval at which confirmations are written down.
pub(super) const CONFIRM_INTERVAL: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The pause before the log is read again, for each follower: many ends at once then cost one event.
const PAUSE_PER_FOLLOWER: Duration = Duration::from_micros(10);
const MIN_PAUSE: Duration = Duration::from_millis(2);
const RETRY: Duration = Duration::from_secs(1);
/// Ends that are read at once.
const BATCH: u32 = 500;
/// Families in one revocation, at most.
const MAX_SIDS: usize = 500;
/// The time by which the clocks of replicas, or a clock before and after a failover, may differ. A token that was issued so
/// long after an end counts as issued before, where only the time of issue tells.
const CLOCK_MARGIN: i64 = 2;
/// Added to the life of tokens, for the same reason.
const LIFE_MARGIN: Duration = Duration::from_mins(1);
/// The interval at which the longest life of tokens is written down even if no client has changed.
const LIFE_INTERVAL: Duration = Duration::from_mins(1);

/// Reads until the task is dropped.
pub(super) async fn follow_log(authority: Arc<Authority>) {
    let mut signals = authority.store.db().signals(ENDS_CHANNEL);
    let mut reader = Reader::default();
    loop {
        if let Err(fault) = reader.read(&authority).await {
            warn!(%fault, "the log of ends cannot be read; followers are told nothing until it can");
            tokio::time::sleep(RETRY).await;
            continue;
        }
        let followers = u32::try_from(authority.feed.followers()).unwrap_or(u32::MAX);
        tokio::time::sleep((PAUSE_PER_FOLLOWER * followers).max(MIN_PAUSE)).await;
        tokio::select! {
            () = authority.store.next_end() => {}
            () = signals.next() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

/// Writes down which followers know of every end up to where.
pub(super) async fn store_confirmations(authority: Arc<Authority>) {
    let confirmations = authority.feed.take_confirmations();
    if let Err(fault) = authority.store.confirm_followers(&confirmations).await {
        debug!(%fault, "what followers have confirmed could not be written down; they confirm again");
    }
}

/// The place in the log, and the longest life of the tokens that an end may concern.
#[derive(Debug, Default)]
struct Reader {
    cursor: Option<i64>,
    life: Duration,
    /// The state of the clients that `life` was computed from, and when.
    clients: Option<(i64, Timestamp)>,
}

impl Reader {
    /// Publishes every end that there is by now.
    async fn read(&mut self, authority: &Authority) -> Result<()> {
        let began = authority.now();
        self.update_life(authority, began).await?;
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => authority.store.serial_before(began - self.life).await?,
        };
        let is_first = self.cursor.is_none();
        self.cursor = Some(cursor);
        loop {
            let ends = authority.store.ends_after(self.cursor.unwrap_or(cursor), BATCH).await?;
            let mut entries = Vec::with_capacity(ends.len());
            for end in &ends {
                entries.push(self.entry(authority, end).await?);
            }
            authority.feed.publish(entries);
            let Some(last) = ends.last() else { break };
            self.cursor = Some(last.serial);
            if ends.len() < BATCH as usize {
                break;
            }
        }
        authority.feed.has_read_all(began);
        if is_first {
            info!(ends = authority.feed.len(), "the feed of ended sessions is complete");
        }
        Ok(())
    }

    async fn update_life(&mut self, authority: &Authority, now: Timestamp) -> Result<()> {
        let version = authority.store.clients_version().await?;
        if let Some((known, at)) = self.clients
            && known == version
            && now.since(at) < LIFE_INTERVAL
        {
            return Ok(());
        }
        let mut longest = authority.config.ttls.default_at();
        let mut position = String::new();
        loop {
            let clients = authority.store.clients_after(&position, BATCH).await?;
            let lives = clients.iter().map(|client| authority.config.ttls.at(&client.metadata));
            longest = lives.fold(longest, Duration::max);
            let Some(last) = clients.last() else { break };
            position.clone_from(&last.metadata.client_id);
        }
        let seconds = i64::try_from(longest.as_secs() + 1).unwrap_or(i64::MAX);
        let seconds = authority.store.remember_token_life(seconds, now).await?;
        self.life = Duration::from_secs(seconds.unsigned_abs()) + LIFE_MARGIN;
        self.clients = Some((version, now));
        Ok(())
    }

    async fn entry(&self, authority: &Authority, end: &EndRecord) -> Result<PublishedEnd> {
        let families = authority.store.families_of_end(end, end.ended_at - self.life).await?;
        let sids: Vec<_> =
            families.into_iter().map(super::super::domain::ids::FamilyId::uuid).collect();
        let issued_before = end.ended_at.secs() + CLOCK_MARGIN;
        let of = match end.kind {
            EndKind::Family | EndKind::BrowserSession | EndKind::Browser => sids
                .chunks(MAX_SIDS)
                .map(|sids| Revoked::Families { sids: sids.to_vec() })
                .collect(),
            EndKind::User => {
                let user = end.user_id.map(super::super::domain::ids::UserId::uuid);
                user.map(|sub| Revoked::User { sub, epoch: end.user_epoch, except: sids })
                    .into_iter()
                    .collect()
            }
            EndKind::Client => end
                .client_id
                .clone()
                .map(|client_id| Revoked::Client { client_id, issued_before })
                .into_iter()
                .collect(),
            EndKind::Everything => vec![Revoked::Everything { issued_before }],
        };
        let of: Vec<Revoked> = of;
        let until = end.ended_at + self.life;
        let revocation = |of| Revocation {
            of,
            reason: end.reason.as_str().to_owned(),
            ended_at: end.ended_at.secs(),
            until: until.secs() + 1,
        };
        Ok(PublishedEnd {
            position: Position { serial: end.serial, ended_at: end.ended_at },
            until,
            revocations: of.into_iter().map(revocation).collect(),
        })
    }
}
