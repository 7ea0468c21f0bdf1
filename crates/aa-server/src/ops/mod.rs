//! What the authority does, in rooms named by nouns. An operation takes the authority and a command, and returns an
//! outcome or an error of its own. No HTTP type and no SQL stands here.

pub mod account;
pub mod authentication;
pub mod client_documents;
pub mod client_icons;
pub mod client_registration;
pub mod clients;
pub mod grants;
pub mod key_phases;
pub mod keys;
pub mod lists;
pub mod mail;
pub mod refusals;
pub mod registration_tokens;
pub mod security_events;
pub mod sessions;
pub mod settings;
pub mod tokens;
pub mod users;
