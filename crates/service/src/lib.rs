//! What every program here does the same way.
//!
//! | module | what |
//! | --- | --- |
//! | [`settings`] | one table of settings, read from flags, the environment and a file; unknown ones are refused |
//! | [`embedded`] | files that are part of a program |
//! | [`http`] | request ids, security headers, size limits, access log, metrics |
//! | [`run`] | logging, health, serving and stopping |

pub mod embedded;
pub mod http;
pub mod run;
pub mod settings;
