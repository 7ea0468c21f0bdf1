//! Long-lived services of the authority. They know the store and the domain, not the authority itself.

pub mod branding;
pub mod browser_origins;
pub mod catalogue;
pub mod client_cache;
pub mod client_documents;
pub mod client_keys;
pub mod countries;
pub mod cursor;
pub mod dpop;
pub mod drawing;
pub mod feed;
pub mod keyring;
pub mod mailer;
pub mod outbound;
pub mod outbox;
pub mod passkeys;
pub mod password_hasher;
pub mod refusals;
pub mod subjects;
pub mod telemetry;
pub mod templates;
pub mod throttle;
pub mod time_reference;
pub mod totp;
pub mod vault;
pub mod write_probe;
