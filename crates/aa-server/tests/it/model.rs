//! A model of one family: clients, lost answers, retries, a thief, replicas and crashes, checked in every order.
//!
//! A request takes the steps of `ops/grants`: the compare-and-set; if that changes nothing, the family is read; then the
//! row that was read is decided about. Steps of other requests may come in between. The decisions are those of the server
//! itself (`FamilyState`). When a property does not hold, the checker prints the steps that lead there.

use std::time::Duration;

use aa_server::domain::family::{Decision, FamilyState, Rejection};
use foundation::time::Timestamp;
use stateright::{Checker as _, Model, Property};

/// In seconds, as all times here.
const GRACE: u8 = 2;
/// When an unredeemed delegation token expires.
const CODE_EXPIRES_AT: u8 = 2;
/// Bounds of the state space.
const MAX_GENERATION: u32 = 4;
const MAX_TIME: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Holder {
    Owner,
    Thief,
}

/// The row of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    generation: u32,
    rotated_at: u8,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    /// The compare-and-set comes next.
    Sent,
    /// It has changed nothing: the family is read next.
    Missed,
    /// This row was read: it is decided about next.
    Read(Row),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    from: Holder,
    /// The generation of the token presented.
    token: u32,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    row: Row,
    now: u8,
    /// The generation of the newest token that the owner holds.
    owner: u32,
    /// The generation of the token that the thief holds.
    thief: Option<u32>,
    /// Requests under way, sorted.
    requests: Vec<Request>,
    /// The owner was refused although the family had been rotated within grace.
    refused_in_grace: bool,
    /// The family was rotated after it had ended.
    rotated_after_end: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    /// A holder sends its newest token.
    Send(Holder),
    /// The thief copies the owner's token.
    Steal,
    /// A second passes.
    Tick,
    /// Every replica crashes: requests are gone, and what was committed stays.
    Crash,
    /// The user signs out.
    SignOut,
    /// A request takes its next step. An answer that it gives arrives.
    Step(Request),
    /// A request takes its last step, and its answer is lost.
    StepAndLose(Request),
}

/// A world: what may happen besides the owner's requests, lost answers and crashes.
#[derive(Debug, Clone, Copy)]
struct World {
    /// The generation of the family at the start: 0 before the delegation token is redeemed.
    start: u32,
    /// Requests of the owner under way at once, at most. More than one: tabs without a lock.
    at_once: usize,
    thief: bool,
    sign_out: bool,
}

impl Row {
    fn decide(self, token: u32, now: u8) -> Decision {
        let at = |time: u8| Timestamp::from_millis(i64::from(time) * 1000);
        let family = FamilyState {
            generation: self.generation,
            rotated_at: at(self.rotated_at),
            code_expires_at: at(CODE_EXPIRES_AT),
            idle_expires_at: at(u8::MAX),
            expires_at: at(u8::MAX),
            ended: self.ended,
        };
        match token {
            0 => family.decide_redemption(at(now)),
            token => family.decide_refresh(token, at(now), Duration::from_secs(GRACE.into())),
        }
    }

    fn is_within_grace(self, now: u8) -> bool {
        now < self.rotated_at + GRACE
    }
}

impl State {
    fn decide(&self, token: u32) -> Decision {
        self.row.decide(token, self.now)
    }

    /// Decisions about every token that exists, and about one that is newer than the family.
    fn decisions(&self) -> impl Iterator<Item = Decision> {
        (0..=self.row.generation + 1).map(|token| self.decide(token))
    }

    fn under_way(&self, holder: Holder) -> usize {
        self.requests.iter().filter(|request| request.from == holder).count()
    }

    /// The outcome of a request's next step: a token that it gives, if any.
    fn step(&mut self, request: Request) -> Option<u32> {
        let index = self.requests.iter().position(|other| *other == request)?;
        self.requests.remove(index);
        let mut go_on = |stage| {
            self.requests.push(Request { stage, ..request });
            self.requests.sort_unstable();
        };
        match request.stage {
            Stage::Sent if self.row.decide(request.token, self.now) == Decision::Rotate => {
                self.rotated_after_end |= self.row.ended;
                self.row.generation += 1;
                self.row.rotated_at = self.now;
                return Some(self.row.generation);
            }
            Stage::Sent => go_on(Stage::Missed),
            Stage::Missed => go_on(Stage::Read(self.row)),
            Stage::Read(row) => match row.decide(request.token, self.now) {
                Decision::Retry => return Some(row.generation),
                refused => {
                    self.row.ended |= refused == Decision::Reuse;
                    self.refused_in_grace |=
                        request.from == Holder::Owner && row.is_within_grace(self.now);
                }
            },
        }
        None
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            row: Row { generation: self.start, rotated_at: 0, ended: false },
            now: 0,
            owner: self.start,
            thief: None,
            requests: Vec::new(),
            refused_in_grace: false,
            rotated_after_end: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_rotate = state.row.generation < MAX_GENERATION;
        if may_rotate && state.under_way(Holder::Owner) < self.at_once {
            actions.push(Action::Send(Holder::Owner));
        }
        if self.thief && state.thief.is_none() {
            actions.push(Action::Steal);
        }
        if may_rotate && state.thief.is_some() && state.under_way(Holder::Thief) == 0 {
            actions.push(Action::Send(Holder::Thief));
        }
        if state.now < MAX_TIME {
            actions.push(Action::Tick);
        }
        if !state.requests.is_empty() {
            actions.push(Action::Crash);
        }
        if self.sign_out && !state.row.ended {
            actions.push(Action::SignOut);
        }
        for request in &state.requests {
            actions.push(Action::Step(*request));
            if state.clone().step(*request).is_some() {
                actions.push(Action::StepAndLose(*request));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send(from) => {
                let token = match from {
                    Holder::Owner => state.owner,
                    Holder::Thief => state.thief?,
                };
                state.requests.push(Request { from, token, stage: Stage::Sent });
                state.requests.sort_unstable();
            }
            Action::Steal => state.thief = Some(state.owner),
            Action::Tick => state.now += 1,
            Action::Crash => state.requests.clear(),
            Action::SignOut => state.row.ended = true,
            Action::Step(request) => {
                if let Some(token) = state.step(request) {
                    match request.from {
                        Holder::Owner => state.owner = state.owner.max(token),
                        Holder::Thief => state.thief = Some(token),
                    }
                }
            }
            Action::StepAndLose(request) => {
                state.step(request)?;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("at most one token rotates the family", |_, state: &State| {
                state.decisions().filter(|decision| *decision == Decision::Rotate).count() <= 1
            }),
            Property::always(
                "a live, redeemed family has a token that rotates it",
                |_, state: &State| {
                    state.row.ended
                        || state.row.generation == 0
                        || state.decide(state.row.generation) == Decision::Rotate
                },
            ),
            Property::always(
                "only the immediate predecessor is answered again",
                |_, state: &State| {
                    (0..=state.row.generation + 1).all(|token| {
                        state.decide(token) != Decision::Retry || token + 1 == state.row.generation
                    })
                },
            ),
            Property::always("an end wins", |_, state: &State| {
                let ended = Decision::Reject(Rejection::Ended);
                !state.rotated_after_end
                    && (!state.row.ended || state.decisions().all(|decision| decision == ended))
            }),
            Property::always("a token that was used before ends the family", |_, state: &State| {
                let used = (0..state.row.generation).filter(|token| {
                    let is_predecessor = token + 1 == state.row.generation && *token > 0;
                    !is_predecessor || !state.row.is_within_grace(state.now)
                });
                state.row.ended
                    || used.map(|token| state.decide(token)).all(|d| d == Decision::Reuse)
            }),
            Property::always(
                "no client holds a token that was never issued",
                |_, state: &State| {
                    let newest = state.row.generation;
                    state.owner <= newest && state.thief.is_none_or(|token| token <= newest)
                },
            ),
            Property::sometimes("the family reaches the last generation", |_, state: &State| {
                state.row.generation == MAX_GENERATION
            }),
            Property::sometimes("an answer is lost", |_, state: &State| {
                state.requests.is_empty() && state.owner < state.row.generation
            }),
            Property::sometimes(
                "a token is used twice, and the family ends",
                |_, state: &State| state.row.ended && state.owner < state.row.generation,
            ),
        ];
        if self.start > 0 && self.at_once == 1 && !self.thief && !self.sign_out {
            properties.push(Property::always(
                "an owner who retries within grace is not refused",
                |_, state: &State| !state.refused_in_grace,
            ));
            properties.push(Property::always(
                "within grace, the owner's token gives the newest",
                |_, state: &State| {
                    let at_rest = state.requests.is_empty() && !state.row.ended;
                    !at_rest
                        || !state.row.is_within_grace(state.now)
                        || matches!(state.decide(state.owner), Decision::Rotate | Decision::Retry)
                },
            ));
        }
        if self.thief {
            properties.push(Property::always(
                "once a thief is two ahead, the owner's next request ends the family",
                |_, state: &State| {
                    state.row.ended
                        || state.thief.is_none_or(|thief| thief <= state.owner + 1)
                        || state.decide(state.owner) == Decision::Reuse
                },
            ));
            properties.push(Property::sometimes("a thief is two ahead", |_, state: &State| {
                !state.row.ended && state.thief.is_some_and(|thief| thief > state.owner + 1)
            }));
        }
        properties
    }
}

/// Checks every state that can be reached, and returns their number.
fn check(world: World) -> usize {
    let checked = world.checker().threads(2).spawn_bfs().join();
    checked.assert_properties();
    checked.unique_state_count()
}

#[test]
fn an_owner_who_retries_in_time_never_loses_the_family() {
    check(World { start: 1, at_once: 1, thief: false, sign_out: false });
}

#[test]
fn in_every_order_of_everything_one_token_lives() {
    let states = check(World { start: 1, at_once: 2, thief: true, sign_out: true });
    assert!(states > 10_000, "{states}");
}

#[test]
fn a_delegation_token_is_redeemed_once() {
    check(World { start: 0, at_once: 2, thief: true, sign_out: true });
}
