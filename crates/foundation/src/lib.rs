//! Values that every rule needs and that need nothing of ours: the bottom of the dependency graph.
//!
//! | module | contents |
//! | --- | --- |
//! | [`ids`] | macros that define an id as a type of its own |
//! | [`time`], [`random`] | clocks and randomness, passed in as parameters so that tests control them |
//! | [`steady_clock`] | the clock that all replicas agree on |
//! | [`origin`] | the public URL of a program: its origin and the prefix of its cookies |
//! | [`mounts`] | what a folder is stored on |
//! | [`seal`] | keys derived from a program's secret, and encryption of small secrets at rest |

pub mod ids;
pub mod mounts;
pub mod origin;
pub mod random;
pub mod seal;
pub mod steady_clock;
pub mod time;
