//! One binary for all integration tests. Most run on SQLite and on PostgreSQL: see `support::both_databases`.

mod architecture;
mod attempts;
mod authorize;
mod batches;
mod clocks;
mod commands;
mod ends;
mod events;
mod faults;
mod hardening;
mod logout;
mod model;
mod outbox;
mod pages;
mod paging;
mod places;
mod processes;
mod races;
mod rules;
mod snapshots;
mod statements;
mod support;
mod thieves;
mod tokens_endpoint;
mod upgrades;
mod withdrawals;
