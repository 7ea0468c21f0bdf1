//! The tests that docs/standards.md, docs/security.md and `just attack` name as evidence exist.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::{read, repository};

/// The names of the functions of every Rust file, each with the file's stem: `rules::rule_2_…`.
fn functions() -> HashSet<String> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&repository().join("crates"), &mut files);
    let mut found = HashSet::new();
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        for (before, after) in text.match_indices("fn ").map(|(at, _)| text.split_at(at)) {
            let is_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let name = after["fn ".len()..].split(['(', '<']).next().unwrap();
            if !is_word {
                found.insert(format!("{stem}::{name}"));
            }
        }
    }
    found
}

#[test]
fn every_test_that_is_named_exists() {
    let functions = functions();
    let mut named = 0;
    for page in ["docs/standards.md", "docs/security.md"] {
        for code in read(page).split('`').skip(1).step_by(2) {
            let is_name = |part: &str| {
                let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                !part.is_empty() && part.chars().all(word)
            };
            let Some((file, test)) = code.split_once("::") else { continue };
            if is_name(file) && is_name(test) && test.contains('_') {
                assert!(functions.contains(code), "{page}: there is no test {code}");
                named += 1;
            }
        }
    }
    assert!(named > 80, "only {named} were found");
}

#[test]
fn every_test_that_the_attacks_name_exists() {
    let functions = functions();
    let program = read("crates/attack/src/main.rs");
    let (_, list) = program.split_once("const TESTS").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let named: Vec<_> = list.split(['"', ' ']).filter(|word| word.contains("::")).collect();
    for test in &named {
        assert!(functions.contains(*test), "there is no test {test}");
    }
    assert!(named.len() > 20, "only {} were found", named.len());
}

#[test]
fn every_line_of_the_standards_is_judged() {
    let judged = ["met", "partly", "not", "not applicable"];
    let mut lines = 0;
    for line in read("docs/standards.md").lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if cells[0].starts_with("---") || cells[1].is_empty() {
            continue;
        }
        assert!(cells.len() == 3 && judged.contains(&cells[1]), "{line}");
        assert!(cells[1] != "met" || !cells[2].is_empty(), "{line}");
        lines += 1;
    }
    assert!(lines > 80, "only {lines} were found");
}
