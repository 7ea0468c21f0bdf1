use super::*;

fn app(kind: ClientType, redirect: &str) -> ClientMetadata {
    let mut app = ClientMetadata::named("app", "App", kind);
    app.redirect_uris = vec![redirect.to_owned()];
    app
}

#[test]
fn registrations_that_make_no_sense_say_what_to_change() {
    for uri in [
        "http://app.example/cb",
        "https://app.example/cb#x",
        "https://*.example/cb",
        "javascript:alert(1)",
        "/cb",
        "myapp:/cb",
        "https://u:p@app.example/cb",
    ] {
        assert!(
            app(ClientType::Public, uri).check().unwrap_err().contains("redirect_uris"),
            "{uri}"
        );
    }
    assert!(app(ClientType::Public, "com.example.app:/cb").check().is_ok());
    assert!(app(ClientType::Service, "https://app.example/cb").check().is_err());
    assert!(ClientMetadata::named("app", "App", ClientType::Public).check().is_err());
    assert!(ClientMetadata::named("a b", "App", ClientType::Service).check().is_err());
    for (life, name) in
        [("at_ttl = '0s'", "at_ttl"), ("at_ttl = '25h'", "at_ttl"), ("dt_ttl = '11m'", "dt_ttl")]
    {
        let text = format!("client_id = 'a'\nname = 'A'\nkind = 'service'\n[lifetimes]\n{life}");
        let app: ClientMetadata = toml::from_str(&text).unwrap();
        assert!(app.check().unwrap_err().starts_with(name), "{life}");
    }
}

#[test]
fn what_is_not_declared_has_a_default() {
    let app: ClientMetadata =
        toml::from_str("client_id = 'a'\nname = 'A'\n[lifetimes]\nat_ttl = '2m'").unwrap();
    assert_eq!(app.kind, ClientType::Confidential);
    assert_eq!(app.allowed_audiences(), ["a"]);
    assert_eq!(app.allowed_scopes().to_string(), DEFAULT_SCOPES);
    assert_eq!(app.lifetimes.at_ttl, Some(Duration::from_mins(2)));
    assert!(toml::from_str::<ClientMetadata>("client_id = 'a'\nname = 'A'\nscops = []").is_err());
    let json = serde_json::to_string(&app).unwrap();
    assert_eq!(serde_json::from_str::<ClientMetadata>(&json).unwrap(), app);
}
