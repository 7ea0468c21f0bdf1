//! Refusals at the endpoints that clients call, counted for the operator: a request only counts, and a job records.
//!
//! Anyone can be refused, so what is kept is bounded. Refusals of one client that are alike are one event for an
//! hour, with a count. A client has at most 20 kinds of them in that time, all clients together 1,000; what is more is counted
//! in one event for each client. Ids that no client has are logged alone, 20 a minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foundation::time::Timestamp;
use tracing::warn;

use crate::domain::caller::Caller;
use crate::domain::ids::EventId;

/// The time for which refusals that are alike are one event.
const ONE_EVENT: Duration = Duration::from_hours(1);
/// The time after which the count of an event is written again.
const WRITTEN_EVERY: Duration = Duration::from_mins(1);
/// Kinds of refusals of one client that are told apart.
const KINDS_OF_CLIENT: usize = 20;
/// Kinds of refusals of all clients that are told apart.
const KINDS: usize = 1000;
/// Log lines in a minute about requests that name no known client.
const LINES_OF_UNKNOWN: u32 = 20;
/// Characters of a reason or an identifier that are kept.
const MAX_TEXT: usize = 200;
/// The reason of the event that stands for what is not told apart.
const OTHER_REASONS: &str = "other reasons";

/// The client that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// No client has this id, or none is named.
    Unknown,
    /// A client has this id; that it is the caller is not certain.
    Registered,
    /// The caller is this client.
    Authenticated,
}

/// A refusal. Equal ones are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The client.
    pub client_id: String,
    /// The path of the endpoint.
    pub endpoint: String,
    /// The OAuth error code.
    pub error: &'static str,
    /// The exact reason.
    pub reason: String,
}

/// Refusals that are to be recorded.
#[derive(Debug, Clone)]
pub struct Due {
    /// Client, endpoint, error and reason, which are the same in all of them.
    pub refusal: Refusal,
    /// The number of refusals since the event was written last.
    pub count: i64,
    /// The event that stands for them, if there is one.
    pub event: Option<EventId>,
    /// Whether the caller of the last one was the client.
    pub authenticated: bool,
    /// The caller of the last one.
    pub caller: Caller,
}

#[derive(Debug)]
struct Counted {
    since: Timestamp,
    written_at: Option<Timestamp>,
    due: Due,
}

#[derive(Debug, Default)]
struct State {
    counted: HashMap<Refusal, Counted>,
    unknown: UnknownClients,
}

/// The log lines of this minute about clients that are not known.
#[derive(Debug, Default)]
struct UnknownClients {
    minute: i64,
    lines: u32,
    withheld: u64,
}

/// The refusals of the last hour.
#[derive(Debug, Default)]
pub struct Refusals {
    state: Mutex<State>,
    /// Held while what is due is recorded: two that do so at once would make two events of one.
    pub recording: tokio::sync::Mutex<()>,
}

impl Refusals {
    /// Counts a refusal, and logs it if it is the first of its kind.
    pub fn note(
        &self,
        mut refusal: Refusal,
        recognition: Recognition,
        caller: Caller,
        now: Timestamp,
    ) {
        metrics::counter!("aa_refusals_total", "error" => refusal.error).increment(1);
        refusal.client_id = shown(&refusal.client_id);
        refusal.reason = shown(&refusal.reason);
        let mut state = self.lock();
        if recognition == Recognition::Unknown {
            state.unknown.log(&refusal, &caller, now);
            return;
        }
        if state.counted.get(&refusal).is_some_and(|counted| counted.is_over(now)) {
            state.counted.remove(&refusal);
        }
        if !state.counted.contains_key(&refusal) {
            let kinds =
                state.counted.keys().filter(|known| known.client_id == refusal.client_id).count();
            if kinds >= KINDS_OF_CLIENT || state.counted.len() >= KINDS {
                refusal = Refusal {
                    endpoint: String::new(),
                    error: "",
                    reason: OTHER_REASONS.to_owned(),
                    ..refusal
                };
            }
        }
        let counted = state.counted.entry(refusal).or_insert_with_key(|refusal| {
            log(refusal, &caller);
            let refusal = refusal.clone();
            let due = Due {
                refusal,
                count: 0,
                event: None,
                authenticated: false,
                caller: Caller::default(),
            };
            Counted { since: now, written_at: None, due }
        });
        counted.due.count += 1;
        counted.due.authenticated = recognition == Recognition::Authenticated;
        counted.due.caller = caller;
    }

    /// The refusals that are to be recorded now: each new kind at once, more of a known one after a minute, or at once with `all`.
    pub fn due(&self, now: Timestamp, all: bool) -> Vec<Due> {
        let mut state = self.lock();
        state.counted.retain(|_, counted| !counted.is_over(now));
        let is_due = |counted: &&Counted| {
            let waited = counted.written_at.is_none_or(|at| now.since(at) >= WRITTEN_EVERY);
            counted.due.count > 0 && (all || waited)
        };
        state.counted.values().filter(is_due).map(|counted| counted.due.clone()).collect()
    }

    /// Takes off what was recorded as this event.
    pub fn recorded(&self, due: &Due, event: EventId, now: Timestamp) {
        let mut state = self.lock();
        let Some(counted) = state.counted.get_mut(&due.refusal) else { return };
        counted.due.count -= due.count;
        counted.due.event = Some(event);
        counted.written_at = Some(now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Whether the next one begins another event.
    fn is_over(&self, now: Timestamp) -> bool {
        self.due.count == 0 && now.since(self.since) >= ONE_EVENT
    }
}

impl UnknownClients {
    fn log(&mut self, refusal: &Refusal, caller: &Caller, now: Timestamp) {
        let minute = now.secs() / 60;
        if self.minute != minute {
            if self.withheld > 0 {
                warn!(target: "aa_server::refusals", more = self.withheld, "refused others that no client is known for");
            }
            *self = Self { minute, lines: 0, withheld: 0 };
        }
        if self.lines < LINES_OF_UNKNOWN {
            self.lines += 1;
            log(refusal, caller);
        } else {
            self.withheld += 1;
        }
    }
}

fn log(refusal: &Refusal, caller: &Caller) {
    let Refusal { client_id, endpoint, error, reason } = refusal;
    let (address, request) = (&caller.ip, &caller.request_id);
    warn!(target: "aa_server::refusals", client_id, endpoint, error, reason, address, request, "refused");
}

/// A text that an attacker may have chosen, as it is logged.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(client_id: &str, reason: &str) -> Refusal {
        let (client_id, reason) = (client_id.to_owned(), reason.to_owned());
        Refusal { client_id, endpoint: "/oauth/token".to_owned(), error: "invalid_grant", reason }
    }

    fn note(refusals: &Refusals, client_id: &str, reason: &str, now: Timestamp) {
        let recognition = Recognition::Registered;
        refusals.note(refusal(client_id, reason), recognition, Caller::default(), now);
    }

    fn record(refusals: &Refusals, now: Timestamp) -> Vec<(i64, bool)> {
        let due = refusals.due(now, false);
        for due in &due {
            let event = due.event.unwrap_or(uuid::Uuid::nil().into());
            refusals.recorded(due, event, now);
        }
        due.iter().map(|due| (due.count, due.event.is_some())).collect()
    }

    #[test]
    fn what_is_alike_is_one_event_for_an_hour_written_once_a_minute() {
        let refusals = Refusals::default();
        let at = |seconds: i64| Timestamp::from_millis(1_000_000 + seconds * 1000);
        note(&refusals, "app", "expired", at(0));
        assert_eq!(record(&refusals, at(1)), [(1, false)]);
        for _ in 0..1000 {
            note(&refusals, "app", "expired", at(2));
        }
        assert_eq!(record(&refusals, at(3)), []);
        assert_eq!(record(&refusals, at(61)), [(1000, true)]);
        assert_eq!(record(&refusals, at(3601)), [], "the hour is over");
        note(&refusals, "app", "expired", at(3602));
        assert_eq!(record(&refusals, at(3603)), [(1, false)], "another event");
    }

    #[test]
    fn a_client_has_some_kinds_and_the_rest_together() {
        let refusals = Refusals::default();
        let now = Timestamp::from_millis(0);
        for number in 0..10_000 {
            note(&refusals, "app", &format!("reason {number}"), now);
        }
        note(&refusals, "other", "expired", now);
        let due = refusals.due(now, false);
        assert_eq!(due.len(), KINDS_OF_CLIENT + 2);
        let rest = due.iter().find(|due| due.refusal.reason == OTHER_REASONS).unwrap();
        assert_eq!(rest.count, 10_000 - 20);
        assert!(due.iter().any(|due| due.refusal == refusal("other", "expired")));
        for client in 0..10_000 {
            for number in 0..2 {
                note(&refusals, &client.to_string(), &number.to_string(), now);
            }
        }
        assert!(refusals.due(now, false).len() <= KINDS + 10_000);
    }

    #[test]
    fn unknown_clients_make_no_event_and_few_lines() {
        let refusals = Refusals::default();
        for number in 0..1000 {
            let refusal = refusal(&number.to_string(), "unknown");
            let now = Timestamp::from_millis(0);
            refusals.note(refusal, Recognition::Unknown, Caller::default(), now);
        }
        assert!(refusals.due(Timestamp::from_millis(0), true).is_empty());
        let state = refusals.lock();
        assert_eq!((state.unknown.lines, state.unknown.withheld), (20, 980));
    }
}
