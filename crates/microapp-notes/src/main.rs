//! The `microapp-notes` program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::run::install_crypto();
    match microapp_notes::main(std::env::vars_os()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
