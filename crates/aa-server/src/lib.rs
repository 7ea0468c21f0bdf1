//! The authority (AA): where people sign in, and the only issuer of tokens.
//!
//! Imports run one way: `application → {http, cli, jobs} → ops → authority → services → store → domain → foundation`.
//! A handler extracts, calls one operation, and renders. No HTTP type stands below [`http`], and no SQL outside
//! [`store`]; a test guards both.

pub mod application;
pub mod authority;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod jobs;
pub mod ops;
pub mod services;
pub mod store;

pub use application::Application;
pub use authority::{Authority, StartError, Startup};
