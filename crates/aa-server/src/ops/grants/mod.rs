//! OAuth 2.0 grants, one file each: what the token endpoint can be asked for.

pub mod agent;
pub mod authorization_code;
mod bound;
pub mod client_credentials;
pub mod delegation;
pub mod device_authorization;
pub mod device_code;
mod elsewhere;
pub mod error;
pub mod refresh_token;
mod reuse;
pub mod token_exchange;
mod unanswered;
