//! Rotations that wait for their commit.

use std::time::Duration;

use database::{Error, Result};
use tokio::sync::oneshot;

use super::statement::Rotation;
use crate::store::family::Grant;

/// Rotations in one commit, at most.
pub(super) const MAX_BATCH: usize = 256;
/// Time before a committer that has panicked starts anew.
pub(super) const RESTART_DELAY: Duration = Duration::from_millis(100);

pub(super) fn unavailable(why: &str) -> Error {
    Error::Unavailable(why.into())
}

/// A rotation in the queue, and the channel for its result.
pub(super) struct PendingRotation {
    pub(super) rotation: Rotation,
    pub(super) answer: oneshot::Sender<Result<Option<Grant>>>,
}

impl PendingRotation {
    pub(super) fn respond(self, rotated: Result<Option<Grant>>) {
        // Sending fails when the client has disconnected, which changes nothing.
        let _ = self.answer.send(rotated);
    }

    /// Decides whether the request was dropped. Its family need not be rotated then.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Logs a fault once and responds to every rotation of the batch with it.
pub(super) fn respond_all(batch: impl ExactSizeIterator<Item = PendingRotation>, fault: &Error) {
    tracing::warn!(%fault, refreshes = batch.len(), "refreshes could not be committed");
    for pending in batch {
        pending.respond(Err(unavailable(&fault.to_string())));
    }
}
