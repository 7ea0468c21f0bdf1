//! `docs/contract.md` names what the programs have: rules, routes, settings and commands.

use aa_server::http::ROUTES;
use service::settings::Setting;

use crate::read;
use crate::snippets::Folder;

/// The text of one section, by its number.
fn section(number: u32) -> String {
    let contract = read("docs/contract.md");
    let (_, rest) = contract.split_once(&format!("\n## {number}. ")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// Whether a name stands in a text as a whole: `LOG` is not found in `LOG_FORMAT`.
fn names(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-{".contains(c);
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(|c| is_part(c) || c == '/')
    })
}

#[test]
fn every_rule_has_its_anchor() {
    let rules = section(2);
    for number in 1..=11 {
        let start = format!("<a id=\"rule-{number}\"></a>\n**Rule {number}.");
        assert!(rules.contains(&start), "rule {number}");
    }
}

#[test]
fn every_route_is_named() {
    let text = section(4);
    for route in ROUTES {
        assert!(names(&text, route.path), "{} {}", route.method, route.path);
    }
}

#[test]
fn every_setting_is_named() {
    let named = |text: &str, prefix: &str, settings: &[Setting]| {
        for setting in settings {
            let name = format!("{prefix}{}", setting.name.to_uppercase());
            assert!(names(text, &name), "{name}");
        }
    };
    named(&section(5), "AA_", aa_server::config::SETTINGS);
    let apps = section(6);
    for settings in [
        microapp_bff::SETTINGS,
        microapp_tmb::SETTINGS,
        microapp_spa::SETTINGS,
        microapp_notes::SETTINGS,
    ] {
        named(&apps, "", settings);
    }
}

#[test]
fn every_command_is_named() {
    let folder = Folder::of("");
    let commands = |of: &str| -> Vec<String> {
        let help = folder.output(&format!("aa-server {of} --help"));
        let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
        let names = listed.lines().take_while(|line| !line.is_empty());
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
    };
    let text = section(5);
    let all = commands("");
    assert!(all.len() >= 8, "{all:?}");
    for command in all {
        let inner = commands(&command);
        if inner.is_empty() {
            assert!(names(&text, &command), "{command}");
        }
        for inner in inner {
            assert!(names(&text, &format!("{command} {inner}")), "{command} {inner}");
        }
    }
}

#[test]
fn every_flag_of_app_add_is_named() {
    let help = Folder::of("").output("aa-server app add --help");
    let (_, options) = help.split_once("\nOptions:\n").unwrap();
    let options = options.split("\nSettings:\n").next().unwrap();
    let flags = options.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let flags: Vec<&str> = flags.filter_map(|rest| rest.split([' ', ',']).next()).collect();
    assert!(flags.len() >= 10, "{flags:?}");
    let text = section(5);
    for flag in flags.into_iter().filter(|flag| !["help", "version"].contains(flag)) {
        assert!(names(&text, &format!("--{flag}")), "--{flag}");
    }
}
