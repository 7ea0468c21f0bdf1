//! The programs that snippets call, in one binary: it is the program whose name it is called by.
//!
//! `tests/it` links to it under these names. A test cannot have Cargo build another package's program.

use std::path::PathBuf;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    match path.file_name().and_then(|name| name.to_str()) {
        Some("aa-server") => aa_server::application::main().await,
        Some("microapp-bff") => service::run::to_exit(microapp_bff::main()).await,
        _ => {
            eprintln!("call this by a link named aa-server or microapp-bff");
            ExitCode::from(2)
        }
    }
}
