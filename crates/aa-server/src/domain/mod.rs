//! Pure rules: no clock, no database, no network.

pub mod client;
pub mod family;
pub mod password;
pub mod people;
pub mod token;
