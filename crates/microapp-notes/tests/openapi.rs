//! `docs/openapi/notes.yaml` describes the routes of the API. Whether it describes them well, `interop/openapi/run` finds out.

use std::collections::{BTreeMap, BTreeSet};

use microapp_notes::{Application, Config, PREFIX, SETTINGS};
use reqwest::Method;
use service::run::{Stop, install_crypto};
use service::settings::Settings;

const DOCUMENT: &str = include_str!("../../../docs/openapi/notes.yaml");
const ROUTES: &str = include_str!("../src/http.rs");
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The methods of each path of the document, by the indentation that it is written with.
fn operations() -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut operations = BTreeMap::<_, BTreeSet<_>>::new();
    let mut path = "";
    for line in DOCUMENT.lines().skip_while(|line| *line != "paths:").skip(1) {
        let text = line.trim_start();
        let Some(name) = text.strip_suffix(':') else { continue };
        match line.len() - text.len() {
            0 => break,
            2 => path = name,
            4 if name != "parameters" => {
                operations.entry(path).or_default().insert(name.to_uppercase());
            }
            _ => {}
        }
    }
    operations
}

#[test]
fn every_path_is_in_the_document() {
    let of_the_api =
        ROUTES.split("web::resource(\"").skip(1).filter_map(|text| text.split('"').next());
    // Those that every program has, and the one of its metadata.
    let others = ["/livez", "/version", "/.well-known/oauth-protected-resource"];
    let paths: BTreeSet<&str> = of_the_api.chain(others).collect();
    assert!(!ROUTES.contains(".route(\"/"), "a path is a resource, which knows its methods");
    assert_eq!(operations().into_keys().collect::<BTreeSet<_>>(), paths);
}

#[tokio::test]
async fn every_method_is_in_the_document_and_the_others_are_refused_with_those_there_are() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("listen", "127.0.0.1:0");
    settings.set("database_url", format!("sqlite://{}/notes.db", folder.path().display()));
    let (_handle, stop) = Stop::pair();
    let application = Application::build(&Config::read(&settings).unwrap(), stop).await.unwrap();
    let url = format!("http://127.0.0.1:{}", application.port());
    tokio::spawn(application.run_until_stopped());
    let http = reqwest::Client::new();
    for (path, known) in operations() {
        for method in METHODS {
            let request: Method = method.parse().unwrap();
            let answer = http.request(request, format!("{url}{path}")).send().await.unwrap();
            let is_refused = answer.status() == 405;
            assert_eq!(is_refused, !known.contains(method), "{method} {path}: {}", answer.status());
            if is_refused {
                let allowed = answer.headers()["allow"].to_str().unwrap();
                let allowed = allowed.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
                assert_eq!(allowed, known, "{method} {path}");
            }
        }
    }
}
