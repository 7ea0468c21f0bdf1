//! Clients that register themselves (RFC 7591) and manage their registration (RFC 7592).

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::event::{Actor, EndKind, EndReason, EventKind};
use aa_server::ops::registration_tokens::{self, TokenRequest};
use aa_server::ops::{clients, refusals};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use rstest_reuse::apply;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::processes::Deployment;
use crate::support::{Answer, CALLBACK, Engine, OAuthApp, TestApp, both_databases, client, read};

const ON: [(&str, &str); 1] = [("client_registration", "initial_access_token")];

async fn start(engine: Engine) -> Option<TestApp> {
    TestApp::on(engine, &ON).await
}

fn asked(name: &str) -> TokenRequest {
    TokenRequest {
        name: name.to_owned(),
        scopes: Vec::new(),
        validity: Duration::from_hours(1),
        uses: None,
        max_clients: 100,
    }
}

async fn token(t: &TestApp, request: &TokenRequest) -> String {
    let made = registration_tokens::add(&t.authority, request, &Caller::operator()).await;
    made.unwrap().0.expose_secret().to_owned()
}

fn web_app() -> Value {
    json!({
        "client_name": "Board",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

async fn register(t: &TestApp, token: &str, members: &Value) -> Answer {
    let request = client().post(format!("{}/oauth/register", t.url)).bearer_auth(token);
    read(request.json(members).send().await.unwrap()).await
}

/// A request to the address that the registration was answered with, with its token.
async fn manage(registered: &Value, method: Method, body: Option<&Value>) -> Answer {
    let token = registered["registration_access_token"].as_str().unwrap();
    manage_with(registered, token, method, body).await
}

async fn manage_with(
    registered: &Value,
    token: &str,
    method: Method,
    body: Option<&Value>,
) -> Answer {
    let url = registered["registration_client_uri"].as_str().unwrap();
    let mut request = client().request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    read(request.send().await.unwrap()).await
}

/// What a client may send back of what it was answered (RFC 7592 §2.2).
fn own_members(registered: &Value) -> Value {
    let mut members = registered.as_object().unwrap().clone();
    for name in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    ] {
        members.remove(name);
    }
    members.into()
}

#[track_caller]
fn is_challenged(answer: &Answer, challenge: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.json);
    assert_eq!(answer.headers["www-authenticate"], challenge);
    assert_eq!(answer.json["error"], "invalid_token");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

const NO_TOKEN: &str = "Bearer realm=\"registration\"";
const BAD_TOKEN: &str = "Bearer realm=\"registration\", error=\"invalid_token\"";

fn app(t: &TestApp, registered: &Value) -> OAuthApp {
    let mut app = t.registered(registered["client_id"].as_str().unwrap());
    app.secret = registered["client_secret"].as_str().map(str::to_owned);
    app
}

async fn count(t: &TestApp) -> usize {
    t.authority.store.clients_after("", 1_000).await.unwrap().len()
}

#[apply(both_databases)]
async fn a_pipeline_registers_an_app_changes_it_and_removes_it(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let initial = token(&t, &asked("ci")).await;
    let made = register(&t, &initial, &web_app()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!(made.headers["cache-control"], "no-store");
    let registered = made.json;
    let id = registered["client_id"].as_str().unwrap();
    assert_eq!(registered["client_secret"].as_str().unwrap().len(), 43);
    assert_eq!(registered["client_secret_expires_at"], 0);
    assert_eq!(registered["client_id_issued_at"], t.authority.now().secs());
    assert_eq!(registered["registration_client_uri"], format!("{}/oauth/register/{id}", t.url));
    for (name, value) in [
        ("client_name", json!("Board")),
        ("redirect_uris", json!([CALLBACK])),
        ("grant_types", json!(["authorization_code", "refresh_token"])),
        ("response_types", json!(["code"])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("scope", json!("openid profile email offline_access")),
        ("subject_type", json!("public")),
        ("application_type", json!("web")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("require_pushed_authorization_requests", json!(false)),
        ("dpop_bound_access_tokens", json!(false)),
    ] {
        assert_eq!(registered[name], value, "{name}");
    }
    let [event] = &t.events("app.made").await[..] else { panic!("one event") };
    assert_eq!(
        (event.actor.as_str(), event.client_id.as_deref()),
        (&*format!("client:{id}"), Some(id))
    );
    assert_eq!(event.detail["registration_token"], "ci");

    // It works as any other.
    let app = app(&t, &registered);
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    assert_eq!(second.claims()["aud"], *id, "its tokens are for itself");

    let userinfo = client().get(format!("{}/oauth/userinfo", t.url));
    let userinfo = userinfo.bearer_auth(second.access_token()).send().await.unwrap();
    assert_eq!(userinfo.status(), StatusCode::OK);

    // It reads what it has, but for its secret, of which there is only a hash.
    let read = manage(&registered, Method::GET, None).await.ok().json;
    let mut expected = registered.clone();
    expected.as_object_mut().unwrap().retain(|name, _| !name.starts_with("client_secret"));
    assert_eq!(read, expected);

    // It replaces all of it: what is left out is gone.
    let mut members = own_members(&registered);
    members["client_name"] = json!("The board");
    members["post_logout_redirect_uris"] = json!(["http://localhost:9/bye"]);
    let changed = manage(&registered, Method::PUT, Some(&members)).await.ok().json;
    assert_eq!(changed["client_name"], "The board");
    assert_eq!(changed["post_logout_redirect_uris"], json!(["http://localhost:9/bye"]));
    members.as_object_mut().unwrap().remove("post_logout_redirect_uris");
    let changed = manage(&registered, Method::PUT, Some(&members)).await.ok().json;
    assert!(changed.get("post_logout_redirect_uris").is_none());
    assert_eq!(t.events("app.changed").await.len(), 2);
    assert_eq!(t.events("app.changed").await[0].actor, format!("client:{id}"));
    manage(&registered, Method::PUT, Some(&members)).await.ok();
    assert_eq!(t.events("app.changed").await.len(), 2, "nothing was changed");
    app.refresh(second.refresh_token()).await.ok();

    // And it is gone, with its sessions and its secret.
    let gone = manage(&registered, Method::DELETE, None).await;
    assert_eq!((gone.status, gone.json), (StatusCode::NO_CONTENT, json!("")));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        is_challenged(&manage(&registered, method, Some(&members)).await, BAD_TOKEN);
    }
    assert_eq!(app.refresh(second.refresh_token()).await.status, StatusCode::UNAUTHORIZED);
    let userinfo = client().get(format!("{}/oauth/userinfo", t.url));
    let userinfo = userinfo.bearer_auth(second.access_token()).send().await.unwrap();
    assert_eq!(userinfo.status(), StatusCode::UNAUTHORIZED);
    let ends = t.authority.store.ends_after(0, 10).await.unwrap();
    let end = ends.last().unwrap();
    assert_eq!((end.kind, end.reason), (EndKind::Client, EndReason::ClientDisabled));
    assert_eq!(end.client_id.as_deref(), Some(id));
    let [event] = &t.events("app.removed").await[..] else { panic!("one event") };
    assert_eq!(event.actor, format!("client:{id}"));
    // An operator who enables it again does not give it back its secret.
    clients::set_enabled(&t.authority, id, true, &Caller::operator()).await.unwrap();
    assert_eq!(app.refresh(second.refresh_token()).await.status, StatusCode::UNAUTHORIZED);
    is_challenged(&manage(&registered, Method::GET, None).await, BAD_TOKEN);
}

#[apply(both_databases)]
async fn without_a_token_that_counts_nothing_is_registered(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let url = format!("{}/oauth/register", t.url);
    // None was made yet.
    is_challenged(&register(&t, "iat_x", &web_app()).await, BAD_TOKEN);
    let none = read(client().post(&url).json(&web_app()).send().await.unwrap()).await;
    is_challenged(&none, NO_TOKEN);
    let basic = client().post(&url).basic_auth("ci", Some("x")).json(&web_app());
    is_challenged(&read(basic.send().await.unwrap()).await, NO_TOKEN);

    let once = token(&t, &TokenRequest { uses: Some(1), ..asked("once") }).await;
    let registered = register(&t, &once, &web_app()).await;
    assert_eq!(registered.status, StatusCode::CREATED);
    is_challenged(&register(&t, &once, &web_app()).await, BAD_TOKEN);
    let revoked = token(&t, &asked("revoked")).await;
    registration_tokens::revoke(&t.authority, "revoked", &Caller::operator()).await.unwrap();
    is_challenged(&register(&t, &revoked, &web_app()).await, BAD_TOKEN);
    let expired = token(&t, &asked("expired")).await;
    // Neither is the registration access token of a client good for another, nor the other way round.
    let own = registered.json["registration_access_token"].as_str().unwrap();
    is_challenged(&register(&t, own, &web_app()).await, BAD_TOKEN);
    is_challenged(&manage_with(&registered.json, &expired, Method::GET, None).await, BAD_TOKEN);
    t.advance(3_600);
    is_challenged(&register(&t, &expired, &web_app()).await, BAD_TOKEN);
    assert_eq!(count(&t).await, 1);
    assert_eq!(t.events("registration_token.made").await.len(), 3);
    let [event] = &t.events("registration_token.revoked").await[..] else { panic!("one event") };
    assert_eq!((event.actor.as_str(), &event.detail["name"]), ("operator", &json!("revoked")));
}

#[apply(both_databases)]
async fn uses_and_apps_of_a_token_are_counted_however_many_come_at_once(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let few = token(&t, &TokenRequest { uses: Some(3), ..asked("few") }).await;
    let body = web_app();
    let answers = join_all((0..12).map(|_| register(&t, &few, &body))).await;
    let made = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!((made, count(&t).await), (3, 3));

    let two = token(&t, &TokenRequest { max_clients: 2, ..asked("two") }).await;
    let answers = join_all((0..12).map(|_| register(&t, &two, &body))).await;
    let (made, refused): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!((made.len(), count(&t).await), (2, 5));
    assert!(refused.iter().all(|answer| answer.status == StatusCode::FORBIDDEN));
    // One that goes makes room for another.
    let gone = manage(&made[0].json, Method::DELETE, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(register(&t, &two, &body).await.status, StatusCode::CREATED);
    assert_eq!(register(&t, &two, &body).await.status, StatusCode::FORBIDDEN);
}

#[apply(both_databases)]
async fn a_token_is_for_the_client_that_it_was_made_for(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let initial = token(&t, &asked("ci")).await;
    let (one, other) = (
        register(&t, &initial, &web_app()).await.json,
        register(&t, &initial, &web_app()).await.json,
    );
    t.confidential().await;
    let foreign = other["registration_access_token"].as_str().unwrap();
    let body = own_members(&one);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        is_challenged(&manage_with(&one, foreign, method.clone(), Some(&body)).await, BAD_TOKEN);
        // An operator's client has no such token, and there are ids that no client has.
        for id in ["backend", "unknown", "%00"] {
            let url = format!("{}/oauth/register/{id}", t.url);
            let request = client().request(method.clone(), &url).bearer_auth(foreign).json(&body);
            is_challenged(&read(request.send().await.unwrap()).await, BAD_TOKEN);
        }
    }
    refusals::record(&t.authority, true).await;
    let refused = t.events("client.refused").await;
    let of = |id: &Value| refused.iter().any(|event| event.client_id.as_deref() == id.as_str());
    assert!(of(&one["client_id"]) && of(&json!("backend")) && !of(&json!("unknown")));

    // Nor does it name another client in what it sends, or choose a secret.
    for (name, value) in [("client_id", &other["client_id"]), ("client_secret", &json!("x"))] {
        let mut body = own_members(&one);
        body[name] = value.clone();
        manage(&one, Method::PUT, Some(&body)).await.refused("invalid_client_metadata");
    }
    manage(&one, Method::PUT, Some(&own_members(&one))).await.ok();

    // A disabled client does not enable itself.
    let id = one["client_id"].as_str().unwrap();
    clients::set_enabled(&t.authority, id, false, &Caller::operator()).await.unwrap();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        is_challenged(&manage(&one, method, Some(&body)).await, BAD_TOKEN);
    }
    assert!(!t.authority.store.client(id).await.unwrap().unwrap().enabled);
}

#[apply(both_databases)]
async fn what_is_the_operators_is_out_of_reach(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let limit = vec!["openid offline_access".to_owned(), "notes:read".to_owned()];
    let initial = token(&t, &TokenRequest { scopes: limit, ..asked("ci") }).await;
    let mut greedy = web_app();
    for (name, value) in [
        ("client_id", json!("notes")),
        ("client_secret", json!("a secret of its own choice, long enough")),
        ("kind", json!("api")),
        ("audiences", json!(["notes"])),
        ("aud", json!("notes")),
        ("exchange", json!([{ "audience": "notes", "scopes": ["notes:read"] }])),
        ("claims", json!(["roles"])),
        ("at_alg", json!("HS256")),
        ("always_refresh", json!(true)),
        ("no_pkce", json!(true)),
        ("outlives_sign_out", json!(true)),
        ("lifetimes", json!({ "family_ttl": "9000d" })),
        ("logo_uri", json!("https://elsewhere.example/logo.png")),
    ] {
        greedy[name] = value;
    }
    let registered = register(&t, &initial, &greedy).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.json);
    let registered = registered.json;
    assert!(registered.get("logo_uri").is_none(), "what was not registered is not told");
    let id = registered["client_id"].as_str().unwrap();
    assert_ne!(id, "notes");
    let stored = t.authority.store.client(id).await.unwrap().unwrap().metadata;
    let mut expected = ClientMetadata::named(id, "Board", ClientType::Confidential);
    expected.redirect_uris = vec![CALLBACK.to_owned()];
    expected.scopes = ["openid", "offline_access", "notes:read"].map(str::to_owned).to_vec();
    assert_eq!(stored, expected);

    // No more than the token allows, at any time.
    let mut wide = web_app();
    wide["scope"] = json!("openid notes:write");
    let refused = register(&t, &initial, &wide).await;
    refused.refused("invalid_client_metadata");
    assert!(refused.json["error_description"].as_str().unwrap().contains("notes:write"));
    let mut body = own_members(&registered);
    body["scope"] = json!("openid notes:write");
    manage(&registered, Method::PUT, Some(&body)).await.refused("invalid_client_metadata");
    body["scope"] = json!("openid notes:read");
    manage(&registered, Method::PUT, Some(&body)).await.ok();
    body["scope"] = json!("openid offline_access");
    manage(&registered, Method::PUT, Some(&body)).await.refused("invalid_client_metadata");

    // What an operator has set stays.
    let mut metadata = t.authority.store.client(id).await.unwrap().unwrap().metadata;
    metadata.two_factors = true;
    metadata.claims = vec!["email".to_owned()];
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    body["scope"] = json!("openid");
    manage(&registered, Method::PUT, Some(&body)).await.ok();
    let stored = t.authority.store.client(id).await.unwrap().unwrap().metadata;
    assert!(stored.two_factors && stored.claims == ["email"] && stored.scopes == ["openid"]);

    // As an agent it could turn into an app whose users are not asked: that is the operator's to manage, too.
    let mut agent = stored.clone();
    (agent.kind, agent.jwks_uri) =
        (ClientType::Agent, Some("https://agent.example/jwks".to_owned()));
    clients::apply(&t.authority, &agent, &Caller::operator()).await.unwrap();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = manage(&registered, method, Some(&body)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.json);
    }

    // As an API it could read the feed of ends and introspect: that is the operator's to manage.
    let mut api = stored;
    (api.kind, api.redirect_uris, api.scopes) = (ClientType::Api, Vec::new(), Vec::new());
    clients::apply(&t.authority, &api, &Caller::operator()).await.unwrap();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = manage(&registered, method, Some(&body)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.json);
    }
}

#[apply(both_databases)]
async fn each_kind_of_client_registers_with_its_own_authentication(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let limit = vec!["openid notes:read".to_owned()];
    let initial = token(&t, &TokenRequest { scopes: limit, ..asked("ci") }).await;
    let public = json!({
        "redirect_uris": ["http://127.0.0.1/cb"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    });
    let public = register(&t, &initial, &public).await.json;
    assert_eq!(public["application_type"], "native");
    assert!(
        public.get("client_secret").is_none() && public.get("client_secret_expires_at").is_none()
    );
    let service = json!({ "grant_types": ["client_credentials"], "scope": "notes:read" });
    let service = register(&t, &initial, &service).await.json;
    assert_eq!(service["response_types"], json!([]));
    let answer = app(&t, &service).token(&[("grant_type", "client_credentials")]).await.ok();
    assert_eq!(
        (&answer.json["scope"], &answer.claims()["aud"]),
        (&json!("notes:read"), &service["client_id"])
    );
    let keys = json!({
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://app.example/jwks",
    });
    let keys = register(&t, &initial, &keys).await.json;
    assert_eq!(keys["jwks_uri"], "https://app.example/jwks");
    assert!(keys.get("client_secret").is_none());

    // From keys to a secret there is no way back; from a secret to keys the secret goes.
    let mut body = own_members(&keys);
    body.as_object_mut().unwrap().retain(|name, _| !name.starts_with("jwks"));
    body["token_endpoint_auth_method"] = json!("client_secret_basic");
    manage(&keys, Method::PUT, Some(&body)).await.refused("invalid_client_metadata");
    body = own_members(&public);
    body["token_endpoint_auth_method"] = json!("client_secret_basic");
    manage(&public, Method::PUT, Some(&body)).await.refused("invalid_client_metadata");
    let mut body = own_members(&service);
    body["token_endpoint_auth_method"] = json!("private_key_jwt");
    body["jwks_uri"] = json!("https://app.example/jwks");
    let changed = manage(&service, Method::PUT, Some(&body)).await.ok().json;
    assert_eq!(changed["token_endpoint_auth_method"], "private_key_jwt");
    let answer = app(&t, &service).token(&[("grant_type", "client_credentials")]).await;
    assert_eq!(answer.json["error"], "invalid_client");
}

#[tokio::test]
async fn what_cannot_be_registered_has_its_own_error() {
    let t = TestApp::with(None, &ON).await;
    let initial = token(&t, &asked("ci")).await;
    for (members, error) in [
        (json!({ "redirect_uris": ["http://app.example/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": CALLBACK }), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": [CALLBACK], "grant_types": ["implicit"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [CALLBACK], "client_name": "a\u{0}b" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [CALLBACK], "initiate_login_uri": "javascript:1" }),
            "invalid_client_metadata",
        ),
        (json!({ "redirect_uris": [CALLBACK], "jwks": {} }), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": [CALLBACK], "subject_type": "pairwise",
                 "sector_identifier_uri": "https://a.example/s" }),
            "invalid_client_metadata",
        ),
        (json!([]), "invalid_client_metadata"),
    ] {
        let answer = register(&t, &initial, &members).await;
        answer.refused(error);
        let why = answer.json["error_description"].as_str().unwrap();
        assert!(!why.is_empty() && why.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{why}");
    }
    let form = client().post(format!("{}/oauth/register", t.url)).bearer_auth(&initial);
    let form = form.form(&[("client_name", "x")]).send().await.unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(count(&t).await, 0);
    let tokens = t.authority.store.registration_tokens_after("", 9).await.unwrap();
    assert_eq!(tokens[0].registrations, 0, "what was refused is no use");
}

#[tokio::test]
async fn registration_is_there_where_it_is_turned_on() {
    let off = TestApp::sqlite().await;
    let on = TestApp::with(None, &ON).await;
    for path in ["openid-configuration", "oauth-authorization-server"] {
        let endpoint = async |t: &TestApp| {
            let url = format!("{}/.well-known/{path}", t.url);
            let document: Value = client().get(url).send().await.unwrap().json().await.unwrap();
            document.get("registration_endpoint").cloned()
        };
        assert_eq!(endpoint(&off).await, None);
        assert_eq!(endpoint(&on).await, Some(json!(format!("{}/oauth/register", on.url))));
    }
    let initial = token(&off, &asked("ci")).await;
    assert_eq!(register(&off, &initial, &web_app()).await.status, StatusCode::NOT_FOUND);
    let registered = json!({ "registration_client_uri": format!("{}/oauth/register/x", off.url) });
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = manage_with(&registered, &initial, method, Some(&json!({}))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(count(&off).await, 0);
}

#[tokio::test]
async fn guesses_are_counted_and_right_tokens_are_not() {
    let t = TestApp::with(None, &ON).await;
    let initial = token(&t, &TokenRequest { max_clients: 500, ..asked("ci") }).await;
    for _ in 0..110 {
        assert_eq!(register(&t, &initial, &web_app()).await.status, StatusCode::CREATED);
    }
    for _ in 0..100 {
        is_challenged(&register(&t, "iat_guess", &web_app()).await, BAD_TOKEN);
    }
    let refused = register(&t, "iat_guess", &web_app()).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn the_database_has_no_token_and_no_secret() {
    let t = TestApp::with(None, &ON).await;
    let initial = token(&t, &asked("ci")).await;
    let registered = register(&t, &initial, &web_app()).await.json;
    manage(&registered, Method::PUT, Some(&own_members(&registered))).await.ok();
    let file = t.database_url.strip_prefix("sqlite://").unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    bytes.extend(std::fs::read(format!("{file}-wal")).unwrap_or_default());
    let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("Board"), "the test sees what is there");
    assert!(!has(&initial["iat_".len()..]));
    for name in ["registration_access_token", "client_secret"] {
        let text = registered[name].as_str().unwrap().trim_start_matches("rat_");
        assert!(!has(text), "{name}");
    }
}

#[test]
fn operators_make_list_and_revoke_tokens() {
    let deployment = Deployment::migrated();
    let add = ["app", "registration-token", "add", "--name", "ci"];
    let more = ["--expires", "7d", "--uses", "5", "--scope", "openid", "notes:read"];
    let made = deployment.json(&[&add[..], &more].concat(), "");
    assert_eq!(made["token"].as_str().unwrap().len(), "iat_".len() + 43);
    let listed = deployment.json(&["app", "registration-token", "list"], "");
    assert_eq!(listed[0]["name"], "ci");
    assert_eq!(listed[0]["scopes"], json!(["openid", "notes:read"]));
    assert_eq!((&listed[0]["registrations"], &listed[0]["uses"]), (&json!(0), &json!(5)));
    assert_eq!((&listed[0]["clients"], &listed[0]["max_clients"]), (&json!(0), &json!(100)));
    assert_eq!(listed[0]["expires_at"], made["expires_at"]);
    assert!(!listed.to_string().contains("iat_"), "a token is printed once");
    let refused = |args: &[&str], part: &str| {
        let output = deployment.command().args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_ne!(output.status.code(), Some(0));
        assert!(said.contains(part), "{args:?}: {said}");
    };
    refused(&add, "there is a registration token `ci` already");
    let new = ["app", "registration-token", "add", "--name", "new"];
    refused(&[&new[..], &["--expires", "500d"]].concat(), "400d");
    refused(&[&new[..], &["--uses", "0"]].concat(), "at least 1");
    refused(&[&new[..4], &["a b"]].concat(), "letters, digits");
    refused(&["app", "registration-token", "revoke", "new"], "no registration token `new`");
    let revoked = deployment.json(&["app", "registration-token", "revoke", "ci"], "");
    assert_eq!(revoked, json!({ "name": "ci", "revoked": true }));
    assert_eq!(deployment.json(&["app", "registration-token", "list"], ""), json!([]));
    let text = deployment.command().args(new).output().unwrap();
    let (said, noted) =
        (String::from_utf8(text.stdout).unwrap(), String::from_utf8(text.stderr).unwrap());
    assert!(
        said.contains("not shown again") && noted.contains("AA_CLIENT_REGISTRATION"),
        "{said}{noted}"
    );
    let kinds = deployment.json(&["events", "list"], "").to_string();
    assert!(kinds.contains("registration_token.made") && !kinds.contains("iat_"));
}

#[apply(both_databases)]
async fn a_replacement_undoes_no_change_that_came_between(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let initial = token(&t, &asked("ci")).await;
    let registered = register(&t, &initial, &web_app()).await.json;
    let id = registered["client_id"].as_str().unwrap();
    let store = &t.authority.store;
    let before = store.client(id).await.unwrap().unwrap();
    let event = || {
        let (kind, actor) = (EventKind::ClientChanged, Actor::Client(id.to_owned()));
        t.authority.event(kind, actor, &Caller::operator()).client(id)
    };
    let now = t.authority.now();
    let mut meanwhile = before.metadata.clone();
    meanwhile.two_factors = true;
    clients::apply(&t.authority, &meanwhile, &Caller::operator()).await.unwrap();
    let replaced = store.replace_client(&before.metadata, before.version, event(), now).await;
    assert_eq!(replaced.unwrap(), None);
    clients::set_enabled(&t.authority, id, false, &Caller::operator()).await.unwrap();
    let version = store.client(id).await.unwrap().unwrap().version;
    let replaced = store.replace_client(&before.metadata, version, event(), now).await;
    assert_eq!(replaced.unwrap(), None);
    assert!(store.client(id).await.unwrap().unwrap().metadata.two_factors);
}
