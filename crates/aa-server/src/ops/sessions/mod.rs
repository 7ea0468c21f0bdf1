//! The sessions of a user: listed, and ended one by one or together.

pub mod consume;
pub mod end;
pub mod followers;
pub mod logout_tokens;
pub mod overview;
pub mod rename;
