//! Arrows run one way: `http → ops → {domain, store}`, `store → domain`.

use std::path::{Path, PathBuf};

/// The source files below a folder, and what is in them.
pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder), &mut found);
    assert!(!found.is_empty());
    found
}

fn nobody_in(folder: &str, forbidden: &[&str]) {
    for (path, text) in sources(folder) {
        for word in forbidden {
            assert!(!text.contains(word), "{} must not know `{word}`", path.display());
        }
    }
}

#[test]
fn no_http_below_http() {
    for folder in ["ops", "domain", "store"] {
        nobody_in(folder, &["actix_web", "crate::http"]);
    }
}

#[test]
fn no_sql_outside_the_store() {
    for folder in ["ops", "domain", "http"] {
        nobody_in(
            folder,
            &["sqlx::", "database::execute", "database::optional", "database::all", "execute!("],
        );
    }
}

#[test]
fn the_domain_knows_nobody() {
    nobody_in("domain", &["crate::store", "crate::ops", "crate::app", "database::"]);
    nobody_in("store", &["crate::ops", "crate::app", "crate::config"]);
}
