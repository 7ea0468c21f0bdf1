//! The `microapp-spa` program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::run::to_exit(microapp_spa::main()).await
}
