//! What every program here does the same way.
//!
//! | module | what |
//! | --- | --- |
//! | [`settings`] | one table of settings, read from flags, the environment and a file; unknown ones are refused |
//! | [`time`], [`random`] | clocks and randomness, passed in and never taken from the air |
//! | [`embedded`] | files that are part of a program |
//! | [`http`] | request ids, security headers, size limits, access log, metrics |
//! | [`origin`] | the public URL of a program: its origin, its cookies' prefix |
//! | [`run`] | logging, health, serving and stopping |
//! | [`seal`] | secrets at rest |

pub mod embedded;
pub mod http;
pub mod origin;
pub mod random;
pub mod run;
pub mod seal;
pub mod settings;
pub mod time;
