//! Links between the pages lead to files and headings that exist, and so do the paths of `ARCHITECTURE.md`.

use std::path::Path;

use crate::{pages, read, repository};

/// The targets of the Markdown links in a page.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// The anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn has_anchor(text: &str, anchor: &str) -> bool {
    let is_heading =
        |line: &str| line.starts_with('#') && slug(line.trim_start_matches('#')) == anchor;
    text.contains(&format!("<a id=\"{anchor}\">")) || text.lines().any(is_heading)
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap();
        for target in targets(&text).filter(|target| !target.contains("://")) {
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { page.clone().into() } else { folder.join(path) };
            assert!(repository().join(&file).exists(), "{page} links to {target}");
            if !anchor.is_empty() {
                let there = read(file.to_str().unwrap());
                assert!(has_anchor(&there, anchor), "{page} links to {target}");
            }
        }
    }
    assert!(count >= 30, "only {count} links were found");
}

#[test]
fn the_table_of_specifications_names_files_that_exist() {
    let text = read("ARCHITECTURE.md");
    let (_, section) = text.split_once("## Where RFCs live").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut count = 0;
    for row in section.lines().filter(|line| line.starts_with("| ")) {
        // Every second piece between backticks is code.
        for path in row.split('`').skip(1).step_by(2).filter(|code| code.contains('/')) {
            count += 1;
            let root = if path.starts_with("crates/") { "" } else { "crates/aa-server/src" };
            assert!(repository().join(root).join(path).exists(), "there is no {path}");
        }
    }
    assert!(count >= 20, "only {count} paths were found");
}

#[test]
fn the_map_names_every_crate() {
    let map = read("ARCHITECTURE.md");
    for entry in std::fs::read_dir(repository().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(map.contains(&format!("  {name}/ ")), "{name}");
    }
}

#[test]
fn headings_and_named_anchors_are_found() {
    let text = "## 5. The authority, as a program\n<a id=\"rule-4\"></a>\n";
    assert!(has_anchor(text, "5-the-authority-as-a-program"));
    assert!(has_anchor(text, "rule-4"));
    assert!(!has_anchor(text, "rule-5"));
}
