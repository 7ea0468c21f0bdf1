//! The containers' users and apps are the demo's.

use aa_server::domain::client::ClientMetadata;
use demo::{MICRO_APPS, Options, USERS};
use serde::Deserialize;

#[derive(Deserialize)]
struct Apps {
    app: Vec<ClientMetadata>,
}

#[derive(Deserialize)]
struct Users {
    user: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    name: String,
    email: String,
    password: String,
    #[serde(default)]
    admin: bool,
}

#[test]
fn the_same_apps_are_declared_for_containers() {
    let options = Options {
        data_dir: "data".into(),
        port_base: 8080,
        at_ttl: std::time::Duration::from_secs(15),
    };
    let ours: Vec<ClientMetadata> =
        MICRO_APPS.iter().filter_map(|app| (app.registration)(&options, app)).collect();
    let plain: Apps = toml::from_str(include_str!("../../../../deploy/apps.toml")).unwrap();
    assert_eq!(plain.app, ours);
    // By https they have other addresses, and differ in nothing else.
    let mut tls = include_str!("../../../../deploy/apps.tls.toml").to_owned();
    for (name, port) in [("bff", 8082), ("tmb", 8083), ("spa", 8084)] {
        tls = tls.replace(
            &format!("https://{name}.localhost:8443"),
            &format!("http://localhost:{port}"),
        );
    }
    let tls: Apps = toml::from_str(&tls).unwrap();
    assert_eq!(tls.app, ours);
}

#[test]
fn the_same_people_are_declared_for_containers() {
    let file: Users = toml::from_str(include_str!("../../../../deploy/people.toml")).unwrap();
    assert_eq!(file.user.len(), USERS.len());
    for (declared, ours) in file.user.iter().zip(USERS) {
        assert_eq!(
            (declared.name.as_str(), declared.email.as_str(), declared.password.as_str()),
            (ours.name, ours.email, ours.password)
        );
        assert_eq!(declared.admin, ours.admin);
    }
}
