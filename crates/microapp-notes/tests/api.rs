//! The API by itself, with an authority that is only a key set.

use std::time::Duration;

use foundation::time::{Clock as _, SystemClock};
use microapp_notes::{Application, Config, PREFIX, SETTINGS};
use serde_json::{Value, json};
use service::run::{Stop, StopHandle, install_crypto};
use service::settings::Settings;
use tokens::{Algorithm, SigningKey};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

struct World {
    authority: MockServer,
    key: SigningKey,
    url: String,
    http: reqwest::Client,
    _stop: StopHandle,
    _folder: tempfile::TempDir,
}

const FRONT: &str = "https://front.example";

/// The API, before its authority publishes any key.
async fn world(database_url: Option<String>) -> World {
    install_crypto();
    let private = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let key = SigningKey::from_private(Algorithm::EdDSA, &private).unwrap();
    let authority = MockServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("listen", "127.0.0.1:0");
    settings.set("issuer", authority.uri());
    settings.set("cors_origins", format!("https://other.example, {FRONT}"));
    settings.set(
        "database_url",
        database_url.unwrap_or_else(|| format!("sqlite://{}/notes.db", folder.path().display())),
    );
    let (handle, stop) = Stop::pair();
    let application = Application::build(&Config::read(&settings).unwrap(), stop).await.unwrap();
    let url = format!("http://127.0.0.1:{}", application.port());
    tokio::spawn(application.run_until_stopped());
    World { authority, key, url, http: reqwest::Client::new(), _stop: handle, _folder: folder }
}

impl World {
    async fn publish(&self) {
        let jwks = json!({ "keys": [self.key.public_jwk().unwrap()] });
        let answer = ResponseTemplate::new(200).set_body_json(jwks);
        Mock::given(path("/.well-known/jwks.json"))
            .respond_with(answer)
            .mount(&self.authority)
            .await;
        for _ in 0..400 {
            if self.status("/readyz").await == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not ready");
    }

    async fn status(&self, path: &str) -> u16 {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().status().as_u16()
    }

    fn token(&self, user: u8, scope: &str) -> String {
        let now = SystemClock.now().secs();
        let id = format!("0190a0a0-0000-7000-8000-0000000000{user:02}");
        let claims = json!({ "iss": self.authority.uri(), "sub": id, "aud": "notes", "client_id": "app",
            "iat": now, "exp": now + 300, "jti": "one", "sid": id, "scope": scope, "auth_time": now, "amr": ["pwd"] });
        self.key.sign("at+jwt", &claims).unwrap()
    }

    fn call(&self, method: &str, path: &str, token: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.url)).bearer_auth(token)
    }
}

async fn keeps_everybodys_notes_apart(database_url: Option<String>) {
    let world = world(database_url).await;
    assert_eq!(
        (world.status("/livez").await, world.status("/readyz").await),
        (200, 503),
        "no keys yet"
    );
    let (ann, ben) =
        (world.token(1, "notes:read notes:write"), world.token(2, "notes:read notes:write"));
    assert_eq!(world.call("GET", "/notes", &ann).send().await.unwrap().status(), 503);
    world.publish().await;
    let added =
        world.call("POST", "/notes", &ann).json(&json!({ "text": "Ann's" })).send().await.unwrap();
    assert_eq!(added.status(), 201);
    let id = added.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/notes/{id}");
    for (method, body) in
        [("GET", None), ("PUT", Some(json!({ "text": "Ben's" }))), ("DELETE", None)]
    {
        let mut request = world.call(method, &path, &ben);
        if let Some(body) = body {
            request = request.json(&body);
        }
        assert_eq!(request.send().await.unwrap().status(), 404, "{method}");
    }
    let put = world
        .call("PUT", &path, &ann)
        .header("if-match", "\"1\"")
        .json(&json!({ "text": "Ann's own" }));
    assert_eq!(put.send().await.unwrap().json::<Value>().await.unwrap()["version"], 2);
    let stale = world.call("DELETE", &path, &ann).header("if-match", "\"1\"");
    assert_eq!(stale.send().await.unwrap().status(), 412);
    let list: Value = world.call("GET", "/notes", &ann).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["notes"][0]["text"], "Ann's own");
    // Each scope opens its own doors.
    for (method, scope, needed) in
        [("GET", "notes:write", "notes:read"), ("POST", "notes:read", "notes:write")]
    {
        let request =
            world.call(method, "/notes", &world.token(1, scope)).json(&json!({ "text": "x" }));
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 403);
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains(needed));
    }
}

#[tokio::test]
async fn everybodys_notes_are_their_own_on_sqlite() {
    keeps_everybodys_notes_apart(None).await;
}

#[tokio::test]
async fn everybodys_notes_are_their_own_on_postgresql() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    keeps_everybodys_notes_apart(Some(url)).await;
}

#[tokio::test]
async fn only_listed_origins_may_call() {
    let world = world(None).await;
    world.publish().await;
    let preflight = |origin: &'static str| {
        let request =
            world.http.request("OPTIONS".parse().unwrap(), format!("{}/notes", world.url));
        let request =
            request.header("origin", origin).header("access-control-request-method", "PUT");
        request.header("access-control-request-headers", "authorization,if-match").send()
    };
    let allowed = preflight(FRONT).await.unwrap();
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.headers()["access-control-allow-origin"], FRONT);
    assert_eq!(allowed.headers()["access-control-allow-credentials"], "true");
    for origin in
        ["https://evil.example", "null", "https://front.example.evil", "http://front.example"]
    {
        let refused = preflight(origin).await.unwrap();
        assert!(refused.headers().get("access-control-allow-origin").is_none(), "{origin}");
    }
    let token = world.token(1, "notes:read");
    let read = world.call("GET", "/notes", &token).header("origin", FRONT).send().await.unwrap();
    assert_eq!(read.headers()["access-control-allow-origin"], FRONT);
    assert!(read.headers()["vary"].to_str().unwrap().to_lowercase().contains("origin"));
}
