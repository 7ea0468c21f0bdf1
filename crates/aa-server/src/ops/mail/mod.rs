//! Mail: what is told to users, put into the outbox with what it tells of, and written when it is sent.
//!
//! A request about an address is answered alike whether the address has an account: it only puts a mail into the outbox, and
//! the job that sends it finds out which mail that is, if any.

mod letter;
mod send;

use foundation::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::delivery::DeliveryId;
use crate::domain::event::EventKind;
use crate::domain::ids::UserId;
use crate::domain::language::Language;
use crate::store::{Place, Result, SealedDelivery};

pub use send::send;

/// The kind of the deliveries.
pub const KIND: &str = "mail";

/// A mail to be written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mail {
    /// The wish to create an account with an address.
    Register {
        /// The address.
        email: String,
        /// The name of the user.
        name: String,
        /// Where the registration leads to.
        return_to: String,
        /// The hash that binds `return_to` to the browser.
        browser: String,
    },
    /// The wish to choose a new password.
    ResetPassword {
        /// The address.
        email: String,
    },
    /// The wish to sign in with a code.
    SignInCode {
        /// The address.
        email: String,
        /// The hash of the browser that may use the code.
        browser: String,
    },
    /// The wish to confirm the address of the account.
    ConfirmEmail {
        /// The user.
        user: UserId,
    },
    /// The wish to change the address of the account to this one.
    ChangeEmail {
        /// The user.
        user: UserId,
        /// The new address.
        email: String,
    },
    /// An invitation to create an account.
    Invitation {
        /// The address.
        email: String,
        /// The link.
        link: String,
    },
    /// An event of an account.
    Notice(Notice),
}

/// An event of an account, as its user is told of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The user.
    pub user: UserId,
    /// The address, where it is not the account's present one.
    pub email: Option<String>,
    /// The text of the event's kind.
    pub kind: String,
    /// The time.
    pub at: Timestamp,
    /// Where it came from; for a token that was used twice, both places.
    pub places: Vec<Place>,
    /// The app it concerns, or the new address.
    pub about: Option<String>,
}

/// A mail and the language of its reader, as the outbox keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    mail: Mail,
    /// The language of the request; the user's own is preferred.
    language: Option<String>,
}

/// Encrypts a mail for the outbox. `target` is what operators see of its recipient.
pub fn seal(
    authority: &Authority,
    target: &str,
    mail: Mail,
    language: Option<Language>,
) -> SealedDelivery {
    let id = DeliveryId::from(authority.random.uuid_at(authority.now()));
    let language = language.map(|language| language.tag().to_owned());
    let payload = serde_json::to_vec(&Envelope { mail, language }).unwrap_or_default();
    SealedDelivery {
        id,
        kind: KIND,
        target: target.to_owned(),
        payload: authority.outbox.seal(id, &payload),
    }
}

/// Puts a mail into the outbox that tells of nothing else in the database.
///
/// # Errors
/// When the database cannot answer.
pub async fn enqueue(
    authority: &Authority,
    target: &str,
    mail: Mail,
    language: Option<Language>,
) -> Result<()> {
    let delivery = seal(authority, target, mail, language);
    authority.store.enqueue_delivery(&delivery.row(), authority.now()).await
}

/// A notice to a user of something that was done by this caller, for its event.
pub fn notice(
    authority: &Authority,
    user: UserId,
    kind: EventKind,
    caller: &Caller,
) -> SealedDelivery {
    let at = authority.now();
    let place =
        Place { ip: caller.ip.clone(), user_agent: caller.user_agent.clone(), at: at.to_string() };
    let notice = Notice {
        user,
        email: None,
        kind: kind.as_str().to_owned(),
        at,
        places: vec![place],
        about: None,
    };
    seal(authority, &format!("user:{user}"), Mail::Notice(notice), None)
}
