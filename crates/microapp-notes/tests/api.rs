//! The API alone, with an authority that only publishes keys.

use std::time::Duration;

use foundation::time::{Clock as _, SystemClock};
use microapp_notes::{Application, Config, PREFIX, SETTINGS};
use serde_json::{Value, json};
use service::run::{Stop, StopHandle, install_crypto};
use service::settings::Settings;
use tokens::{Algorithm, SigningKey};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

struct TestApi {
    authority: MockServer,
    key: SigningKey,
    url: String,
    http: reqwest::Client,
    _stop: StopHandle,
    _folder: tempfile::TempDir,
}

const PUBLIC_URL: &str = "https://notes.example";
const ALLOWED_ORIGIN: &str = "https://front.example";

/// Starts the API; its authority publishes no keys yet.
async fn start(database_url: Option<String>) -> TestApi {
    install_crypto();
    let private = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let key = SigningKey::from_private(Algorithm::EdDSA, &private).unwrap();
    let authority = MockServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("listen", "127.0.0.1:0");
    settings.set("public_url", PUBLIC_URL);
    settings.set("issuer", authority.uri());
    settings.set("cors_origins", format!("https://other.example, {ALLOWED_ORIGIN}"));
    settings.set(
        "database_url",
        database_url.unwrap_or_else(|| format!("sqlite://{}/notes.db", folder.path().display())),
    );
    let (handle, stop) = Stop::pair();
    let application = Application::build(&Config::read(&settings).unwrap(), stop).await.unwrap();
    let url = format!("http://127.0.0.1:{}", application.port());
    tokio::spawn(application.run_until_stopped());
    TestApi { authority, key, url, http: reqwest::Client::new(), _stop: handle, _folder: folder }
}

impl TestApi {
    async fn publish_keys(&self) {
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

async fn users_cannot_reach_notes_of_others(database_url: Option<String>) {
    let api = start(database_url).await;
    assert_eq!(
        (api.status("/livez").await, api.status("/readyz").await),
        (200, 503),
        "no keys yet"
    );
    let (ann, ben) =
        (api.token(1, "notes:read notes:write"), api.token(2, "notes:read notes:write"));
    assert_eq!(api.call("GET", "/notes", &ann).send().await.unwrap().status(), 503);
    api.publish_keys().await;
    let added =
        api.call("POST", "/notes", &ann).json(&json!({ "text": "Ann's" })).send().await.unwrap();
    assert_eq!(added.status(), 201);
    let id = added.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/notes/{id}");
    for (method, body) in
        [("GET", None), ("PUT", Some(json!({ "text": "Ben's" }))), ("DELETE", None)]
    {
        let mut request = api.call(method, &path, &ben);
        if let Some(body) = body {
            request = request.json(&body);
        }
        assert_eq!(request.send().await.unwrap().status(), 404, "{method}");
    }
    let put = api
        .call("PUT", &path, &ann)
        .header("if-match", "\"1\"")
        .json(&json!({ "text": "Ann's own" }));
    assert_eq!(put.send().await.unwrap().json::<Value>().await.unwrap()["version"], 2);
    let stale = api.call("DELETE", &path, &ann).header("if-match", "\"1\"");
    assert_eq!(stale.send().await.unwrap().status(), 412);
    let list: Value = api.call("GET", "/notes", &ann).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["notes"][0]["text"], "Ann's own");
    // A scope allows only its own methods.
    for (method, scope, needed) in
        [("GET", "notes:write", "notes:read"), ("POST", "notes:read", "notes:write")]
    {
        let request =
            api.call(method, "/notes", &api.token(1, scope)).json(&json!({ "text": "x" }));
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 403);
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains(needed));
    }
}

#[tokio::test]
async fn users_cannot_reach_notes_of_others_on_sqlite() {
    users_cannot_reach_notes_of_others(None).await;
}

#[tokio::test]
async fn users_cannot_reach_notes_of_others_on_postgresql() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    users_cannot_reach_notes_of_others(Some(url)).await;
}

async fn page(api: &TestApi, token: &str, query: &str) -> (Vec<String>, Value) {
    let answer = api.call("GET", &format!("/notes{query}"), token).send().await.unwrap();
    let page: Value = answer.json().await.unwrap();
    let notes = page["notes"].as_array().unwrap().iter();
    (notes.map(|note| note["id"].as_str().unwrap().to_owned()).collect(), page["next"].clone())
}

#[tokio::test]
async fn notes_are_listed_in_pages_of_at_most_100() {
    let api = start(None).await;
    api.publish_keys().await;
    let (ann, ben) = (api.token(1, "notes:read notes:write"), api.token(2, "notes:read"));
    let mut newest_first = Vec::new();
    for number in 0..102 {
        let body = json!({ "text": number.to_string() });
        let added = api.call("POST", "/notes", &ann).json(&body).send().await.unwrap();
        assert_eq!(added.status(), 201);
        let note: Value = added.json().await.unwrap();
        newest_first.push(note["id"].as_str().unwrap().to_owned());
    }
    // Ids order notes by the millisecond; within one, notes have an order of their own.
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    for query in ["", "?limit=100", "?limit=65535"] {
        let (first, next) = page(&api, &ann, query).await;
        assert_eq!(first, newest_first[..100], "{query}");
        let next = next.as_str().unwrap();
        let (second, end) = page(&api, &ann, &format!("?before={next}")).await;
        assert_eq!((&second[..], end), (&newest_first[100..], Value::Null), "{query}");
        assert_eq!(page(&api, &ben, &format!("?before={next}")).await, (vec![], Value::Null));
    }
    assert_eq!(page(&api, &ann, "?limit=0").await.0, newest_first[..1]);
}

#[tokio::test]
async fn cors_allows_only_the_listed_origins() {
    let api = start(None).await;
    api.publish_keys().await;
    let preflight = |origin: &'static str| {
        let request = api.http.request("OPTIONS".parse().unwrap(), format!("{}/notes", api.url));
        let request =
            request.header("origin", origin).header("access-control-request-method", "PUT");
        request.header("access-control-request-headers", "authorization,if-match").send()
    };
    let allowed = preflight(ALLOWED_ORIGIN).await.unwrap();
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.headers()["access-control-allow-origin"], ALLOWED_ORIGIN);
    assert_eq!(allowed.headers()["access-control-allow-credentials"], "true");
    for origin in
        ["https://evil.example", "null", "https://front.example.evil", "http://front.example"]
    {
        let refused = preflight(origin).await.unwrap();
        assert!(refused.headers().get("access-control-allow-origin").is_none(), "{origin}");
    }
    let token = api.token(1, "notes:read");
    let read =
        api.call("GET", "/notes", &token).header("origin", ALLOWED_ORIGIN).send().await.unwrap();
    assert_eq!(read.headers()["access-control-allow-origin"], ALLOWED_ORIGIN);
    assert!(read.headers()["vary"].to_str().unwrap().to_lowercase().contains("origin"));
}

#[test]
fn an_issuer_whose_keys_come_in_the_clear_is_refused() {
    let read = |given: &[(&'static str, &str)]| {
        let mut settings = Settings::empty(PREFIX, SETTINGS);
        for (name, value) in given {
            settings.set(name, *value);
        }
        Config::read(&settings).map_err(|error| error.to_string())
    };
    let http = ("issuer", "http://aa.example");
    assert!(read(&[http]).unwrap_err().contains("BACKCHANNEL_URL"));
    read(&[("issuer", "https://aa.example")]).unwrap();
    read(&[http, ("insecure_http", "true")]).unwrap();
    read(&[http, ("backchannel_url", "http://proxy:8080")]).unwrap();
}

#[tokio::test]
async fn a_client_that_is_refused_finds_the_authority() {
    let api = start(None).await;
    api.publish_keys().await;
    let refused = api.http.get(format!("{}/notes", api.url)).send().await.unwrap();
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    let (_, url) = challenge.split_once("resource_metadata=\"").unwrap();
    let path = url.strip_suffix('"').and_then(|url| url.strip_prefix(PUBLIC_URL)).unwrap();
    assert_eq!(path, "/.well-known/oauth-protected-resource");
    let page = api.http.get(format!("{}{path}", api.url)).header("origin", "https://any.example");
    let answer = page.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let expected = json!({
        "resource": PUBLIC_URL,
        "resource_name": "Notes",
        "authorization_servers": [api.authority.uri()],
        "scopes_supported": ["notes:read", "notes:write"],
        "bearer_methods_supported": ["header"],
    });
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);
}
