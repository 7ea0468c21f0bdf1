//! The authority (AA): where people sign in, and the only issuer of tokens.
//!
//! Arrows run one way: `http → ops → {domain, store}`, `store → domain`. A handler extracts, calls one op, and
//! renders. No HTTP type stands below [`http`], and no SQL outside [`store`].

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod ops;
pub mod store;

pub use app::{App, Application, StartError};
