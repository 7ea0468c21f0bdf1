//! Shared parts of every program: settings, logs, HTTP middleware, health, shutdown.
//!
//! | module | contents |
//! | --- | --- |
//! | [`address`] | the client's address behind trusted proxies |
//! | [`settings`] | one table of settings, read from flags, the environment and a file; unknown ones are rejected |
//! | [`embedded`] | files embedded in a program |
//! | [`http`] | request ids, security headers, size limits, cookies, CORS, access log |
//! | [`private_file`] | secrets that a program makes for itself |
//! | [`program`] | arguments of a program that is configured by settings alone |
//! | [`run`] | logging, metrics, health checks, serving and shutdown |

pub mod address;
pub mod embedded;
pub mod http;
pub mod private_file;
pub mod program;
pub mod run;
pub mod settings;
