//! A model of clients, lost answers, retries, a thief, two replicas and crashes, explored in full.
//!
//! A refresh takes two steps at the server, as in `ops/refresh.rs`: the compare-and-set, and, when that changed
//! nothing, a look at the row and a verdict. Other requests may come between the two. Every order of everything is
//! tried, up to a bound, with the very rules that the server uses (`FamilyState::decide_refresh`).

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use aa_server::domain::family::{Decision, FamilyState};
use foundation::time::Timestamp;

const GRACE: u8 = 2;
const MAX_GENERATION: u32 = 5;
const MAX_TIME: u8 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Holder {
    Owner,
    Thief,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    from: Holder,
    generation: u32,
    /// Whether the compare-and-set has been tried, and changed nothing.
    missed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    generation: u32,
    rotated_at: u8,
    ended: bool,
    now: u8,
    owner: u32,
    thief: Option<u32>,
    under_way: Vec<Request>,
}

/// What may happen besides the owner's own requests.
#[derive(Debug, Clone, Copy)]
struct World {
    /// How many of the owner's requests may be under way at once (tabs without a lock).
    at_once: usize,
    /// Whether time passes.
    time: bool,
    /// Whether somebody copies the owner's token.
    thief: bool,
}

impl State {
    fn state(&self) -> FamilyState {
        let at = |time: u8| Timestamp::from_millis(i64::from(time) * 1000);
        FamilyState {
            generation: self.generation,
            rotated_at: at(self.rotated_at),
            code_expires_at: at(u8::MAX),
            idle_expires_at: at(u8::MAX),
            expires_at: at(u8::MAX),
            ended: self.ended,
        }
    }

    fn judge(&self, generation: u32) -> Decision {
        let now = Timestamp::from_millis(i64::from(self.now) * 1000);
        let grace = Duration::from_secs(u64::from(GRACE));
        self.state().decide_refresh(generation, now, grace)
    }

    /// An answer that arrives, and one that is lost.
    fn answered(&self, request: Request, token: u32) -> [Self; 2] {
        let mut arrived = self.clone();
        match request.from {
            Holder::Owner => arrived.owner = arrived.owner.max(token),
            Holder::Thief => arrived.thief = Some(token),
        }
        [arrived, self.clone()]
    }

    fn without(&self, index: usize) -> Self {
        let mut state = self.clone();
        state.under_way.remove(index);
        state
    }

    fn with(&self, request: Request) -> Self {
        let mut state = self.clone();
        state.under_way.push(request);
        state.under_way.sort_unstable();
        state
    }

    /// Every state that may come next.
    fn next(&self, world: World) -> Vec<Self> {
        let mut found = Vec::new();
        let owners = self.under_way.iter().filter(|request| request.from == Holder::Owner).count();
        if owners < world.at_once && self.generation < MAX_GENERATION {
            found.push(self.with(Request {
                from: Holder::Owner,
                generation: self.owner,
                missed: false,
            }));
        }
        if world.thief && self.thief.is_none() {
            found.push(Self { thief: Some(self.owner), ..self.clone() });
        }
        let thiefs = self.under_way.len() - owners;
        if let Some(generation) = self.thief
            && thiefs == 0
            && self.generation < MAX_GENERATION
        {
            found.push(self.with(Request { from: Holder::Thief, generation, missed: false }));
        }
        if world.time && self.now < MAX_TIME {
            found.push(Self { now: self.now + 1, ..self.clone() });
        }
        if !self.under_way.is_empty() {
            // A crash: what was under way is gone, what was committed stays.
            found.push(Self { under_way: Vec::new(), ..self.clone() });
        }
        for (index, request) in self.under_way.iter().copied().enumerate() {
            let rest = self.without(index);
            if !request.missed {
                if self.judge(request.generation) == Decision::Rotate {
                    let rotated =
                        Self { generation: self.generation + 1, rotated_at: self.now, ..rest };
                    found.extend(rotated.answered(request, rotated.generation));
                } else {
                    found.push(rest.with(Request { missed: true, ..request }));
                }
                continue;
            }
            match self.judge(request.generation) {
                Decision::Retry => {
                    assert_eq!(
                        request.generation + 1,
                        self.generation,
                        "only the immediate predecessor"
                    );
                    found.extend(rest.answered(request, self.generation));
                }
                Decision::Reuse => found.push(Self { ended: true, ..rest }),
                Decision::Rotate | Decision::Reject(_) => found.push(rest),
            }
        }
        found
    }

    fn holds(&self) {
        let verdicts: Vec<Decision> =
            (1..=self.generation + 1).map(|token| self.judge(token)).collect();
        let moving = verdicts.iter().filter(|verdict| **verdict == Decision::Rotate).count();
        assert_eq!(moving, usize::from(!self.ended), "one live token, or none: {self:?}");
        let again = verdicts.iter().filter(|verdict| **verdict == Decision::Retry).count();
        assert!(again <= 1, "{self:?}");
        assert!(
            self.owner <= self.generation
                && self.thief.is_none_or(|token| token <= self.generation)
        );
        // Whatever is older than the predecessor ends the family when it is presented.
        for token in 1..self.generation.saturating_sub(1) {
            assert!(self.ended || self.judge(token) == Decision::Reuse, "{self:?}");
        }
    }
}

/// Every state that can be reached.
fn explore(world: World) -> HashSet<State> {
    let start = State {
        generation: 1,
        rotated_at: 0,
        ended: false,
        now: 0,
        owner: 1,
        thief: None,
        under_way: Vec::new(),
    };
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        state.holds();
        for next in state.next(world) {
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    seen
}

#[test]
fn an_owner_who_retries_in_time_never_loses_the_family() {
    let states = explore(World { at_once: 1, time: false, thief: false });
    assert!(states.iter().any(|state| state.generation == MAX_GENERATION));
    assert!(states.iter().any(|state| state.owner + 1 == state.generation), "answers do get lost");
    assert!(states.iter().all(|state| !state.ended));
    // At rest, whatever was lost on the way, the owner's token leads on.
    for state in states.iter().filter(|state| state.under_way.is_empty()) {
        assert!(
            matches!(state.judge(state.owner), Decision::Rotate | Decision::Retry),
            "{state:?}"
        );
    }
}

#[test]
fn in_every_order_of_everything_one_token_lives() {
    let states = explore(World { at_once: 2, time: true, thief: true });
    assert!(states.len() > 10_000, "{}", states.len());
    assert!(states.iter().any(|state| state.ended));
}

#[test]
fn a_thief_and_an_owner_cannot_both_go_on() {
    // Once the thief has rotated the family on and that token was used, the owner's next request ends it.
    let states = explore(World { at_once: 1, time: true, thief: true });
    let overtaken = states.iter().filter(|state| {
        !state.ended
            && state.under_way.is_empty()
            && state.thief.is_some_and(|token| token == state.generation)
            && state.owner + 1 < state.generation
    });
    let mut count = 0;
    for state in overtaken {
        assert_eq!(state.judge(state.owner), Decision::Reuse, "{state:?}");
        count += 1;
    }
    assert!(count > 0);
}
