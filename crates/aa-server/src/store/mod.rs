//! All SQL. Methods say what they do and answer in the words of the domain; "not found" is an `Option`.
//!
//! Statements stand in the methods that use them, as one text for both databases. A test finds every one of
//! them in this folder and prepares it on both.

mod browser_sessions;
mod clients;
mod ends;
mod events;
mod families;
mod invitations;
mod keys;
mod maintenance;
mod migrations;
mod outbox;
mod rotation;
mod users;

use database::Db;

pub use browser_sessions::{BrowserSession, NewBrowserSession};
pub use clients::{Client, ClientSecretHash};
pub use database::{Error, Result};
pub use ends::EndRecord;
pub use events::{Event, EventFilter, EventRow};
pub use families::{Family, Grant, NewFamily, Redeemed, SessionRow};
pub use invitations::Invitation;
pub use keys::{KeyRow, NewKey};
pub use migrations::migrations;
pub use outbox::{DeliveryRow, LeasedDelivery, NewDelivery};
pub use rotation::{MAX_WAITING, ROTATE, Rotation};
pub use users::{NewUser, User};

/// The authority's database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    rotations: rotation::RotationQueue,
}

impl Store {
    /// A store in this database, whose schema must be current.
    pub fn new(db: Db) -> Self {
        Self { rotations: rotation::RotationQueue::new(&db), db }
    }

    /// The database itself.
    pub fn db(&self) -> &Db {
        &self.db
    }
}
