//! One binary for all tests of the whole: everything running, on ports of its own.

mod backend_attacks;
mod bff;
mod bound;
mod browser;
mod caddy;
mod copies;
mod declared;
mod ended;
mod ended_sessions;
mod gallery;
mod launcher;
mod native;
mod nginx;
mod patterns;
mod person;
mod proxy;
mod shapes;
mod spa;
mod support;
mod tabs;
mod tmb;
