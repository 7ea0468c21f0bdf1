//! Back-channel logout: clients with a URI are told of ended sessions, by signed logout tokens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::security_events::{StreamError, add_stream, remove_stream};
use aa_server::ops::users;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use tokens::jws::Compact;
use tokens::{Algorithm, KeySet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{
    Answer, Browser, Engine, OAuthApp, PASSWORD, TestApp, both_databases, client, until,
};

/// A receiver, and the logout tokens that it got.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    got: Arc<Mutex<Vec<String>>>,
    /// The head of the last request.
    head: Arc<Mutex<String>>,
}

impl Receiver {
    /// Answers each request with this status line; with nothing, and keeps it waiting, if that is empty.
    pub async fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/logout", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<String>>>::default();
        let head = Arc::<Mutex<String>>::default();
        let (kept, last_head) = (got.clone(), head.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, last_head) = (kept.clone(), last_head.clone());
                tokio::spawn(async move {
                    let mut text = String::new();
                    let mut buffer = [0; 4096];
                    let body = loop {
                        let read = stream.read(&mut buffer).await.unwrap_or(0);
                        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                        if let Some((head, body)) = text.split_once("\r\n\r\n") {
                            last_head.lock().unwrap().replace_range(.., head);
                            let length = head.to_lowercase();
                            let length = length.split("content-length: ").nth(1);
                            let length = length.and_then(|rest| rest.split("\r\n").next());
                            if body.len() >= length.unwrap_or("0").parse::<usize>().unwrap() {
                                break body.to_owned();
                            }
                        }
                    };
                    kept.lock().unwrap().push(body.trim_start_matches("logout_token=").to_owned());
                    if status.is_empty() {
                        tokio::time::sleep(Duration::from_mins(1)).await;
                    }
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, got, head }
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// Waits for the next logout token, verifies it, and returns its claims.
    pub async fn next(&self, t: &TestApp, before: usize) -> Value {
        self.next_of_type(t, before, "logout+jwt").await
    }

    async fn next_of_type(&self, t: &TestApp, before: usize, media_type: &str) -> Value {
        until("a token arrives", || self.count() > before).await;
        let text = self.got.lock().unwrap()[before].clone();
        let jwks = client().get(format!("{}/.well-known/jwks.json", t.url)).send().await.unwrap();
        let keys = KeySet::from_jwks(&jwks.bytes().await.unwrap()).unwrap();
        let token = Compact::parse(&text).unwrap();
        keys.check(&token, &[Algorithm::RS256]).unwrap();
        assert_eq!(crate::support::header_of(&text)["typ"], media_type);
        Value::Object(token.claims().unwrap())
    }
}

async fn app(t: &TestApp, id: &str, receiver: &Receiver) -> OAuthApp {
    let uri = receiver.url.clone();
    let change = |app: &mut aa_server::domain::client::ClientMetadata| {
        app.backchannel_logout_uri = Some(uri);
    };
    t.add_client(id, ClientType::Confidential, change).await
}

async fn start(engine: Engine) -> Option<TestApp> {
    TestApp::on(engine, &[("delivery_networks", "127.0.0.1")]).await
}

async fn open(t: &TestApp, app: &OAuthApp) -> (Browser, Answer) {
    let browser = Browser::new(&t.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let tokens = app.redeem(&browser.open(app).await).await.ok();
    (browser, tokens)
}

#[apply(both_databases)]
async fn clients_are_told_of_ended_sessions(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let ann = t.add_user("ann@example.com").await;
    let receiver = Receiver::start("200 OK").await;
    let app = app(&t, "told", &receiver).await;
    let untold = t.confidential().await;
    let now = t.authority.now().secs();

    let (browser, tokens) = open(&t, &app).await;
    untold.redeem(&browser.open(&untold).await).await.ok();
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    let claims = receiver.next(&t, 0).await;
    let issuer = t.authority.config.public_url.to_string();
    assert_eq!(claims["iss"], issuer.trim_end_matches('/'));
    assert_eq!(claims["aud"], "told");
    assert_eq!(claims["sub"], json!(ann));
    assert_eq!(claims["sid"], tokens.claims()["sid"]);
    assert_eq!(
        claims["events"],
        json!({ "http://schemas.openid.net/event/backchannel-logout": {} })
    );
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!((now..now + 60).contains(&iat) && exp == iat + 120, "{claims}");
    assert!(claims["jti"].is_string() && claims.get("nonce").is_none());

    // Signing out ends what was opened with that sign-in.
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    browser.submit("/sessions", "/logout", &[]).await;
    assert_eq!(receiver.next(&t, 1).await["sid"], tokens.claims()["sid"]);

    // All but this browser: the others by their sessions, or this one would be ended too.
    let (_, other) = open(&t, &app).await;
    let (browser, kept) = open(&t, &app).await;
    browser.submit("/sessions", "/sessions/revoke-others", &[]).await;
    assert_eq!(receiver.next(&t, 2).await["sid"], other.claims()["sid"]);

    // All of the user: one token without a session.
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::set_enabled(&t.authority, &user, false, &Caller::operator()).await.unwrap();
    let claims = receiver.next(&t, 3).await;
    assert_eq!((claims.get("sid"), &claims["sub"]), (None, &json!(ann)));
    assert_ne!(kept.claims()["sid"], other.claims()["sid"]);
    for _ in 0..500 {
        if t.authority.store.waiting_deliveries().await.unwrap() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(receiver.count(), 4, "each end once");
}

/// Neither an address in our own network, nor a name for one, nor a redirect leads there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_sent_into_our_own_network() {
    let t = TestApp::sqlite().await;
    t.add_user("ann@example.com").await;
    let receiver = Receiver::start("200 OK").await;
    let by_name =
        Receiver { url: receiver.url.replace("127.0.0.1", "localhost"), ..receiver.clone() };
    for (number, receiver) in [&receiver, &by_name].into_iter().enumerate() {
        let app = app(&t, &format!("app-{number}"), receiver).await;
        let (_, tokens) = open(&t, &app).await;
        app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    }
    let reports = reports(&t, 2).await;
    assert!(reports.iter().all(|report| report.contains("is not a public address")), "{reports:?}");
    assert_eq!(receiver.count(), 0);

    let t = start(Engine::Sqlite).await.unwrap();
    t.add_user("ann@example.com").await;
    let receiver = Receiver::start("307 Temporary Redirect").await;
    let app = app(&t, "redirects", &receiver).await;
    let (_, tokens) = open(&t, &app).await;
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    let reports = self::reports(&t, 1).await;
    assert!(reports[0].contains("it answered 307"), "{reports:?}");
    assert_eq!(receiver.count(), 1);
}

/// The reports of failed deliveries, once there are so many.
async fn reports(t: &TestApp, count: usize) -> Vec<String> {
    for _ in 0..1000 {
        let rows = t.authority.store.deliveries(None, 100).await.unwrap();
        let failed: Vec<_> = rows.into_iter().filter(|row| !row.last_error.is_empty()).collect();
        if failed.len() == count {
            return failed.into_iter().map(|row| row.last_error).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the deliveries have not failed");
}

/// Thirty logout tokens for a receiver that never answers keep no other client waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hung_receiver_slows_no_one_down() {
    let t = start(Engine::Sqlite).await.unwrap();
    t.add_user("ann@example.com").await;
    let (hung, quick) = (Receiver::start("").await, Receiver::start("204 No Content").await);
    let (slow, fast) = (app(&t, "slow", &hung).await, app(&t, "fast", &quick).await);
    let browser = Browser::new(&t.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    for _ in 0..30 {
        let tokens = slow.redeem(&browser.open(&slow).await).await.ok();
        slow.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    }
    until("the receiver hangs", || hung.count() >= 4).await;
    let tokens = fast.redeem(&browser.open(&fast).await).await.ok();
    fast.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    let arrives = until("the other client is told", || quick.count() == 1);
    tokio::time::timeout(Duration::from_secs(5), arrives).await.expect("it waits for the hung one");
    assert!(hung.count() <= 8, "{} requests to a receiver that hangs", hung.count());
}

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type";

/// Receivers that an administrator has registered are told of ended sessions and changed passwords, by CAEP events.
#[apply(both_databases)]
async fn receivers_are_told_by_security_events(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let ann = t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let receiver = Receiver::start("202 Accepted").await;
    let caller = Caller::operator();
    let (_, tokens) = open(&t, &app).await;
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    // What ended before is not told.
    let mut taken = 0;
    while taken == 0 {
        taken = t.authority.store.end_consumer("security_events").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stream = ("siem", receiver.url.as_str(), "https://siem.example");
    let authorization = Some("Bearer of the receiver\n".into());
    add_stream(&t.authority, stream, authorization, &caller).await.unwrap();
    let taken = add_stream(&t.authority, stream, None, &caller).await.unwrap_err();
    assert_eq!(taken.to_string(), "there is a stream `siem` already");

    let (browser, tokens) = open(&t, &app).await;
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    let set = receiver.next_of_type(&t, 0, "secevent+jwt").await;
    let head = receiver.head.lock().unwrap().to_lowercase();
    for part in ["content-type: application/secevent+jwt", "authorization: bearer of the receiver"]
    {
        assert!(head.contains(part), "{part} in {head}");
    }
    let issuer = t.authority.config.public_url.to_string();
    let user = json!({ "format": "iss_sub", "iss": issuer.trim_end_matches('/'), "sub": ann });
    let session = json!({ "format": "opaque", "id": tokens.claims()["sid"] });
    assert_eq!(set["sub_id"], json!({ "format": "complex", "user": user, "session": session }));
    assert_eq!(
        (&set["aud"], set.get("exp"), set.get("sub")),
        (&json!("https://siem.example"), None, None)
    );
    let event = &set["events"][format!("{CAEP}/session-revoked")];
    assert_eq!(event["initiating_entity"], "system");
    assert_eq!(event["reason_admin"], json!({ "en": "revoked_by_app" }));
    assert!(event["event_timestamp"].is_i64());

    // A new password: everything else of the user has ended, and the credential has changed.
    app.redeem(&browser.open(&app).await).await.ok();
    let user_row = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::reset_password(&t.authority, &user_row, "another lamp 5".into(), &caller).await.unwrap();
    let sets = [
        receiver.next_of_type(&t, 1, "secevent+jwt").await,
        receiver.next_of_type(&t, 2, "secevent+jwt").await,
    ];
    let of =
        |kind: &str| sets.iter().find(|set| set["events"].get(format!("{CAEP}/{kind}")).is_some());
    assert_eq!(of("session-revoked").unwrap()["sub_id"], user);
    let changed = of("credential-change").unwrap();
    assert_eq!(changed["sub_id"], user);
    let event = &changed["events"][format!("{CAEP}/credential-change")];
    assert_eq!(
        (&event["credential_type"], &event["change_type"]),
        (&json!("password"), &json!("update"))
    );

    remove_stream(&t.authority, "siem", &caller).await.unwrap();
    assert!(remove_stream(&t.authority, "siem", &caller).await.is_err());
    let kinds: Vec<_> = ["stream.added", "stream.removed"].to_vec();
    for kind in kinds {
        assert_eq!(t.events(kind).await.len(), 1, "{kind}");
    }
    for (id, url, audience) in [
        ("a b", "https://a.example", "a"),
        ("a", "http://a.example", "a"),
        ("a", "nonsense", "a"),
        ("a", "https://a.example", ""),
    ] {
        let refused = add_stream(&t.authority, (id, url, audience), None, &caller).await;
        assert!(matches!(refused, Err(StreamError::Invalid(_))), "{id} {url} {audience}");
    }
}

#[apply(both_databases)]
async fn a_logout_token_has_the_subject_that_the_client_knows(#[case] engine: Engine) {
    let Some(t) = start(engine).await else { return };
    let ann = t.add_user("ann@example.com").await;
    let receiver = Receiver::start("200 OK").await;
    let uri = receiver.url.clone();
    let change = |app: &mut aa_server::domain::client::ClientMetadata| {
        app.backchannel_logout_uri = Some(uri);
        app.subject_type = aa_server::domain::subject::SubjectType::Pairwise;
    };
    let app = t.add_client("told", ClientType::Confidential, change).await;
    let (_, tokens) = open(&t, &app).await;
    let id_token = crate::support::claims_of(tokens.json["id_token"].as_str().unwrap());
    let user = t.authority.store.user(ann).await.unwrap().unwrap();
    users::set_enabled(&t.authority, &user, false, &Caller::operator()).await.unwrap();
    let claims = receiver.next(&t, 0).await;
    assert_eq!(claims["sub"], id_token["sub"]);
    assert_ne!(claims["sub"], json!(ann));
}
