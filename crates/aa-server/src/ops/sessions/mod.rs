//! The sessions of a user: listed, and ended one by one or together.

pub mod end;
pub mod followers;
pub mod overview;
pub mod rename;
