//! Retired words stay retired: the standard term or a plainer one has taken the place of each.

use std::path::{Path, PathBuf};

use crate::repository;

/// A retired word, and what is said instead. Names are looked for as they are written, other words in any case.
const RETIRED: &[(&str, &str)] = &[
    ("KnownApp", "AuthenticatedClient"),
    ("AppKind", "ClientType"),
    ("AppCache", "ClientCache"),
    ("several_families", "multiple_sessions"),
    ("several-families", "multiple-sessions"),
    ("move_family", "rotate"),
    ("Mover", "RotationQueue"),
    ("moved_at", "rotated_at"),
    ("moved_ip", "rotated_ip"),
    ("moved_user_agent", "rotated_user_agent"),
    ("moves on", "is rotated"),
    ("Verdict", "Decision"),
    ("Standing", "FamilyState"),
    ("NewerThanKnown", "NewerThanStored"),
    ("identity_token", "session cookie"),
    ("identities", "browser_sessions"),
    ("user_devices", "user_browsers"),
    ("TokenMint", "RefreshTokenCodec"),
    ("come_back", "callback"),
    ("keep_up", "maintenance"),
    ("our_own", "require_same_origin"),
    ("to_the_end", "detached"),
    ("BEAT", "HEARTBEAT"),
    ("SILENCE", "LEASE_TIMEOUT"),
    ("PATIENCE", "a timeout"),
    ("KEPT_AFTER", "a retention"),
    ("twin", "duplicate"),
    ("twins", "duplicates"),
    ("stranger", "anonymous, or an attacker"),
    ("strangers", "anonymous, or an attacker"),
    ("nobody", "no user, no client: name it"),
    ("somebody", "a user, a request: name it"),
    ("whoever", "name it"),
    ("hangs on it", "name it"),
];

/// What keeps old words: the past, lists of others', and this list.
const EXEMPT: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "crates/aa-server/assets/common-passwords.txt",
    "crates/aa-server/tests/it/undo",
    "crates/doc-snippets/tests/it/words.rs",
    "crates/relying-party/migrations",
    "fuzz/Cargo.lock",
    "migrations",
];

/// Folders with what was made and not written.
const MADE: &[&str] = &[".git", "target", "node_modules", ".venv", "data"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let relative = path.strip_prefix(repository()).unwrap();
        if MADE.contains(&name.as_str()) || EXEMPT.iter().any(|exempt| relative.starts_with(exempt))
        {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Whether a text has this word, with no letter, digit or underscore beside it.
fn has(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_part)
            && !text[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

#[test]
fn retired_words_are_not_used() {
    let mut paths = Vec::new();
    files(&repository(), &mut paths);
    assert!(paths.len() > 200, "only {} files were found", paths.len());
    let mut used = Vec::new();
    for path in paths {
        // What is no text has no words.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            for (word, instead) in RETIRED {
                let is_name = word.contains('_') || word.chars().any(char::is_uppercase);
                if has(if is_name { line } else { &lower }, word) {
                    let path = path.strip_prefix(repository()).unwrap().display();
                    used.push(format!("{path}:{}: `{word}` → {instead}", number + 1));
                }
            }
        }
    }
    assert!(used.is_empty(), "{}", used.join("\n"));
}

#[test]
fn a_word_is_found_whole() {
    assert!(has("so nobody waits", "nobody") && has("nobody", "nobody"));
    assert!(!has("HEARTBEAT", "BEAT") && !has("a_twin_of", "twin"));
}
