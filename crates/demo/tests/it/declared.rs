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
        at_ttl: std::time::Duration::from_mins(5),
        dpop: false,
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

#[actix_web::test]
async fn a_port_that_is_taken_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let options = demo::Options {
        data_dir: folder.path().to_owned(),
        port_base: testing::free_ports(demo::PORTS),
        at_ttl: std::time::Duration::from_mins(5),
        dpop: false,
    };
    let _taken = std::net::TcpListener::bind(("127.0.0.1", options.port(2))).unwrap();
    let (_handle, stop) = service::run::Stop::pair();
    let error = demo::Demo::start(&options, &stop).await.map(drop).unwrap_err().to_string();
    assert!(
        error.contains(&options.port(2).to_string()) && error.contains("--port-base"),
        "{error}"
    );
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was begun");
}
