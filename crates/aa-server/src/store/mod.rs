//! All SQL. Methods say what they do and answer in the words of the domain; "not found" is an `Option`.
//!
//! Statements stand in the methods that use them, as one text for both databases. A test finds every one of
//! them in this folder and prepares it on both.

mod accounts;
mod agents;
mod authentication_attempts;
mod browser_sessions;
mod client_assertions;
mod client_icons;
mod client_registrations;
mod clients;
mod confirmations;
mod device_authorizations;
mod end_consumers;
mod end_log;
mod ends;
mod event_streams;
mod events;
mod factors;
mod families;
mod family;
mod feed_followers;
mod invitations;
mod keys;
mod maintenance;
mod migrations;
mod outbox;
mod pending_sign_ins;
mod pictures;
mod registration_tokens;
mod rotation;
mod tries;
mod user_sessions;
mod users;

use std::sync::Arc;

use database::Db;
use tokio::sync::Notify;

pub use accounts::Profile;
pub use agents::Keeping;
pub use authentication_attempts::{
    ATTEMPT_TTL, AttemptKey, AuthenticationAttempt, MAX_ATTEMPTS, PUSHED_REQUEST_TTL,
};
pub use browser_sessions::{BrowserSession, NewBrowserSession, SignedInBrowser};
pub use client_registrations::ClientRegistrationRow;
pub use clients::{Client, ClientChange, ClientSecretHash};
pub use confirmations::{NewConfirmation, PendingConfirmation};
pub use database::{Error, Result};
pub use device_authorizations::{
    DeviceAuthorization, NewDeviceAuthorization, NewDeviceFamily, Poll,
};
pub use end_consumers::EndedSession;
pub use end_log::{ENDS_CHANNEL, EndRecord};
pub use ends::KeptSession;
pub use event_streams::EventStream;
pub use events::{Event, EventFilter, EventPosition, EventRow};
pub use factors::{FactorCounts, PasskeyRow, TotpRow};
pub use families::{MAX_OPEN_DELEGATIONS, NewFamily, Redeemed};
pub use family::{Family, GraceElsewhere, Grant, Place, TwoPlaces};
pub use feed_followers::{Confirmation, FeedFollower};
pub use invitations::Invitation;
pub use keys::{KeyRow, NewKey};
pub use migrations::migrations;
pub use outbox::{DeliveryRow, LeasedDelivery, NewDelivery, SealedDelivery};
pub use pending_sign_ins::{PENDING_TTL, PendingSignIn};
pub use registration_tokens::{NewRegistrationToken, Registering, RegistrationToken};
pub use rotation::{MAX_WAITING, ROTATE, Rotation};
pub use tries::{SharedTries, TryCounter};
pub use user_sessions::SessionRow;
pub use users::{NewUser, User};

/// The authority's database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    rotations: rotation::RotationQueue,
    /// Wakes the reader of the log of ends in this process.
    ended: Arc<Notify>,
}

impl Store {
    /// A store in this database, whose schema must be current.
    pub fn new(db: Db) -> Self {
        Self { rotations: rotation::RotationQueue::new(&db), db, ended: Arc::default() }
    }

    /// The database itself.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Rotates a family: its generation increases by one.
    ///
    /// *Checks* that the generation and secret are those of the family's newest refresh token, that the family, its
    /// user and its browser session are live, and that the client is enabled and has the version it was authenticated
    /// with. `None` when a check fails; nothing is changed then.
    ///
    /// A dropped future leaves no partial change: the rotation is committed or it is not.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer, [`Error::Busy`] when [`MAX_WAITING`] rotations wait. The
    /// same token can be presented again.
    pub async fn rotate(&self, rotation: Rotation) -> Result<Option<Grant>> {
        self.rotations.rotate(rotation).await
    }

    /// Writes something that means nothing, to find out whether the database can be written to.
    pub async fn try_write(&self) -> Result<()> {
        database::execute!(self.db.write(), "UPDATE write_probe SET writes = writes + 1").map(drop)
    }

    /// Rotations that wait for their result at this moment, [`MAX_WAITING`] at most.
    pub fn waiting_rotations(&self) -> usize {
        self.rotations.waiting()
    }
}

/// The error of a stored value that cannot be read.
fn inconsistent(table: &'static str, column: &'static str, row: impl ToString) -> Error {
    Error::Inconsistent { table, column, row: row.to_string() }
}
