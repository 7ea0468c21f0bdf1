//! A clock that several machines agree on: each counts on its own, and is set by the same reference.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::time::{Clock, Observed, SystemClock, Timestamp};

/// Differences up to this are adopted at once, in milliseconds.
const MAX_CORRECTION: i64 = 1_000;
/// Larger ones are steps: they must last this long before they are adopted, in milliseconds.
const CONFIRMED_AFTER: i64 = 60_000;

/// Milliseconds that have passed since some moment. It neither jumps nor goes back, whatever the machine's clock is set
/// to.
pub trait Uptime: Send + Sync + fmt::Debug {
    /// The milliseconds.
    fn millis(&self) -> i64;
}

/// The time since the machine started, time during which it slept included.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemUptime;

impl Uptime for SystemUptime {
    fn millis(&self) -> i64 {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }
}

/// A [`Clock`] that follows a reference: the database's clock, so that every replica judges by the same time.
///
/// Between two observations it counts the machine's uptime, so setting the machine's clock does not move it. A step of the
/// reference, as when a database server with another clock takes over, is adopted once it has lasted for a minute.
#[derive(Debug)]
pub struct SteadyClock {
    /// The machine's clock.
    machine: Arc<dyn Clock>,
    uptime: Arc<dyn Uptime>,
    /// The difference from the uptime.
    offset: AtomicI64,
    is_set: AtomicBool,
    step: Mutex<Option<Step>>,
}

/// A difference to the reference that has not lasted long enough yet.
#[derive(Debug, Clone, Copy)]
struct Step {
    by: i64,
    since: i64,
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemUptime))
    }
}

impl SteadyClock {
    /// A clock that starts with the machine's time. The first observation sets it.
    pub fn new(machine: Arc<dyn Clock>, uptime: Arc<dyn Uptime>) -> Self {
        let offset = machine.now().millis() - uptime.millis();
        Self {
            machine,
            uptime,
            offset: AtomicI64::new(offset),
            is_set: AtomicBool::new(false),
            step: Mutex::new(None),
        }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.uptime.millis() + self.offset.load(Ordering::Relaxed))
    }

    fn observe(&self, reference: Option<Timestamp>) -> Observed {
        let reference = reference.unwrap_or_else(|| self.machine.now());
        let by = reference.millis() - self.now().millis();
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_set.swap(true, Ordering::Relaxed) {
            self.offset.fetch_add(by, Ordering::Relaxed);
            return Observed::Agrees;
        }
        if by.abs() <= MAX_CORRECTION {
            *step = None;
            // Half of it, because an observation is never exact.
            self.offset.fetch_add(by / 2, Ordering::Relaxed);
            return Observed::Agrees;
        }
        let now = self.uptime.millis();
        match *step {
            Some(seen) if (seen.by - by).abs() <= MAX_CORRECTION => {
                if now - seen.since < CONFIRMED_AFTER {
                    return Observed::Differs(by);
                }
                *step = None;
                self.offset.fetch_add(by, Ordering::Relaxed);
                Observed::Stepped(by)
            }
            _ => {
                *step = Some(Step { by, since: now });
                Observed::Differs(by)
            }
        }
    }

    fn machine_is_ahead_by(&self) -> i64 {
        self.machine.now().millis() - self.now().millis()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::MovableClock;

    /// Counts when it is told to.
    #[derive(Debug, Default)]
    struct Counted(AtomicI64);

    impl Uptime for Counted {
        fn millis(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn pass(uptime: &Counted, millis: i64) {
        uptime.0.fetch_add(millis, Ordering::SeqCst);
    }

    fn observe(clock: &SteadyClock, reference: i64) -> Observed {
        clock.observe(Some(Timestamp::from_millis(reference)))
    }

    fn clock() -> (SteadyClock, MovableClock, Arc<Counted>) {
        let (machine, uptime) = (MovableClock::default(), Arc::new(Counted::default()));
        (SteadyClock::new(Arc::new(machine.clone()), uptime.clone()), machine, uptime)
    }

    #[test]
    fn the_machine_cannot_move_it() {
        let (clock, machine, uptime) = clock();
        observe(&clock, 1_000_000);
        machine.advance(Duration::from_hours(1));
        pass(&uptime, 500);
        assert_eq!(clock.now().millis(), 1_000_500);
        assert!(clock.machine_is_ahead_by() > 3_000_000);
    }

    #[test]
    fn small_differences_are_followed_at_once() {
        let (clock, _, _) = clock();
        observe(&clock, 1_000_000);
        assert_eq!(observe(&clock, 1_000_800), Observed::Agrees);
        assert_eq!(clock.now().millis(), 1_000_400);
        assert_eq!(observe(&clock, 1_000_000), Observed::Agrees);
        assert_eq!(clock.now().millis(), 1_000_200);
    }

    #[test]
    fn a_step_is_adopted_once_it_has_lasted_a_minute() {
        let (clock, _, uptime) = clock();
        observe(&clock, 0);
        let hour = 3_600_000;
        assert_eq!(observe(&clock, hour), Observed::Differs(hour));
        pass(&uptime, 59_000);
        assert_eq!(observe(&clock, hour + 59_000), Observed::Differs(hour));
        assert_eq!(clock.now().millis(), 59_000, "not yet");
        pass(&uptime, 1_000);
        assert_eq!(observe(&clock, hour + 60_000), Observed::Stepped(hour));
        assert_eq!(clock.now().millis(), hour + 60_000);
        assert_eq!(observe(&clock, hour + 60_000), Observed::Agrees);
    }

    #[test]
    fn a_step_that_is_taken_back_in_time_changes_nothing() {
        let (clock, _, uptime) = clock();
        observe(&clock, 0);
        assert_eq!(observe(&clock, 3_600_000), Observed::Differs(3_600_000));
        pass(&uptime, 30_000);
        assert_eq!(observe(&clock, 30_000), Observed::Agrees);
        pass(&uptime, 40_000);
        assert_eq!(observe(&clock, 3_670_000), Observed::Differs(3_600_000), "it counts anew");
        assert_eq!(clock.now().millis(), 70_000);
    }

    #[test]
    fn without_another_reference_it_follows_its_machine() {
        let (clock, machine, uptime) = clock();
        clock.observe(None);
        machine.advance(Duration::from_hours(1));
        assert_eq!(clock.observe(None), Observed::Differs(3_600_000));
        pass(&uptime, 60_000);
        machine.advance(Duration::from_mins(1));
        assert_eq!(clock.observe(None), Observed::Stepped(3_600_000));
        assert_eq!(clock.now(), machine.now());
    }
}
