//! The architecture of the crate: imports run one way, in no circle, and SQL and HTTP stay in their rooms.
//!
//! Every source file is read. An import is any path that begins with `crate::` or `super::`, in a `use` or in the
//! code, and any path from a module file into one of its children. A name that a module file re-exports counts for
//! the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layers from the bottom to the top. A file may import its own layer and those below.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["store"],
    &["config", "services"],
    &["authority"],
    &["ops"],
    &["http", "cli", "jobs"],
    &["application"],
    &["lib", "main"],
];

/// The source files below a folder of `src`, with their text.
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

/// Modules by their path (`store::rotation`), each with its code: no comments, no text literals, no unit tests.
struct Crate(BTreeMap<String, String>);

impl Crate {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let module = |path: &Path| {
            let relative = path.strip_prefix(&root).unwrap().with_extension("");
            let mut names: Vec<_> =
                relative.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
            if names.len() > 1 && names.last().is_some_and(|name| name == "mod") {
                names.pop();
            }
            names.join("::")
        };
        Self(sources("").iter().map(|(path, text)| (module(path), code_of(text))).collect())
    }

    fn of(modules: &[(&str, &str)]) -> Self {
        Self(modules.iter().map(|(name, text)| ((*name).to_owned(), code_of(text))).collect())
    }

    /// The modules that a module imports.
    fn imports(&self, module: &str) -> BTreeSet<String> {
        let code = &self.0[module];
        let children: Vec<&str> = declared_children(code);
        let mut found = BTreeSet::new();
        for (position, path) in paths(code) {
            let absolute = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                "super" => {
                    let ups = path.iter().take_while(|name| *name == "super").count();
                    let mut names: Vec<String> = module.split("::").map(str::to_owned).collect();
                    names.truncate(names.len().saturating_sub(ups));
                    names.into_iter().chain(path[ups..].iter().cloned()).collect()
                }
                child if children.contains(&child) && !is_reexport(code, position) => {
                    let parent = if module == "lib" { None } else { Some(module.to_owned()) };
                    parent.into_iter().chain(path.iter().cloned()).collect()
                }
                _ => continue,
            };
            found.extend(self.resolve(&absolute));
        }
        found.remove(module);
        found
    }

    /// The module that defines what a path from the crate's root names.
    fn resolve(&self, path: &[String]) -> Option<String> {
        let mut length = path.len();
        while length > 0 && !self.0.contains_key(&path[..length].join("::")) {
            length -= 1;
        }
        if length == 0 {
            return None;
        }
        let module = path[..length].join("::");
        let reexported = path.get(length).and_then(|name| {
            let code = &self.0[&module];
            paths(code).into_iter().find_map(|(position, path)| {
                let names_it = path.last() == Some(name) && path.len() > 1;
                let child = format!("{module}::{}", path[0]);
                (names_it && is_reexport(code, position) && self.0.contains_key(&child))
                    .then_some((child, path))
            })
        });
        match reexported {
            Some((child, path)) => {
                let full: Vec<String> = module.split("::").map(str::to_owned).chain(path).collect();
                self.resolve(&full).or(Some(child))
            }
            None => Some(module),
        }
    }

    /// Imports that run from a lower layer to a higher one, as `from -> to`.
    fn upward(&self) -> Vec<String> {
        let mut found = Vec::new();
        for module in self.0.keys() {
            for import in self.imports(module) {
                if layer(&import) > layer(module) {
                    found.push(format!("{module} -> {import}"));
                }
            }
        }
        found
    }

    /// Modules that import each other in a circle, each circle once, in the order of its imports.
    fn circles(&self) -> Vec<String> {
        let graph: BTreeMap<&String, BTreeSet<String>> =
            self.0.keys().map(|module| (module, self.imports(module))).collect();
        let reach = |from: &String| {
            let mut seen: BTreeSet<String> = BTreeSet::new();
            let mut open: Vec<String> = graph[from].iter().cloned().collect();
            while let Some(next) = open.pop() {
                if seen.insert(next.clone()) {
                    open.extend(graph.get(&next).into_iter().flatten().cloned());
                }
            }
            seen
        };
        let reached: BTreeMap<&String, BTreeSet<String>> =
            graph.keys().map(|module| (*module, reach(module))).collect();
        let mut found = BTreeSet::new();
        for (module, others) in &reached {
            if others.contains(*module) {
                let circle: Vec<&str> = reached
                    .keys()
                    .filter(|other| others.contains(**other) && reached[**other].contains(*module))
                    .map(|other| other.as_str())
                    .collect();
                found.insert(circle.join(", "));
            }
        }
        found.into_iter().collect()
    }
}

fn layer(module: &str) -> usize {
    let room = module.split("::").next().unwrap();
    LAYERS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("`{module}` is in no layer: add its room to LAYERS"))
}

/// The text without comments and literals, up to its unit tests.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    // A visibility is no import.
    let text = &text.replace("pub(in crate::", "pub(in ");
    let mut code = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else if c == '"' {
            let mut end = 1;
            let bytes = rest.as_bytes();
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            rest = rest.get(end + 1..).unwrap_or("");
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

fn declared_children(code: &str) -> Vec<&str> {
    code.lines()
        .filter_map(|line| {
            let line = line.trim_start().trim_start_matches("pub ");
            line.strip_prefix("mod ")?.strip_suffix(';')
        })
        .collect()
}

/// Whether the path at this position stands in a `pub use`.
fn is_reexport(code: &str, position: usize) -> bool {
    let start = code[..position].rfind(';').map_or(0, |end| end + 1);
    let statement = code[start..position].trim_start();
    statement.starts_with("pub use") || statement.starts_with("pub(super) use")
}

/// Every path of two names or more, with its position; a group in braces gives one path for each of its members.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut position = 0;
    while position < code.len() {
        let rest = &code[position..];
        let Some(start) = rest.find(is_name) else { break };
        let begin = position + start;
        let end = code[begin..].find(|c| !is_name(c)).map_or(code.len(), |length| begin + length);
        let follows = code[end..].starts_with("::");
        let continues = code[..begin].ends_with("::");
        position = end;
        if follows && !continues {
            position = expand(code, begin, &[], begin, &mut found);
        }
    }
    found
}

/// Reads a path (or a member of a group) at `at`, adds what it names, and answers where it ends.
fn expand(
    code: &str,
    mut at: usize,
    prefix: &[String],
    origin: usize,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut path = prefix.to_vec();
    loop {
        let end = code[at..].find(|c| !is_name(c)).map_or(code.len(), |length| at + length);
        if end > at && &code[at..end] != "self" {
            path.push(code[at..end].to_owned());
        }
        at = end;
        if !code[at..].starts_with("::") {
            break;
        }
        at += 2;
        if code[at..].starts_with('{') {
            at += 1;
            loop {
                at += code[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(0);
                if at >= code.len() || code[at..].starts_with('}') {
                    return at + 1;
                }
                let next = expand(code, at, &path, origin, found);
                at = next.max(at + 1);
                // A member may have another name here.
                at += code[at..].find([',', '}']).unwrap_or(0);
            }
        }
    }
    found.push((origin, path));
    at
}

#[test]
fn imports_run_one_way() {
    let upward = Crate::read().upward();
    assert!(
        upward.is_empty(),
        "imports from a lower layer to a higher one:\n{}",
        upward.join("\n")
    );
}

#[test]
fn imports_make_no_circle() {
    let circles = Crate::read().circles();
    assert!(circles.is_empty(), "modules that import each other:\n{}", circles.join("\n"));
}

#[test]
fn every_kind_of_wrong_import_is_found() {
    let lower =
        ["domain::x", "store::x", "services::x", "authority", "ops::x", "http::x", "application"];
    for (index, from) in lower.iter().enumerate() {
        for to in &lower[index + 1..] {
            for text in [
                format!("use crate::{to}::Thing;"),
                format!("use crate::{{{to}::{{Thing, Other}}}};"),
                format!("fn f() {{ crate::{to}::thing() }}"),
            ] {
                let broken = Crate::of(&[(from, &text), (to, "pub struct Thing;")]);
                assert_eq!(broken.upward(), [format!("{from} -> {to}")], "{text}");
                let right =
                    Crate::of(&[(to, &text.replace(to, from)), (from, "pub struct Thing;")]);
                assert!(right.upward().is_empty());
            }
        }
    }
    let sideways = Crate::of(&[
        ("ops::a", "use super::b::B;"),
        ("ops::b", "use crate::ops::c::{self, C};"),
        ("ops::c", "fn f() { super::a::f() }"),
    ]);
    assert_eq!(sideways.circles(), ["ops::a, ops::b, ops::c"]);
    let parent = Crate::of(&[
        ("store", "mod child;\npub struct Store(child::Child);"),
        ("store::child", "use super::Store;"),
    ]);
    assert_eq!(parent.circles(), ["store, store::child"]);
    let reexport = Crate::of(&[
        ("store", "mod child;\nmod other;\npub use child::Child;\npub struct Store;"),
        ("store::child", "use super::Store;"),
        ("store::other", "use super::Child;"),
    ]);
    assert!(
        reexport.circles().is_empty(),
        "a re-exported name counts for the file that defines it"
    );
    assert_eq!(reexport.imports("store::other").into_iter().collect::<Vec<_>>(), ["store::child"]);
    let harmless = Crate::of(&[
        ("domain::x", "// crate::http::x\nconst A: &str = \"crate::http::x\";"),
        ("http::x", ""),
    ]);
    assert!(harmless.upward().is_empty(), "comments and literals import nothing");
}

fn forbid(folder: &str, forbidden: &[&str]) {
    for (path, text) in sources(folder) {
        for word in forbidden {
            assert!(!text.contains(word), "{} must not know `{word}`", path.display());
        }
    }
}

#[test]
fn http_types_stay_in_http() {
    for folder in ["ops", "services", "domain", "store", "jobs", "cli"] {
        forbid(folder, &["actix_web"]);
    }
}

#[test]
fn sql_stays_in_the_store() {
    for folder in ["ops", "services", "domain", "http", "jobs", "cli"] {
        forbid(
            folder,
            &[
                "sqlx::query",
                "database::execute",
                "database::optional",
                "database::all",
                "execute!(",
            ],
        );
    }
}
