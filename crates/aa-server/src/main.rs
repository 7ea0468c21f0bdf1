//! The `aa-server` program. All it does is in the library, so that tests do the same.

use std::process::ExitCode;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    aa_server::application::main().await
}
