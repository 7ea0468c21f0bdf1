//! The pages of the repository against what they describe.

mod contract;
mod evidence;
mod links;
mod snippets;
mod words;

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `README.md`, `ARCHITECTURE.md` and everything in `docs/`, relative to the repository.
fn pages() -> Vec<String> {
    let mut pages = vec!["ARCHITECTURE.md".to_owned(), "README.md".to_owned()];
    for folder in ["docs", "docs/clients", "docs/decisions"] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                pages.push(format!("{folder}/{name}"));
            }
        }
    }
    pages.sort();
    pages
}

fn read(page: &str) -> String {
    std::fs::read_to_string(repository().join(page)).unwrap_or_else(|why| panic!("{page}: {why}"))
}
