//! Authentication: of users at sign-in, of clients at the token endpoint.

pub mod attempt;
pub mod client;
pub mod sign_in;
