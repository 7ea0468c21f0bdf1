//! `GET /revocations`: who ended is known to every follower (contract §3).

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::account::NewAccount;
use aa_server::ops::sessions::end::end_everything;
use aa_server::ops::{clients, users};
use database::execute;
use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, WWW_AUTHENTICATE};
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use tokens::feed::{FeedSource, Follower};
use tokens::{Claims, KeySet, Verifier};

use crate::processes::Deployment;
use crate::support::{
    Answer, Browser, Engine, OAuthApp, PASSWORD, TestApp, both_databases, client, until,
};

/// An API that follows the authority, for the tokens of the app `backend`.
struct Api {
    credentials: OAuthApp,
    follower: Follower,
    keys: KeySet,
    issuer: String,
}

impl Api {
    async fn of(t: &TestApp) -> Self {
        Self::at(t.add_client("notes", ClientType::Api, |_| ()).await).await
    }

    /// At the replica that the credentials are for.
    async fn at(credentials: OAuthApp) -> Self {
        let configuration = format!("{}/.well-known/openid-configuration", credentials.url);
        let configuration: Value =
            client().get(configuration).send().await.unwrap().json().await.unwrap();
        let issuer = configuration["issuer"].as_str().unwrap().to_owned();
        let jwks = client().get(format!("{}/.well-known/jwks.json", credentials.url)).send().await;
        let keys = KeySet::from_jwks(&jwks.unwrap().bytes().await.unwrap()).unwrap();
        let follower = follow(&credentials);
        until("the API knows of every end", || follower.age().is_some()).await;
        Self { credentials, follower, keys, issuer }
    }

    /// The claims of a token, at the time of its issue.
    fn claims(&self, tokens: &Answer) -> Claims {
        let issued = tokens.claims()["iat"].as_i64().unwrap();
        Verifier::new(&self.issuer, "backend")
            .verify(tokens.access_token(), &self.keys, issued)
            .unwrap()
    }

    fn accepts(&self, tokens: &Answer) -> bool {
        !self.follower.has_ended(&self.claims(tokens))
    }

    async fn refuses(&self, tokens: &Answer) {
        until("the token is refused", || !self.accepts(tokens)).await;
    }

    async fn read(&self, query: &str) -> (StatusCode, Value) {
        let answer = get(&self.credentials, query, &[]).await;
        (answer.status(), answer.json().await.unwrap_or_default())
    }
}

fn follow(credentials: &OAuthApp) -> Follower {
    let source = FeedSource {
        authority: credentials.url.clone(),
        client_id: credentials.id.clone(),
        client_secret: credentials.secret.clone().unwrap(),
        name: "first".to_owned(),
    };
    Follower::follow(source, false).unwrap()
}

async fn get(app: &OAuthApp, query: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = app.http.get(format!("{}/revocations{query}", app.url));
    if let Some(secret) = &app.secret {
        request = request.basic_auth(&app.id, Some(secret));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn open(t: &TestApp, app: &OAuthApp) -> (Browser, Answer) {
    let browser = Browser::new(&t.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let tokens = app.redeem(&browser.open(app).await).await.ok();
    (browser, tokens)
}

/// Each kind of end makes the API refuse the tokens that it concerns, and no others.
#[apply(both_databases)]
async fn every_kind_of_end_is_followed(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let api = Api::of(&t).await;
    let caller = Caller::operator();
    let authority = &t.authority;

    let (_, other) = open(&t, &app).await;
    let (_, tokens) = open(&t, &app).await;
    assert!(api.accepts(&tokens));
    assert!(
        app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await.status.is_success()
    );
    api.refuses(&tokens).await;

    let (browser, tokens) = open(&t, &app).await;
    browser.submit("/sessions", "/logout", &[]).await;
    api.refuses(&tokens).await;

    let (browser, tokens) = open(&t, &app).await;
    let (elsewhere, others) = open(&t, &app).await;
    let page = elsewhere.get("/sessions").await.text().await.unwrap();
    assert!(page.contains("/sessions/devices/"), "{page}");
    let fields = [("current_password", PASSWORD), ("new_password", "another lamp 5")];
    browser.submit("/account", "/account/password", &fields).await;
    api.refuses(&others).await;
    assert!(api.accepts(&tokens), "this browser stays");
    let rotated = app.refresh(tokens.refresh_token()).await.ok();
    assert!(api.accepts(&rotated));
    assert!(!api.accepts(&other));

    let ann = authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::reset_password(authority, &ann, "another lamp 5".into(), &caller).await.unwrap();
    api.refuses(&rotated).await;
    let browser = Browser::new(&t.url);
    browser.sign_in("ann@example.com", "another lamp 5").await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    assert!(api.accepts(&tokens), "a sign-in of the same second");

    end_everything(authority, &caller).await.unwrap();
    api.refuses(&tokens).await;

    t.advance(10);
    browser.sign_in("ann@example.com", "another lamp 5").await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    assert!(api.accepts(&tokens), "it was issued later");
    clients::set_enabled(authority, "backend", false, &caller).await.unwrap();
    api.refuses(&tokens).await;
}

#[apply(both_databases)]
async fn the_feed_is_json_with_a_cursor(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let (app, api) = (t.confidential().await, Api::of(&t).await);
    let empty = get(&api.credentials, "", &[]).await;
    assert_eq!(empty.headers()[CACHE_CONTROL], "private, no-cache");
    let body: Value = empty.json().await.unwrap();
    assert_eq!(body, json!({ "cursor": "0.0", "start_over": false, "revocations": [] }));

    let (_, tokens) = open(&t, &app).await;
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    api.refuses(&tokens).await;
    let answer = get(&api.credentials, "?after=0.0", &[]).await;
    let tag = answer.headers()[ETAG].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    let cursor = body["cursor"].as_str().unwrap().to_owned();
    assert_eq!(tag, format!("\"{cursor}\""));
    let revocation = &body["revocations"][0];
    assert_eq!(revocation["type"], "families");
    assert_eq!(revocation["sids"], json!([tokens.claims()["sid"]]));
    assert_eq!(revocation["reason"], "revoked_by_app");
    let ended_at = revocation["ended_at"].as_i64().unwrap();
    // Tokens live five minutes; the rest is for clocks.
    let life = revocation["until"].as_i64().unwrap() - ended_at;
    assert!((300..400).contains(&life), "{body}");

    let after = format!("?after={cursor}");
    assert_eq!(api.read(&after).await.1["revocations"], json!([]));
    let unchanged = get(&api.credentials, &after, &[(IF_NONE_MATCH.as_str(), &tag)]).await;
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    for unknown in ["?after=77.1", "?after=nonsense"] {
        let (status, body) = api.read(unknown).await;
        assert_eq!((status, &body["start_over"]), (StatusCode::OK, &json!(true)), "{unknown}");
        assert_eq!(body["revocations"].as_array().unwrap().len(), 1);
    }
    // Six minutes later no token of then is valid, and nothing is left to be told.
    t.advance(420);
    until("old ends are forgotten", || t.authority.feed.is_empty()).await;
    assert_eq!(api.read(&after).await.1["start_over"], false);
}

#[apply(both_databases)]
async fn clients_that_authenticate_may_follow_and_others_may_not(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let mut api = Api::of(&t).await;
    for (kind, may) in [
        (ClientType::Public, false),
        (ClientType::Confidential, true),
        (ClientType::Service, true),
        (ClientType::Api, true),
    ] {
        let app = t.add_client(&format!("{kind:?}"), kind, |_| ()).await;
        let answer = get(&app, "", &[]).await;
        let expected = if may { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(answer.status(), expected, "{kind:?}");
    }
    let anonymous = t.registered("notes");
    let answer = get(&anonymous, "", &[]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Basic realm=\"revocations\"");
    for query in
        ["?heartbeat=0", "?heartbeat=16", "?heartbeat=x", &format!("?follower={}", "x".repeat(65))]
    {
        assert_eq!(api.read(query).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
    let name = format!("?follower={}", "%C3%A4".repeat(64));
    assert_eq!(api.read(&name).await.0, StatusCode::OK, "characters are counted, not bytes");
    // A stream that is open ends with its client, which is told so by its last word.
    let mut stream =
        get(&api.credentials, "?heartbeat=1", &[("accept", "text/event-stream")]).await;
    clients::set_enabled(&t.authority, "notes", false, &Caller::operator()).await.unwrap();
    let mut text = String::new();
    let reading = async {
        while let Some(chunk) = stream.chunk().await.unwrap() {
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("the stream goes on");
    assert!(text.contains("\"client_id\":\"notes\""), "{text}");
    assert_eq!(api.read("").await.0, StatusCode::UNAUTHORIZED);
    api.credentials.secret = Some("wrong".to_owned());
    assert_eq!(api.read("").await.0, StatusCode::UNAUTHORIZED);
}

/// An API introspects tokens for it, and no others; it gets none itself.
#[apply(both_databases)]
async fn an_api_introspects_tokens_for_it_and_gets_none(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.add_client("backend", ClientType::Confidential, |app| {
        app.audiences = vec!["notes".to_owned(), "photos".to_owned()];
    });
    let app = app.await;
    let api = t.add_client("notes", ClientType::Api, |_| ()).await;
    let (_, tokens) = open(&t, &app).await;
    let active = |answer: Answer| answer.ok().json["active"].clone();
    let asked = [("token", tokens.access_token())];
    assert_eq!(active(api.post("/oauth/introspect", &asked).await), true);
    let asked = [("token", tokens.refresh_token())];
    assert_eq!(active(api.post("/oauth/introspect", &asked).await), false);
    let resource = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh_token()),
        ("resource", "photos"),
    ];
    let other = app.token(&resource).await.ok();
    let asked = [("token", other.access_token())];
    assert_eq!(active(api.post("/oauth/introspect", &asked).await), false);
    for grant in ["client_credentials", "refresh_token", "authorization_code"] {
        let fields = [
            ("grant_type", grant),
            ("refresh_token", "x"),
            ("code", "x"),
            ("redirect_uri", "x"),
            ("code_verifier", "x"),
        ];
        api.token(&fields).await.refused("unauthorized_client");
    }
}

/// An end at one replica reaches the followers of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_end_at_one_replica_reaches_followers_of_another() {
    let Some(t) = TestApp::postgres().await else { return };
    let public_url = t.authority.config.public_url.to_string();
    let database_url = t.database_url.clone();
    let second =
        TestApp::with(Some(database_url), &[("public_url", public_url.trim_end_matches('/'))])
            .await;
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let credentials = t.add_client("notes", ClientType::Api, |_| ()).await;
    let far = Api::at(credentials.at(&second.url)).await;
    let (_, tokens) = open(&t, &app).await;
    assert!(far.accepts(&tokens));
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    far.refuses(&tokens).await;
}

/// A command is another process: the server finds its ends in the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_end_by_a_command_reaches_followers() {
    let deployment = Deployment::migrated();
    let made = deployment.json(
        &["app", "add", "notes", "--name", "Notes", "--kind", "api", "--audience", "notes"],
        "",
    );
    let port = deployment.public_port;
    let server = deployment.serve(port).await;
    let credentials = OAuthApp {
        url: server.url.clone(),
        id: "notes".to_owned(),
        secret: made["client_secret"].as_str().map(str::to_owned),
        http: client(),
    };
    let app = deployment.people_and_app(&server.url);
    let browser = Browser::new(&server.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    let follower = follow(&credentials);
    until("the follower is connected", || follower.age().is_some()).await;
    assert!(follower.is_empty());
    let sid = tokens.claims()["sid"].as_str().unwrap().to_owned();
    deployment.json(&["family", "revoke", &sid], "");
    until("the follower is told", || follower.len() == 1).await;
}

/// A follower that comes back after a restart of the authority goes on, or starts over, and misses nothing.
#[apply(both_databases)]
async fn a_restarted_authority_still_knows(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let (app, api) = (t.confidential().await, Api::of(&t).await);
    let (_, tokens) = open(&t, &app).await;
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    api.refuses(&tokens).await;
    let cursor = api.read("").await.1["cursor"].as_str().unwrap().to_owned();
    let public_url = t.authority.config.public_url.to_string();
    let settings = [("public_url", public_url.trim_end_matches('/'))];
    let again = TestApp::with(Some(t.database_url.clone()), &settings).await;
    let credentials = api.credentials.at(&again.url);
    let answer = loop {
        let answer = get(&credentials, &format!("?after={cursor}"), &[]).await;
        if answer.status().is_success() {
            break answer.json::<Value>().await.unwrap();
        }
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "until it has read the log");
    };
    assert_eq!(answer["start_over"], false, "the position is in the database");
    let all: Value = get(&credentials, "", &[]).await.json().await.unwrap();
    assert_eq!(all["revocations"].as_array().unwrap().len(), 1);
}

/// Administrators see on their page who is told, and which ended sessions are known to how many. No one else does.
#[apply(both_databases)]
async fn administrators_see_what_followers_have_confirmed(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let admin = NewAccount {
        email: "ada@example.com".to_owned(),
        name: String::new(),
        password: PASSWORD.into(),
        admin: true,
        email_verified: false,
    };
    users::add(&t.authority, admin, &Caller::operator()).await.unwrap();
    t.add_user("ann@example.com").await;
    let (app, api) = (t.confidential().await, Api::of(&t).await);
    let pages = async |email: &str| {
        let browser = Browser::new(&t.url);
        browser.sign_in(email, PASSWORD).await;
        let tokens = app.redeem(&browser.open(&app).await).await.ok();
        app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
        api.refuses(&tokens).await;
        browser
    };
    let (ann, ada) = (pages("ann@example.com").await, pages("ada@example.com").await);
    let cursor = api.read("?follower=second").await.1["cursor"].as_str().unwrap().to_owned();
    api.read(&format!("?follower=second&after={cursor}")).await;
    // The first one confirms by itself, within 15 seconds, and both are written down within five.
    let mut page = String::new();
    for _ in 0..300 {
        page = ada.get("/sessions").await.text().await.unwrap();
        if page.contains("Confirmed by 2 of 2 followers.") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for part in ["Confirmed by 2 of 2 followers.", ">first</span>", ">second</span>", "notes"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let page = ann.get("/sessions").await.text().await.unwrap();
    assert!(page.contains("You signed out in the app.") && !page.contains("followers"), "{page}");
}

/// One user with ten thousand sessions: their end is one event, and one row of the log.
#[apply(both_databases)]
async fn the_end_of_ten_thousand_sessions_is_one_event(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let (app, api) = (t.confidential().await, Api::of(&t).await);
    let (_, tokens) = open(&t, &app).await;
    let mut tx = t.authority.store.db().begin().await.unwrap();
    tx.without_timeout().await.unwrap();
    execute!(tx.on(), "CREATE TABLE a_copy AS SELECT * FROM families").unwrap();
    for _ in 0..10_000 {
        execute!(tx.on(), "UPDATE a_copy SET id = $1", t.authority.random.uuid()).unwrap();
        execute!(tx.on(), "INSERT INTO families SELECT * FROM a_copy").unwrap();
    }
    execute!(tx.on(), "DROP TABLE a_copy").unwrap();
    tx.commit().await.unwrap();
    let ann = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::set_enabled(&t.authority, &ann, false, &Caller::operator()).await.unwrap();
    api.refuses(&tokens).await;
    let revocations = api.read("").await.1["revocations"].clone();
    assert_eq!(revocations.as_array().unwrap().len(), 1, "{revocations}");
    assert_eq!(revocations[0]["type"], "user");
    assert_eq!(t.authority.store.ends_after(0, 100).await.unwrap().len(), 1);
}

/// A setting that was shortened does not forget the tokens that were issued under the longer one.
#[apply(both_databases)]
async fn the_longest_life_of_tokens_is_remembered_until_the_last_has_expired(
    #[case] engine: Engine,
) {
    let Some(t) = engine.start().await else { return };
    let (store, now) = (&t.authority.store, t.authority.now());
    let at = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(store.remember_token_life(3600, at(0)).await.unwrap(), 3600);
    assert_eq!(store.remember_token_life(60, at(1)).await.unwrap(), 3600, "they are valid still");
    assert_eq!(store.remember_token_life(60, at(3599)).await.unwrap(), 3600);
    assert_eq!(store.remember_token_life(60, at(7201)).await.unwrap(), 60);
    assert_eq!(store.remember_token_life(600, at(7202)).await.unwrap(), 600);
    assert_eq!(store.remember_token_life(60, at(7203)).await.unwrap(), 600);
}
