//! Pure rules: no clock, no database, no network.

pub mod authentication;
pub mod authorization_request;
pub mod caller;
pub mod client;
pub mod client_assertion;
pub mod client_authentication;
pub mod confirmation;
pub mod delivery;
pub mod event;
pub mod family;
pub mod ids;
pub mod language;
pub mod message;
pub mod password;
pub mod recovery_code;
pub mod redirect_uri;
pub mod refresh_token;
pub mod user;
