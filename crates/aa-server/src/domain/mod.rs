//! Pure rules: no clock, no database, no network.

pub mod audience;
pub mod authentication;
pub mod authorization_request;
pub mod browser_origin;
pub mod caller;
pub mod claims;
pub mod client;
pub mod client_assertion;
pub mod client_authentication;
pub mod confirmation;
pub mod delivery;
pub mod device;
pub mod event;
pub mod family;
pub mod ids;
pub mod language;
pub mod message;
pub mod password;
pub mod recovery_code;
pub mod redirect_uri;
pub mod refresh_token;
pub mod requested_claims;
pub mod subject;
pub mod time_zone;
pub mod token_exchange;
pub mod user;
