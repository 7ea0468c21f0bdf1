use serde_json::json;

use super::*;
use crate::domain::token_exchange::Exchange;

const REDIRECT: &str = "https://app.example/cb";

fn base() -> ClientMetadata {
    ClientMetadata::named("id", "id", ClientType::Confidential)
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn register(members: Value) -> Result<ClientMetadata, BadMetadata> {
    let allowed = scope("openid profile offline_access notes:read");
    Registration::parse(members.to_string().as_bytes())?.on(&base(), &allowed)
}

#[track_caller]
fn refused(members: Value, part: &str) {
    match register(members.clone()) {
        Err(BadMetadata::Metadata(why)) => assert!(why.contains(part), "{members}: {why}"),
        other => panic!("{members}: {other:?}"),
    }
}

#[test]
fn what_is_left_out_is_as_the_standard_says() {
    let client = register(json!({ "redirect_uris": [REDIRECT], "scope": null })).unwrap();
    assert_eq!(client.kind, ClientType::Confidential);
    assert_eq!(client.authenticates_by(), ClientAuthentication::ClientSecret);
    assert_eq!(client.name, "id");
    // Nothing was said of refresh tokens.
    assert_eq!(client.scopes, ["openid", "profile", "notes:read"]);
    let told = Registration::of(&client);
    assert_eq!(told.grant_types.as_deref(), Some(&["authorization_code".to_owned()][..]));
    assert_eq!(told.response_types.as_deref(), Some(&["code".to_owned()][..]));
    assert_eq!(told.token_endpoint_auth_method.as_deref(), Some("client_secret_basic"));
    assert_eq!(told.application_type.as_deref(), Some("web"));
    assert_eq!(client.check(), Ok(()));
}

#[test]
fn the_kind_follows_from_grants_and_authentication() {
    let kind = |method: &str, grants: &[&str]| {
        let redirects: &[&str] =
            if grants.contains(&"authorization_code") { &[REDIRECT] } else { &[] };
        let members = json!({
            "redirect_uris": redirects,
            "grant_types": grants,
            "token_endpoint_auth_method": method,
        });
        let client = register(members).unwrap();
        client.check().map(|()| (client.kind, client.client_credentials, client.device)).ok()
    };
    let code = "authorization_code";
    let found = [
        kind("client_secret_post", &[code, "client_credentials"]),
        kind("client_secret_basic", &["client_credentials"]),
        kind("none", &[code, "refresh_token"]),
        kind("none", &[DEVICE_CODE]),
        kind("client_secret_basic", &[DEVICE_CODE, "refresh_token"]),
        // A public client has no tokens of its own.
        kind("none", &[code, "client_credentials"]),
        kind("none", &["client_credentials"]),
    ];
    let expected = [
        Some((ClientType::Confidential, true, false)),
        Some((ClientType::Service, false, false)),
        Some((ClientType::Public, false, false)),
        Some((ClientType::Public, false, true)),
        Some((ClientType::Confidential, false, true)),
        None,
        None,
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    for (name, _) in REFUSED {
        refused(json!({ "redirect_uris": [REDIRECT], *name: "x" }), name);
        assert!(register(json!({ "redirect_uris": [REDIRECT], *name: false })).is_ok(), "{name}");
    }
    let with = |name: &str, value: Value| json!({ "redirect_uris": [REDIRECT], name: value });
    for (name, value, part) in [
        ("grant_types", json!(["authorization_code", "implicit"]), "`implicit`"),
        ("grant_types", json!(["authorization_code", TOKEN_EXCHANGE]), "operator"),
        ("grant_types", json!(["refresh_token"]), "grant_types"),
        ("grant_types", json!("authorization_code"), "grant_types"),
        ("response_types", json!(["code", "token"]), "response_types"),
        ("token_endpoint_auth_method", json!("client_secret_jwt"), "client_secret_jwt"),
        ("token_endpoint_auth_method", json!("private_key_jwt"), "jwks"),
        ("jwks_uri", json!("https://app.example/jwks"), "private_key_jwt"),
        ("id_token_signed_response_alg", json!("none"), "id_token_signed_response_alg"),
        ("subject_type", json!("secret"), "subject_type"),
        ("application_type", json!("mobile"), "application_type"),
        ("client_name", json!(5), "client_name"),
        ("scope", json!("openid email"), "`email`"),
        ("scope", json!("openid  profile"), "scope"),
        ("scope", json!(""), "scope"),
    ] {
        refused(with(name, value), part);
    }
    let many: Vec<String> = (0..51).map(|number| format!("{REDIRECT}/{number}")).collect();
    assert!(register(json!({ "redirect_uris": many[1..] })).is_ok());
    refused(json!({ "redirect_uris": many }), "at most 50");
    let long = format!("{REDIRECT}/{}", "x".repeat(2_000));
    refused(with("post_logout_redirect_uris", json!([long])), "2000 bytes");
    for text in ["", "[]", "null", "{\"a\":1", &"[".repeat(60_000)] {
        assert!(Registration::parse(text.as_bytes()).is_err());
    }
    for uris in [json!(["http://app.example/cb"]), json!(["myapp:/cb"]), json!([])] {
        let refused = register(json!({ "redirect_uris": uris })).unwrap_err();
        assert!(matches!(refused, BadMetadata::RedirectUri(_)), "{uris}");
    }
}

#[test]
fn an_empty_limit_is_no_way_to_the_default_scopes() {
    let service = json!({ "grant_types": ["client_credentials"] });
    let registration = Registration::parse(service.to_string().as_bytes()).unwrap();
    for limit in ["", "offline_access"] {
        assert!(registration.on(&base(), &scope(limit)).is_err(), "{limit}");
    }
}

#[test]
fn what_is_sent_back_changes_nothing() {
    let mut everything = base();
    everything.redirect_uris = vec![REDIRECT.to_owned()];
    everything.scopes = vec!["openid".to_owned(), "offline_access".to_owned()];
    everything.launch_url = Some("https://app.example/start".to_owned());
    everything.post_logout_uris = vec!["https://app.example/bye".to_owned()];
    everything.backchannel_logout_uri = Some("https://app.example/ended".to_owned());
    everything.subject_type = SubjectType::Pairwise;
    everything.id_token_alg = Some(Algorithm::ES256);
    everything.userinfo_signed_response_alg = Some(Algorithm::RS256);
    everything.client_credentials = true;
    everything.device = true;
    everything.par = true;
    everything.jwks_uri = Some("https://app.example/jwks".to_owned());
    // What an operator has added.
    everything.audiences = vec!["notes".to_owned()];
    everything.exchange = vec![Exchange { audience: "orders".to_owned(), scopes: vec![] }];
    everything.claims = vec!["roles".to_owned()];
    everything.two_factors = true;
    everything.lifetimes.at_ttl = Some(std::time::Duration::from_mins(1));
    let mut public = base();
    public.kind = ClientType::Public;
    public.redirect_uris = vec!["http://127.0.0.1/cb".to_owned()];
    public.scopes = vec!["openid".to_owned()];
    let mut service = base();
    service.kind = ClientType::Service;
    service.scopes = vec!["notes:read".to_owned()];
    // Of no use to a service, and told all the same.
    service.id_token_alg = Some(Algorithm::ES256);
    service.par = true;
    for client in [everything, public, service] {
        let told = Value::Object(Registration::of(&client).to_members()).to_string();
        let again = Registration::parse(told.as_bytes()).unwrap();
        assert_eq!(again.on(&client, &client.allowed_scopes()).as_ref(), Ok(&client), "{told}");
    }
}

#[test]
fn a_replacement_names_its_client_and_nothing_of_the_server() {
    let parse = |members: Value| Replacement::parse(members.to_string().as_bytes());
    let read = parse(json!({ "client_id": "a", "client_secret": "s" })).unwrap();
    assert_eq!(read.client_id, "a");
    assert!(!format!("{read:?}").contains("\"s\""));
    assert!(parse(json!({})).is_err());
    for name in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    ] {
        assert!(parse(json!({ "client_id": "a", name: 0 })).is_err(), "{name}");
    }
}
