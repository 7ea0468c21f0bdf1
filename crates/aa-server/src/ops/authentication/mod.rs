//! Authentication: of users at sign-in, of clients at the token endpoint.
//!
//! A sign-in begins with a first step ([`sign_in`], [`passkey`] or [`mail_code`]) and goes on with [`next`], which finds out
//! whether another is needed.

pub mod attempt;
pub mod client;
pub mod enrol;
pub mod mail_code;
pub mod next;
pub mod passkey;
pub mod sign_in;
pub mod verify;
