//! Compiles and runs the snippets of `README.md` and `docs/`, and compares what those pages say with the programs.
//!
//! Rust snippets are doctests of this crate, so they see what a newcomer's crate would see. `tests/it` runs the
//! others: shell snippets with the programs of this workspace, TOML snippets through the parsers that read them. It
//! also follows the links, and checks that the contract names every route and setting.

#[cfg(doctest)]
mod doctests {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/integrating.md")]
    mod integrating {}
}
