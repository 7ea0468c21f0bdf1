//! Every fenced snippet of `README.md` and `docs/*.md` is compiled, run or parsed, or says why it cannot be.
//!
//! The first word after the fence is the language. What follows it:
//!
//! | fence | what happens |
//! | --- | --- |
//! | `rust`, `rust,no_run` | a doctest; its file must be listed in `src/lib.rs` |
//! | `sh` | run in the page's folder, in the page's order; it must succeed |
//! | `sh serves` | run until it answers on its port |
//! | `toml` | read by the parser that its first table belongs to |
//! | `toml FILE` | the same, and written to FILE in the page's folder before anything runs |
//! | `text` | not code |
//! | any language, then `no-run: REASON` | left alone |

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aa_server::services::branding::Branding;
use microapp_bff::Routes;
use tempfile::TempDir;

use crate::{pages, read, repository};

/// The time between two questions whether a program answers, and the number of questions.
const POLL: (Duration, usize) = (Duration::from_millis(50), 600);

/// What a page takes as given, as a shell script.
const SETUP: &[(&str, &str)] = &[
    (
        "docs/browser-apps.md",
        "head -c 32 /dev/urandom | base64 > secret; mkdir dist; echo '<!doctype html>' > dist/index.html",
    ),
    (
        "docs/operating.md",
        "aa-server app add shop --name Shop --redirect-uri https://shop.example/auth/callback",
    ),
];

/// A fenced snippet.
struct Snippet {
    /// Its page, relative to the repository.
    page: String,
    /// The line of the opening fence, from 1.
    line: usize,
    language: String,
    /// The rest of the info string.
    info: String,
    text: String,
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} {}", self.page, self.line, self.language, self.info)
    }
}

/// The snippets of a page, in its order. A fence inside a list is indented, and so is its text.
fn snippets(page: &str, text: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    let mut open: Option<(Snippet, usize)> = None;
    for (index, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match (&mut open, bare.strip_prefix("```")) {
            (None, Some(info)) => {
                let (language, rest) = info.split_at(info.find([' ', ',']).unwrap_or(info.len()));
                let snippet = Snippet {
                    page: page.to_owned(),
                    line: index + 1,
                    language: language.to_owned(),
                    info: rest.trim_start_matches([' ', ',']).to_owned(),
                    text: String::new(),
                };
                open = Some((snippet, line.len() - bare.len()));
            }
            (Some(_), Some(_)) => found.extend(open.take().map(|(snippet, _)| snippet)),
            (Some((snippet, indent)), None) => {
                snippet.text.push_str(line.get(*indent..).unwrap_or(bare));
                snippet.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a fence is not closed");
    found
}

fn snippets_of(page: &str) -> Vec<Snippet> {
    snippets(page, &read(page))
}

#[test]
fn every_snippet_is_run_or_says_why_it_cannot_be() {
    let mut count = 0;
    for page in pages() {
        let snippets = snippets_of(&page);
        count += snippets.len();
        let folder = Folder::of(&page);
        for snippet in snippets.iter().filter(|snippet| snippet.language == "toml") {
            parse(snippet, folder.path());
        }
        for snippet in snippets.iter().filter(|snippet| snippet.language != "toml") {
            run(snippet, &folder);
        }
    }
    assert!(count >= 10, "only {count} snippets were found");
}

fn run(snippet: &Snippet, folder: &Folder) {
    if let Some(reason) = snippet.info.strip_prefix("no-run:") {
        assert!(reason.trim().len() > 10, "{snippet}: there is no reason");
        return;
    }
    match (snippet.language.as_str(), snippet.info.as_str()) {
        ("rust", "" | "no_run") => {
            let doctest = format!("include_str!(\"../../../{}\")", snippet.page);
            let is_listed = include_str!("../../src/lib.rs").contains(&doctest);
            assert!(is_listed, "{snippet}: src/lib.rs does not include this page");
        }
        ("sh", "") if is_just(&snippet.text) => check_recipes(snippet),
        ("sh", "") => folder.run(&snippet.text, snippet),
        ("sh", "serves") => folder.serve(&snippet.text, snippet),
        ("text", "") => {}
        _ => panic!("{snippet}: it is neither run nor marked `no-run: REASON`"),
    }
}

/// Whether a snippet only calls recipes of the justfile, which are too long for a test.
fn is_just(text: &str) -> bool {
    text.lines().all(|line| line.starts_with("just "))
}

fn check_recipes(snippet: &Snippet) {
    let recipes = read("justfile");
    for line in snippet.text.lines() {
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        let is_head = |recipe: &str| {
            let rest = recipe.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', ':'])) && recipe.contains(':')
        };
        assert!(recipes.lines().any(is_head), "{snippet}: there is no recipe `{name}`");
    }
}

/// Reads a TOML snippet as the program does that it is for. Files for `aa-server` are read when they are applied.
fn parse(snippet: &Snippet, folder: &Path) {
    let table: toml::Table =
        snippet.text.parse().unwrap_or_else(|error| panic!("{snippet}: {error}"));
    if !snippet.info.is_empty() {
        std::fs::write(folder.join(&snippet.info), &snippet.text).unwrap();
    }
    let applied = |command: &str| {
        let line = format!("{command} {}", snippet.info);
        snippets_of(&snippet.page).iter().any(|other| other.text.contains(&line))
    };
    match table.keys().next().map(String::as_str) {
        Some("dependencies") => check_dependencies(snippet, &table),
        Some("route") => {
            Routes::parse(&snippet.text).unwrap_or_else(|error| panic!("{snippet}: {error}"));
        }
        Some("app") if applied("app apply") => {}
        Some("user") if applied("user apply") => {}
        Some("accent") if snippet.info == "branding.toml" => {
            Branding::read(Some(folder)).unwrap_or_else(|error| panic!("{snippet}: {error}"));
        }
        first => panic!("{snippet}: {first:?} is read by no parser and applied by no command"),
    }
}

/// Compares a newcomer's dependencies with this workspace: paths, features and versions.
fn check_dependencies(snippet: &Snippet, table: &toml::Table) {
    let manifest = |path: &Path| -> toml::Table {
        std::fs::read_to_string(path.join("Cargo.toml")).unwrap().parse().unwrap()
    };
    let workspace = manifest(&repository());
    let ours = workspace["workspace"]["dependencies"].as_table().unwrap();
    for (name, wanted) in table["dependencies"].as_table().unwrap() {
        if let Some(version) = wanted.as_str() {
            let used = ours[name].get("version").unwrap_or(&ours[name]).as_str().unwrap();
            assert!(
                used == version || used.starts_with(&format!("{version}.")),
                "{snippet}: {name} {version}, but this workspace uses {used}"
            );
            continue;
        }
        let path = repository().join(wanted["path"].as_str().unwrap());
        let package = manifest(&path);
        assert_eq!(package["package"]["name"].as_str(), Some(name.as_str()), "{snippet}");
        for feature in wanted["features"].as_array().unwrap() {
            let features = package["features"].as_table().unwrap();
            let is_known = features.contains_key(feature.as_str().unwrap());
            assert!(is_known, "{snippet}: {name} has no feature {feature}");
        }
    }
}

/// The folder in which the snippets of one page run, one after the other.
pub struct Folder {
    work: TempDir,
    programs: TempDir,
}

impl Folder {
    pub fn of(page: &str) -> Self {
        let folder =
            Self { work: tempfile::tempdir().unwrap(), programs: tempfile::tempdir().unwrap() };
        for name in ["aa-server", "microapp-bff"] {
            symlink(env!("CARGO_BIN_EXE_doc-snippets"), folder.programs.path().join(name)).unwrap();
        }
        // Readers have started the authority by now.
        folder.run("aa-server migrate", &format!("{page}: the database"));
        for (_, script) in SETUP.iter().filter(|(of, _)| *of == page) {
            folder.run(script, &format!("{page}: setup"));
        }
        folder
    }

    fn path(&self) -> &Path {
        self.work.path()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-euc", script])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.programs.path().display()))
            .current_dir(self.work.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, script: &str, what: &impl fmt::Display) {
        let output = self.command(script).output().unwrap();
        assert!(output.status.success(), "{what}\n{script}\n{}", in_words(&output));
    }

    /// The standard output of a script that succeeds.
    pub fn output(&self, script: &str) -> String {
        let output = self.command(script).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", in_words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a program, and stops it when it has answered.
    fn serve(&self, script: &str, snippet: &Snippet) {
        let port = testing::free_ports(1);
        let log = self.work.path().join("log");
        let process = self
            .command(script)
            .env("BFF_LISTEN", format!("127.0.0.1:{port}"))
            .stderr(std::fs::File::create(&log).unwrap())
            .process_group(0)
            .spawn();
        let mut group = Group(process.unwrap());
        let (interval, limit) = POLL;
        for _ in 0..limit {
            if answers(port) {
                return;
            }
            if group.0.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(interval);
        }
        panic!("{snippet}\n{script}\n{}", std::fs::read_to_string(&log).unwrap());
    }
}

fn in_words(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// A process and its children; killed when dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

/// Asks `GET /livez`.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains(" 200 ")
}

#[test]
fn fences_are_found_with_their_info_and_their_indent() {
    let text =
        "a\n```sh serves\nb\n```\n1. c\n   ```toml x.toml\n   d = 1\n   ```\n```rust,no_run\n```\n";
    let found: Vec<String> =
        snippets("p", text).iter().map(|snippet| format!("{snippet}={}", snippet.text)).collect();
    assert_eq!(found, ["p:2: sh serves=b\n", "p:6: toml x.toml=d = 1\n", "p:9: rust no_run="]);
}
