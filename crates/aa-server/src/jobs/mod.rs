//! Work that goes on beside requests: a list of jobs, each run again and again at its own interval.

mod clock;
mod ends;
mod feed;
mod gauges;
mod outbox;
mod refusals;
mod retention;
mod signing_keys;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::authority::Authority;

/// Starts every job in a task of its own. They end when the set is dropped.
pub fn start(authority: &Arc<Authority>) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(repeat(Arc::clone(authority), clock::INTERVAL, clock::run));
    jobs.spawn(repeat(Arc::clone(authority), gauges::INTERVAL, gauges::run));
    jobs.spawn(repeat(Arc::clone(authority), signing_keys::INTERVAL, signing_keys::run));
    jobs.spawn(repeat(Arc::clone(authority), retention::INTERVAL, retention::run));
    jobs.spawn(repeat(Arc::clone(authority), refusals::INTERVAL, refusals::run));
    jobs.spawn(repeat(Arc::clone(authority), outbox::INTERVAL, outbox::run));
    jobs.spawn(repeat(Arc::clone(authority), ends::INTERVAL, ends::run));
    jobs.spawn(repeat(Arc::clone(authority), feed::CONFIRM_INTERVAL, feed::store_confirmations));
    jobs.spawn(feed::follow_log(Arc::clone(authority)));
    jobs
}

/// Runs a job now and then after each interval. A job reports its own failures: the next run may succeed.
async fn repeat<F: Future<Output = ()>>(
    authority: Arc<Authority>,
    interval: Duration,
    job: impl Fn(Arc<Authority>) -> F,
) {
    loop {
        job(Arc::clone(&authority)).await;
        tokio::time::sleep(interval).await;
    }
}
