//! The catalogue has every sentence, in every language, and there is none outside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aa_server::domain::event::{EndReason, EventKind};
use aa_server::domain::language::Language;
use strum::VariantArray as _;

use crate::architecture::sources;

/// Names of texts, with their attributes, each with the values that are filled in.
fn catalogue(language: Language) -> BTreeMap<String, BTreeSet<String>> {
    let file = format!("{}/texts/{}.ftl", env!("CARGO_MANIFEST_DIR"), language.tag());
    let text = std::fs::read_to_string(&file).unwrap();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut message, mut current) = (String::new(), String::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) =
            line.split_once(" =").filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            message = name.to_owned();
            current = name.to_owned();
            assert!(
                found.insert(current.clone(), BTreeSet::new()).is_none(),
                "{file}: {name} twice"
            );
        } else if let Some((name, _)) =
            line.trim().strip_prefix('.').and_then(|line| line.split_once(" ="))
        {
            current = format!("{message}.{name}");
            found.insert(current.clone(), BTreeSet::new());
        }
        for value in line.split("{ $").skip(1) {
            let name: String = value.chars().take_while(char::is_ascii_alphanumeric).collect();
            found.get_mut(&current).unwrap().insert(name);
        }
    }
    assert!(found.len() > 200);
    found
}

#[test]
fn every_text_is_in_every_language_with_the_same_values() {
    let english = catalogue(Language::English);
    for &language in &Language::VARIANTS[1..] {
        assert_eq!(catalogue(language), english, "{}", language.tag());
    }
}

#[test]
fn every_event_and_every_end_has_a_sentence_of_its_own() {
    let english = catalogue(Language::English);
    for text in EventKind::VARIANTS.iter().map(|kind| kind.text()) {
        assert!(english.contains_key(&text), "{text}");
    }
    for reason in EndReason::VARIANTS {
        assert!(english.contains_key(&reason.text()), "{}", reason.text());
    }
}

fn templates() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn every_text_is_used_and_every_text_that_is_used_is_there() {
    let english = catalogue(Language::English);
    let mut code = sources("").into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    code.extend(templates().into_iter().map(|(_, text)| text));
    let code = code.join("\n");
    let derived = |name: &str| name.starts_with("event-") || name.starts_with("end-");
    for name in english.keys().filter(|name| !name.contains('.') && !derived(name)) {
        assert!(code.contains(&format!("\"{name}\"")), "{name} is not used");
    }
    for (name, template) in templates() {
        for call in ["frame.t(\"", "frame.t1(\"", "{ t(\""] {
            for rest in template.split(call).skip(1) {
                let id = rest.split('"').next().unwrap();
                assert!(english.contains_key(id), "{name}: {id}");
            }
        }
    }
    for call in ["Message::new(\"", "Error::refused(StatusCode::"] {
        for rest in code.split(call).skip(1) {
            let literal =
                if call.starts_with("Message") { rest } else { rest.split_once('"').unwrap().1 };
            let id = literal.split('"').next().unwrap();
            assert!(english.contains_key(id), "{id}");
        }
    }
}

/// A template without its expressions, statements, comments and scripts: what a reader may see.
fn literal_text(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) =
        rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min()
    {
        text.push_str(&rest[..start]);
        let end = match &rest[start..start + 2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        rest = &rest[start + rest[start..].find(end).unwrap() + 2..];
    }
    text.push_str(rest);
    let mut visible = String::new();
    let mut inside_script = false;
    for part in text.split('<') {
        let (tag, after) = part.split_once('>').unwrap_or(("", part));
        inside_script = tag.starts_with("script") || (inside_script && !tag.starts_with("/script"));
        for attribute in ["alt=\"", "title=\"", "placeholder=\"", "aria-label=\"", "content=\""] {
            for value in tag.split(attribute).skip(1) {
                let value = value.split('"').next().unwrap();
                // Values that are for browsers.
                if !value.contains("width=") && value != "light dark" {
                    visible.push_str(value);
                    visible.push('\n');
                }
            }
        }
        if !inside_script {
            visible.push_str(after);
            visible.push('\n');
        }
    }
    visible
}

#[test]
fn no_template_has_a_sentence_of_its_own() {
    for (name, template) in templates() {
        let words: Vec<String> = literal_text(&template)
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| word.len() > 1)
            .map(str::to_owned)
            .collect();
        assert!(words.is_empty(), "{name}: {words:?}");
    }
    let seen =
        literal_text("<p title=\"A hint\">Two {{ words }}</p><script>let x = 1</script>{% if x %}");
    let seen: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!(seen, ["A", "hint", "Two"], "the test sees texts and attributes");
}
