//! Long-lived services of the authority. They know the store and the domain, not the authority itself.

pub mod client_cache;
pub mod cursor;
pub mod feed;
pub mod keyring;
pub mod outbound;
pub mod outbox;
pub mod password_hasher;
pub mod telemetry;
pub mod throttle;
pub mod time_reference;
pub mod write_probe;
