use std::time::Duration;

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

#[test]
fn a_pair_that_makes_no_sense_says_what_to_change() {
    let app = |kind, pairs: &[&str]| {
        let mut app = ClientMetadata::named("orders", "Orders", kind);
        app.exchange = pairs.iter().map(|pair| pair.parse().unwrap()).collect();
        app.redirect_uris = match kind {
            ClientType::Confidential | ClientType::Public | ClientType::Agent => {
                vec!["https://app.example/".to_owned()]
            }
            ClientType::Service | ClientType::Api => Vec::new(),
        };
        app
    };
    for kind in [ClientType::Confidential, ClientType::Service, ClientType::Api] {
        assert_eq!(app(kind, &["notes:a,b", "basket"]).check(), Ok(()));
    }
    for (kind, pairs) in [
        (ClientType::Public, &["notes"][..]),
        (ClientType::Api, &["notes:a", "notes:b"]),
        (ClientType::Api, &[":a"]),
        (ClientType::Api, &["notes:a b"]),
    ] {
        assert!(app(kind, pairs).check().unwrap_err().starts_with("exchange:"), "{pairs:?}");
    }
    let declared = "client_id = 'a'\nname = 'A'\nkind = 'api'\n[[exchange]]\naudience = 'notes'\nscopes = ['a']\n[lifetimes]\nat_ttl = '2m'";
    let declared: ClientMetadata = toml::from_str(declared).unwrap();
    assert_eq!(declared.exchange, ["notes:a".parse().unwrap()]);
    assert_eq!(
        toml::from_str::<ClientMetadata>(&toml::to_string(&declared).unwrap()),
        Ok(declared)
    );
}

#[test]
fn an_audience_is_a_clients_own_by_its_id_or_as_an_api() {
    let mut client = app(ClientType::Confidential, "https://app.example/");
    client.audiences = vec!["notes".to_owned()];
    assert!(client.is_audience("app") && !client.is_audience("notes"), "it calls notes");
    client.kind = ClientType::Api;
    assert!(client.is_audience("app") && client.is_audience("notes") && !client.is_audience("x"));
}
