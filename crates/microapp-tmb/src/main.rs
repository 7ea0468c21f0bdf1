//! The `microapp-tmb` program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::run::to_exit(microapp_tmb::main()).await
}
