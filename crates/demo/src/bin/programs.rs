//! Every program of a deployment in one file: the name it is called by chooses. The images hold this one, so that they
//! are linked once and share a layer (`docs/decisions/0010-builds.md`).

use std::path::Path;
use std::process::ExitCode;

use service::run::to_exit;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMES: &str = "aa-server, microapp-notes, microapp-bff, microapp-tmb, microapp-spa";

#[tokio::main]
async fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default();
    match name.to_str().unwrap_or_default() {
        "aa-server" => Box::pin(aa_server::application::main()).await,
        "microapp-notes" => to_exit(Box::pin(microapp_notes::main())).await,
        "microapp-bff" => to_exit(Box::pin(microapp_bff::main())).await,
        "microapp-tmb" => to_exit(Box::pin(microapp_tmb::main())).await,
        "microapp-spa" => to_exit(Box::pin(microapp_spa::main())).await,
        other => {
            eprintln!(
                "error: `{other}` is none of the programs in this file. Call it by a link named {NAMES}"
            );
            ExitCode::from(2)
        }
    }
}
