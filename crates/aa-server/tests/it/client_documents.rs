//! Agents whose client id is the address of their metadata (draft-ietf-oauth-client-id-metadata-document).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::client_document;
use aa_server::domain::event::{Actor, EventKind};
use aa_server::ops::clients;
use aa_server::store::Keeping;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::processes::Deployment;
use crate::support::{
    Browser, CALLBACK, Engine, OAuthApp, TestApp, answer_of, both_databases, client, location,
};

const ON: [(&str, &str); 2] = [("client_id_metadata", "on"), ("delivery_networks", "127.0.0.0/8")];
const NOTES: (&str, &str) = ("resource", "https://notes.example/mcp");
const MAIL: (&str, &str) = ("resource", "https://mail.example/mcp");
const SCOPE: (&str, &str) = ("scope", "openid notes:read notes:write mail:send");

/// The place where an agent publishes its metadata. Every path but that of the agent's answers as its name says.
struct Publisher {
    url: String,
    document: Arc<Mutex<(u16, String)>>,
    fetches: Arc<AtomicUsize>,
}

impl Publisher {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/agent.json", listener.local_addr().unwrap().port());
        let document = Arc::new(Mutex::new((200, Self::document(&url).to_string())));
        let (answer, fetches) = (Arc::clone(&document), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&fetches);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                count.fetch_add(1, Ordering::SeqCst);
                let (status, body) = answer.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nlocation: /agent.json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self { url, document, fetches }
    }

    fn document(url: &str) -> Value {
        json!({
            "client_id": url,
            "client_name": "Night Owl",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        })
    }

    fn publish(&self, status: u16, body: impl Into<String>) {
        *self.document.lock().unwrap() = (status, body.into());
    }

    fn change(&self, name: &str, value: Value) {
        let mut document = Self::document(&self.url);
        document[name] = value;
        self.publish(200, document.to_string());
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

async fn start(engine: Engine, settings: &[(&'static str, &str)]) -> Option<TestApp> {
    let t = TestApp::on(engine, settings).await?;
    t.add_client("notes", ClientType::Api, |api| {
        api.name = "Notes".to_owned();
        api.audiences = vec![NOTES.1.to_owned()];
        api.agent_scopes = ["notes:read", "offline_access"].map(str::to_owned).to_vec();
    })
    .await;
    t.add_client("mail", ClientType::Api, |api| {
        api.audiences = vec![MAIL.1.to_owned()];
        api.agent_scopes = vec!["mail:send".to_owned()];
    })
    .await;
    t.add_client("closed", ClientType::Api, |_| ()).await;
    Some(t)
}

async fn change(t: &TestApp, id: &str, change: impl FnOnce(&mut ClientMetadata)) {
    let mut metadata = t.authority.store.client(id).await.unwrap().unwrap().metadata;
    change(&mut metadata);
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
}

async fn status_of(browser: &Browser, agent: &OAuthApp) -> StatusCode {
    browser.ask(agent, &[NOTES, SCOPE]).await.status()
}

#[apply(both_databases)]
async fn an_agent_signs_in_by_the_address_of_its_metadata(#[case] engine: Engine) {
    let Some(t) = start(engine, &ON).await else { return };
    let publisher = Publisher::start().await;
    let agent = t.registered(&publisher.url);
    let browser = t.signed_in("ann@example.com").await;
    let page = location(&browser.ask(&agent, &[NOTES, SCOPE]).await);
    let html = browser.get(&page).await.text().await.unwrap();
    for text in [
        "Allow Night Owl?",
        "<strong>127.0.0.1</strong>",
        &publisher.url,
        "Use “notes:read”",
        "Go on while you are away",
        "8 hours at most",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("notes:write") && !html.contains("mail:send"));
    let denied = answer_of(&browser.continue_to(&page, "cancel").await);
    assert_eq!(denied["error"], "access_denied");
    assert!(t.authority.store.client(&publisher.url).await.unwrap().is_none(), "not kept yet");

    let tokens = agent.redeem(&browser.open_with(&agent, &[NOTES, SCOPE]).await).await.ok();
    let claims = tokens.claims();
    assert_eq!(claims["client_id"], json!(publisher.url));
    assert_eq!(claims["scope"], "notes:read offline_access");
    assert_eq!(claims["aud"], NOTES.1);
    let next = agent.refresh(tokens.refresh_token()).await.ok();
    agent.redeem(&browser.open_with(&agent, &[NOTES, SCOPE]).await).await.ok();
    assert_eq!(publisher.fetches(), 1, "it is fetched once in ten minutes");
    let made = t.events("app.made").await;
    let made: Vec<_> = made.iter().filter(|it| it.client_id.as_ref() == Some(&agent.id)).collect();
    assert_eq!((made.len(), &made[0].detail["metadata_document"]), (1, &json!(true)));
    assert!(t.events("app.changed").await.is_empty());
    let sessions = browser.get("/sessions").await.text().await.unwrap();
    assert!(sessions.contains("<strong>Night Owl</strong> <span class=\"badge plain\">Agent"));

    // Without what the document says of refresh tokens, there is none.
    publisher.change("grant_types", json!(["authorization_code"]));
    t.advance(601);
    let tokens = agent.redeem(&browser.open_with(&agent, &[NOTES, SCOPE]).await).await.ok();
    assert!(tokens.json.get("refresh_token").is_none());
    assert_eq!((publisher.fetches(), t.events("app.changed").await.len()), (2, 1));
    assert!(!t.is_live(next.family()).await, "one session of an app in a browser");
}

#[apply(both_databases)]
async fn without_the_setting_there_is_no_such_agent(#[case] engine: Engine) {
    let Some(t) = start(engine, &ON).await else { return };
    let supported = async |t: &TestApp| {
        let url = format!("{}/.well-known/oauth-authorization-server", t.url);
        let metadata: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        metadata.get("client_id_metadata_document_supported").cloned()
    };
    assert_eq!(supported(&t).await, Some(json!(true)));
    let publisher = Publisher::start().await;
    let agent = t.registered(&publisher.url);
    let browser = t.signed_in("ann@example.com").await;
    let tokens = agent.redeem(&browser.open_with(&agent, &[NOTES, SCOPE]).await).await.ok();

    let off = TestApp::with(Some(t.database_url.clone()), &[ON[1]]).await;
    assert_eq!(supported(&off).await, None);
    let fetches = publisher.fetches();
    let browser = Browser::new(&off.url);
    assert_eq!(status_of(&browser, &agent.at(&off.url)).await, StatusCode::BAD_REQUEST);
    assert_eq!(publisher.fetches(), fetches);
    let refused = agent.at(&off.url).refresh(tokens.refresh_token()).await;
    assert_eq!(refused.json["error"], "invalid_client");
    agent.refresh(tokens.refresh_token()).await.ok();
}

#[tokio::test]
async fn what_is_no_document_of_its_own_address_is_no_agent() {
    let t = start(Engine::Sqlite, &ON).await.unwrap();
    let browser = Browser::new(&t.url);
    let publisher = Publisher::start().await;
    let good = Publisher::document(&publisher.url).to_string();
    let big = format!("{good}{}", " ".repeat(client_document::MAX_BYTES));
    let other = Publisher::document("https://agent.example/agent.json").to_string();
    let secret = good.replacen('{', "{\"client_secret\":\"s\",", 1);
    let agent = t.registered(&publisher.url);
    for (status, body) in [
        (404, &good),
        (302, &good),
        (200, &big),
        (200, &other),
        (200, &secret),
        (200, &String::new()),
    ] {
        publisher.publish(status, body);
        let answer = browser.ask(&agent, &[NOTES, SCOPE]).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{status}: {body}");
        t.advance(31);
    }
    publisher.publish(200, good);
    assert_eq!(status_of(&browser, &agent).await, StatusCode::SEE_OTHER);
    let other_uri = [NOTES, SCOPE, ("redirect_uri", "http://localhost:9/other")];
    assert_eq!(browser.ask(&agent, &other_uri).await.status(), StatusCode::BAD_REQUEST);
    let fetches = publisher.fetches();
    let local = publisher.url.replace("127.0.0.1", "0x7f.1");
    for id in [local.as_str(), "https://agent.example/", "://", "https://u@agent.example/a"] {
        let agent = t.registered(id);
        assert_eq!(status_of(&browser, &agent).await, StatusCode::BAD_REQUEST, "{id}");
    }
    assert_eq!(publisher.fetches(), fetches);

    // Nothing inside the operator's network is asked, unless the operator lists it.
    let t = start(Engine::Sqlite, &ON[..1]).await.unwrap();
    let (browser, agent) = (Browser::new(&t.url), t.registered(&publisher.url));
    assert_eq!(status_of(&browser, &agent).await, StatusCode::BAD_REQUEST);
    assert_eq!(publisher.fetches(), fetches);
}

#[apply(both_databases)]
async fn such_an_agent_may_ask_what_an_api_lets_it(#[case] engine: Engine) {
    let Some(t) = start(engine, &ON).await else { return };
    let publisher = Publisher::start().await;
    let agent = t.registered(&publisher.url);
    let browser = t.signed_in("ann@example.com").await;
    for (resource, scope, error) in [
        ("", SCOPE.1, "invalid_target"),
        ("closed", SCOPE.1, "invalid_target"),
        ("https://other.example/", SCOPE.1, "invalid_target"),
        (NOTES.1, "mail:send", "invalid_scope"),
        (NOTES.1, "openid email roles", "invalid_scope"),
    ] {
        let asked = browser.ask(&agent, &[("resource", resource), ("scope", scope)]).await;
        assert_eq!(answer_of(&asked)["error"], error, "{resource} {scope}");
    }
    // What is taken from the API is gone at the next issuance, of sessions and of questions that wait.
    change(&t, "notes", |api| api.agent_scopes.push("notes:write".to_owned())).await;
    let tokens = agent.redeem(&browser.open_with(&agent, &[NOTES, SCOPE]).await).await.ok();
    assert_eq!(tokens.claims()["scope"], "notes:read notes:write offline_access");
    let next = agent.refresh(tokens.refresh_token()).await.ok();
    let page = location(&browser.ask(&agent, &[NOTES, SCOPE]).await);
    change(&t, "notes", |api| api.agent_scopes.retain(|scope| scope != "notes:write")).await;
    let next = agent.refresh(next.refresh_token()).await.ok();
    assert_eq!(next.claims()["scope"], "notes:read offline_access");
    let code = answer_of(&browser.continue_to(&page, "continue").await)["code"].clone();
    let tokens = agent.redeem(&code).await.ok();
    assert_eq!(tokens.claims()["scope"], "notes:read offline_access");
    clients::set_enabled(&t.authority, "notes", false, &Caller::operator()).await.unwrap();
    agent.refresh(tokens.refresh_token()).await.refused("invalid_grant");
    assert!(!t.is_live(tokens.family()).await);
}

#[apply(both_databases)]
async fn an_agent_that_an_operator_disables_stays_disabled(#[case] engine: Engine) {
    let Some(t) = start(engine, &ON).await else { return };
    let publisher = Publisher::start().await;
    let agent = t.registered(&publisher.url);
    let browser = t.signed_in("ann@example.com").await;
    let tokens = agent.redeem(&browser.open_with(&agent, &[NOTES, SCOPE]).await).await.ok();
    let page = location(&browser.ask(&agent, &[NOTES, SCOPE]).await);
    let operator = Caller::operator();
    clients::set_enabled(&t.authority, &agent.id, false, &operator).await.unwrap();
    assert_eq!(agent.refresh(tokens.refresh_token()).await.json["error"], "invalid_client");
    for seconds in [0, 601] {
        t.advance(seconds);
        assert_eq!(status_of(&browser, &agent).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(browser.get(&page).await.status(), StatusCode::BAD_REQUEST);
    assert!(t.authority.store.apis().await.unwrap().len() == 3);
    clients::set_enabled(&t.authority, &agent.id, true, &operator).await.unwrap();
    assert_eq!(status_of(&browser, &agent).await, StatusCode::SEE_OTHER);
    // Its document is its own to write, and no operator's.
    let mut metadata = t.authority.store.client(&agent.id).await.unwrap().unwrap().metadata;
    metadata.name = "Day Owl".to_owned();
    assert!(clients::apply(&t.authority, &metadata, &operator).await.is_err());
    // Gone is gone.
    publisher.publish(404, "");
    t.advance(601);
    assert_eq!(status_of(&browser, &agent).await, StatusCode::BAD_REQUEST);
}

#[apply(both_databases)]
async fn there_are_only_so_many_of_them(#[case] engine: Engine) {
    let Some(t) = start(engine, &ON).await else { return };
    let keep = async |id: &str| {
        let document = Publisher::document(id).to_string();
        let agent = client_document::parse(id, document.as_bytes()).unwrap();
        let event = |kind| t.authority.event(kind, Actor::System, &Caller::operator()).client(id);
        let events = (event(EventKind::ClientMade), event(EventKind::ClientChanged));
        let now = t.authority.now();
        t.authority.store.keep_document(&agent, events, 2, now).await.unwrap()
    };
    assert_eq!(keep("https://a.example/1").await, Keeping::Kept);
    assert_eq!(keep("https://a.example/2").await, Keeping::Kept);
    assert_eq!(keep("https://a.example/3").await, Keeping::Full);
    assert_eq!(keep("https://a.example/2").await, Keeping::Kept);

    // Fetches are counted by address; what is known needs none.
    let publisher = Publisher::start().await;
    let (browser, agent) = (Browser::new(&t.url), t.registered(&publisher.url));
    for number in 0..29 {
        let other = t.registered(&publisher.url.replace("agent", &format!("agent-{number}")));
        assert_eq!(status_of(&browser, &other).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(status_of(&browser, &agent).await, StatusCode::SEE_OTHER);
    let other = t.registered(&publisher.url.replace("agent", "one-more"));
    assert_eq!(status_of(&browser, &other).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status_of(&browser, &agent).await, StatusCode::SEE_OTHER);
}

#[test]
fn an_operator_opens_an_api_to_such_agents_and_registers_none_of_them() {
    let deployment = Deployment::migrated();
    let api = ["app", "add", "notes", "--name", "Notes", "--kind", "api"];
    deployment.json(&[&api[..], &["--agent-scope", "notes:read"]].concat(), "");
    let shown = deployment.json(&["app", "show", "notes"], "");
    assert_eq!(shown["agent_scopes"], json!(["notes:read"]));
    let refused = |args: &[&str]| {
        let output = deployment.command().args(args).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let redirect = ["--redirect-uri", CALLBACK, "--scope", "a"];
    let app = ["app", "add", "web", "--name", "Web", "--agent-scope", "a", "--redirect-uri"];
    assert!(refused(&[&app[..], &[CALLBACK]].concat()).contains("agent_scopes"));
    let agent = ["app", "add", "https://a.example/a", "--name", "A", "--kind", "agent"];
    assert!(refused(&[&agent[..], &redirect].concat()).contains("client_id"));
}
