//! The `aa-server` program. All it does is in the library, so that tests do the same.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    aa_server::cli::main().await
}
