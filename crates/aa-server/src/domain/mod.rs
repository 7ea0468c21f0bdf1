//! Pure rules: no clock, no database, no network.

pub mod caller;
pub mod client;
pub mod delivery;
pub mod event;
pub mod family;
pub mod ids;
pub mod password;
pub mod refresh_token;
pub mod user;
