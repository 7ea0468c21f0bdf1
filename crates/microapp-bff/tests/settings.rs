//! What the program is told, and what it says when that cannot be right.

use microapp_bff::{Config, PREFIX, SETTINGS};
use service::settings::Settings;

fn read(given: &[(&'static str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("data_dir", folder.path().display().to_string());
    for (name, value) in given {
        settings.set(name, *value);
    }
    Config::read(&settings).map_err(|error| error.to_string())
}

#[test]
fn it_needs_nothing() {
    let config = read(&[]).unwrap();
    assert_eq!(config.site.public_url.as_str(), "http://localhost:8082");
    assert_eq!(config.site.front_url, config.site.public_url);
}

#[test]
fn routes_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "[[route]]\nprefix = '/api/a'\nupstream = 'http://a'\n").unwrap();
    assert!(format!("{:?}", read(&[("routes", path)]).unwrap().routes).contains("/api/a"));
    std::fs::write(&file, "[[route]]\nprefix = '/api/a'\nupstrem = 'http://a'\n").unwrap();
    let error = read(&[("routes", path)]).unwrap_err();
    assert!(error.contains("BFF_ROUTES") && error.contains("upstrem"), "{error}");
    let error = read(&[("routes", "/nowhere.toml")]).unwrap_err();
    assert!(error.contains("/nowhere.toml"), "{error}");
}

#[test]
fn a_secret_that_could_be_guessed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let path = file.to_str().unwrap();
    let long = "x".repeat(32);
    for (content, is_good) in [
        (String::new(), false),
        ("\n".to_owned(), false),
        (format!("{}\n", &long[1..]), false),
        (format!("{}{}", &long[1..], " ".repeat(9)), false),
        (format!("{long}\n"), true),
    ] {
        std::fs::write(&file, &content).unwrap();
        let read = read(&[("verify_secret_file", path)]);
        assert_eq!(read.is_ok(), is_good, "{content:?}");
        if let Err(error) = read {
            assert!(error.contains("BFF_VERIFY_SECRET_FILE") && error.contains("32"), "{error}");
        }
    }
    let error = read(&[("verify_secret", "")]).unwrap_err();
    assert!(error.contains("32"), "{error}");
}

#[test]
fn what_cannot_be_safe_or_right_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (given, part) in [
        (("public_url", "http://shop.example"), "--insecure-http"),
        (("issuer", "http://aa.example"), "BACKCHANNEL_URL"),
        (("issuer", "aa.example"), "ISSUER"),
        (("trusted_proxies", "10.0.0.0/33"), "BFF_TRUSTED_PROXIES"),
        (("cookie_domain", "example"), "COOKIE_DOMAIN"),
        (("cors_origins", "https://*.shop.example/x"), "CORS_ORIGINS"),
        (("static_dir", folder.path().to_str().unwrap()), "index.html"),
        (("verify_secret_file", "/nowhere"), "/nowhere"),
    ] {
        let error = read(&[given]).unwrap_err();
        assert!(error.contains(part), "{given:?}: {error}");
    }
    read(&[("public_url", "http://shop.example"), ("insecure_http", "true")]).unwrap();
    for further in [("insecure_http", "true"), ("backchannel_url", "http://proxy:8080")] {
        read(&[("issuer", "http://aa.example"), further]).unwrap();
    }
    read(&[("issuer", "https://aa.example")]).unwrap();
}

#[test]
fn the_url_of_the_session_store_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    std::fs::write(&file, "redis://:s3cret@redis:6379\n").unwrap();
    let read_from = |file: &str| read(&[("session_store_file", file)]);
    assert_eq!(
        read_from(file.to_str().unwrap()).unwrap().session_store,
        "redis://:s3cret@redis:6379"
    );
    assert_eq!(read(&[]).unwrap().session_store, "sqlite://data/bff.db");
    let error = read_from("/nowhere").unwrap_err();
    assert!(error.contains("BFF_SESSION_STORE_FILE: /nowhere"), "{error}");
}
