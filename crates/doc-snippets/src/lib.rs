//! Compiles and runs the snippets of `README.md` and `docs/`.
//!
//! Rust snippets are doctests of this crate, so they see what a newcomer's crate would see. `tests/snippets.rs` runs
//! the others: shell snippets with the programs of this workspace, TOML snippets through the parsers that read them.

#[cfg(doctest)]
mod doctests {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
}
