//! An authority on a port and database of its own, with a clock that can be rotated, and the users and apps that
//! use it.

use aa_server::domain::caller::Caller;
use aa_server::ops::clients;
use aa_server::ops::users;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aa_server::config::{Config, PREFIX, SETTINGS};
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::ids::{FamilyId, UserId};
use aa_server::ops::account::NewAccount;
use aa_server::store::{EventFilter, EventRow, Family};
use aa_server::{Application, Authority, application};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::random::SystemRandom;
use foundation::time::{Clock, MovableClock};
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Response, StatusCode};
use rstest_reuse::template;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service::run::{Stop, StopHandle, install_crypto};
use service::settings::Settings;
use url::Url;

use crate::prepared;

/// The callback of every app here. No server listens there: tests read the redirect.
pub const CALLBACK: &str = "http://localhost:9/callback";
pub const PASSWORD: &str = "tangerine lamp 4";
pub const NEW_PASSWORD: &str = "violet anchor 77";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The database that a test runs on.
#[derive(Debug, Clone, Copy)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// An authority on a fresh database. `None` where PostgreSQL is not installed (with `CI=true` that fails).
    pub async fn start(self) -> Option<TestApp> {
        TestApp::on(self, &[]).await
    }
}

/// Polls until a condition holds.
///
/// # Panics
/// When it does not hold within 30 seconds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), polling).await;
    assert!(in_time.is_ok(), "after 30 seconds still not: {what}");
}

/// Runs a test on both databases: `name::case_1_sqlite`, `name::case_2_postgres`.
#[template]
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
pub async fn both_databases(#[case] engine: Engine) {}

pub struct TestApp {
    pub authority: Arc<Authority>,
    pub url: String,
    pub clock: MovableClock,
    pub database_url: String,
    _stop: StopHandle,
    _folder: tempfile::TempDir,
}

impl TestApp {
    pub async fn sqlite() -> Self {
        Self::with(None, &[]).await
    }

    pub async fn postgres() -> Option<Self> {
        Self::on(Engine::Postgres, &[]).await
    }

    /// On a database of its own, with these settings. `None` where PostgreSQL is not installed (with `CI=true` that fails).
    pub async fn on(engine: Engine, given: &[(&'static str, &str)]) -> Option<Self> {
        let database_url = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(prepared::postgres().await?),
        };
        Some(Self::with(database_url, given).await)
    }

    /// On this database (an SQLite database of its own if none), with these settings.
    pub async fn with(database_url: Option<String>, given: &[(&'static str, &str)]) -> Self {
        let (folder, url) = folder_and_url(database_url).await;
        // Begins after the database was prepared: its keys have signed before.
        let clock = MovableClock::default();
        Self::start(folder, &url, given, Arc::new(clock.clone()), clock).await
    }

    /// On an empty database of its own, as nothing but its first start leaves it.
    pub async fn first_start(engine: Engine, given: &[(&'static str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => prepared::url_of(folder.path()),
            Engine::Postgres => tokio::task::spawn_blocking(testing::postgres).await.unwrap()?,
        };
        let clock = MovableClock::default();
        Some(Self::start(folder, &url, given, Arc::new(clock.clone()), clock).await)
    }

    /// As [`TestApp::with`], with another clock; `moved` is what [`TestApp::advance`] advances.
    pub async fn with_clock(
        database_url: Option<String>,
        given: &[(&'static str, &str)],
        clock: Arc<dyn Clock>,
        moved: MovableClock,
    ) -> Self {
        let (folder, url) = folder_and_url(database_url).await;
        Self::start(folder, &url, given, clock, moved).await
    }

    async fn start(
        folder: tempfile::TempDir,
        database_url: &str,
        given: &[(&'static str, &str)],
        clock: Arc<dyn Clock>,
        moved: MovableClock,
    ) -> Self {
        install_crypto();
        let port = free_port();
        let url = format!("http://localhost:{port}");
        let mut settings = settings(&url, database_url, folder.path());
        settings.set("listen", format!("127.0.0.1:{port}"));
        for (name, value) in given {
            settings.set(name, *value);
        }
        let config = Config::read(&settings, None, Some(&SystemRandom)).unwrap();
        let (handle, stop) = Stop::pair();
        let authority = application::open(config, clock, Arc::new(SystemRandom), stop).await;
        let application = Application::build(authority.unwrap()).unwrap();
        let authority = application.authority();
        tokio::spawn(application.run_until_stopped());
        let database_url = database_url.to_owned();
        Self { authority, url, clock: moved, database_url, _stop: handle, _folder: folder }
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub async fn add_user(&self, email: &str) -> UserId {
        let account = NewAccount {
            email: email.to_owned(),
            name: String::new(),
            password: PASSWORD.into(),
            admin: false,
            email_verified: false,
        };
        users::add(&self.authority, account, &Caller::operator()).await.unwrap()
    }

    /// A browser in which a new user is signed in.
    pub async fn signed_in(&self, email: &str) -> Browser {
        self.add_user(email).await;
        let browser = Browser::new(&self.url);
        assert_eq!(browser.sign_in(email, PASSWORD).await.status(), StatusCode::SEE_OTHER);
        browser
    }

    /// An app of this kind, as `change` makes it.
    pub async fn add_client(
        &self,
        id: &str,
        kind: ClientType,
        change: impl FnOnce(&mut ClientMetadata),
    ) -> OAuthApp {
        let mut metadata = ClientMetadata::named(id, id, kind);
        if !matches!(kind, ClientType::Service | ClientType::Api) {
            metadata.redirect_uris = vec![CALLBACK.to_owned()];
            metadata.launch_url = Some("http://localhost:9/".to_owned());
        }
        change(&mut metadata);
        let secret = clients::add(&self.authority, &metadata, &Caller::operator()).await.unwrap();
        OAuthApp {
            url: self.url.clone(),
            id: id.to_owned(),
            secret: secret.map(|secret| secret.expose_secret().to_owned()),
            http: client(),
        }
    }

    /// A public app that is registered already.
    pub fn registered(&self, id: &str) -> OAuthApp {
        OAuthApp { url: self.url.clone(), id: id.to_owned(), secret: None, http: client() }
    }

    pub async fn confidential(&self) -> OAuthApp {
        self.add_client("backend", ClientType::Confidential, |_| ()).await
    }

    pub async fn public(&self) -> OAuthApp {
        self.add_client("native", ClientType::Public, |_| ()).await
    }

    pub async fn family(&self, id: FamilyId) -> Family {
        self.authority.store.family(id).await.unwrap().unwrap()
    }

    pub async fn is_live(&self, id: FamilyId) -> bool {
        self.family(id).await.state.is_live(self.authority.now())
    }

    pub async fn events(&self, kind: &str) -> Vec<EventRow> {
        let events = self
            .authority
            .store
            .events_before(&EventFilter::default(), None, 10_000)
            .await
            .unwrap();
        events.into_iter().filter(|event| event.kind == kind).collect()
    }
}

/// A folder for an authority, and the URL of its database, which is in there if none is given.
async fn folder_and_url(database_url: Option<String>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = match database_url {
        Some(url) => url,
        None => prepared::sqlite(folder.path()).await,
    };
    (folder, url)
}

/// The settings of an authority, with the secret that all tests share.
pub fn settings(public_url: &str, database_url: &str, folder: &Path) -> Settings {
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("public_url", public_url);
    settings.set("database_url", database_url);
    settings.set("data_dir", folder.display().to_string());
    settings.set("secret", "a secret that all tests share, long enough");
    settings
}

pub fn free_port() -> u16 {
    testing::free_ports(1)
}

pub fn client() -> reqwest::Client {
    // No test speaks TLS, and reading the certificates that are trusted takes long.
    let builder = reqwest::Client::builder().tls_certs_only([]);
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A browser: it keeps cookies, and reads the forms of pages.
pub struct Browser {
    pub url: String,
    pub http: reqwest::Client,
    pub cookies: Mutex<HashMap<String, String>>,
}

impl Browser {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), http: client(), cookies: Mutex::default() }
    }

    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        let pairs: Vec<String> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            let text = value.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if text.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request =
            self.http.get(format!("{}{path}", self.url)).header("cookie", self.cookie_header());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.header("user-agent", FIREFOX).send().await.unwrap();
        self.keep_cookies(answer.headers());
        answer
    }

    /// The CSRF field of a page's forms.
    pub async fn csrf(&self, page: &str) -> String {
        let body = self.get(page).await.text().await.unwrap();
        let rest =
            body.split("name=\"csrf\" value=\"").nth(1).unwrap_or_else(|| panic!("{page}: {body}"));
        rest.split('"').next().unwrap().to_owned()
    }

    /// Sends a form of a page, with its CSRF field.
    pub async fn submit(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Response {
        let csrf = self.csrf(page).await;
        let mut form = vec![("csrf", csrf.as_str())];
        form.extend_from_slice(fields);
        self.post(action, &form, &[]).await
    }

    pub async fn post(
        &self,
        action: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Response {
        let mut request = self
            .http
            .post(format!("{}{action}", self.url))
            .header("cookie", self.cookie_header())
            .header("user-agent", FIREFOX)
            .form(form);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        self.keep_cookies(answer.headers());
        answer
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Response {
        self.submit("/login?again=1", "/login", &[("email", email), ("password", password)]).await
    }

    /// Opens an app by the code flow, and comes back with a delegation token.
    pub async fn open(&self, app: &OAuthApp) -> String {
        self.open_with(app, &[]).await
    }

    pub async fn open_with(&self, app: &OAuthApp, more: &[(&str, &str)]) -> String {
        let answer = self.authorize(app, more).await;
        let to = location(&answer);
        let url = Url::parse(&to).unwrap();
        let code = url.query_pairs().find(|(name, _)| name == "code");
        code.unwrap_or_else(|| panic!("{to}")).1.into_owned()
    }

    /// `more` replaces or adds parameters. The user continues to the app if they are asked.
    pub async fn authorize(&self, app: &OAuthApp, more: &[(&str, &str)]) -> Response {
        let answer = self.ask(app, more).await;
        match answer.headers().get("location").and_then(|to| to.to_str().ok()) {
            Some(to) if to.starts_with("/continue?") => self.continue_to(to, "continue").await,
            _ => answer,
        }
    }

    /// As [`Browser::authorize`], without an answer to the question whether to continue.
    pub async fn ask(&self, app: &OAuthApp, more: &[(&str, &str)]) -> Response {
        self.get(&format!("/oauth/authorize?{}", authorize_query(&app.id, more))).await
    }

    /// Answers the question whether to continue, which is on this page.
    pub async fn continue_to(&self, page: &str, answer: &str) -> Response {
        let attempt = page.strip_prefix("/continue?attempt=").expect(page);
        let body = self.get(page).await.text().await.unwrap();
        let field = |name: &str| {
            let rest = body.split(&format!("name=\"{name}\" value=\"")).nth(1).expect(page);
            rest.split('"').next().unwrap().to_owned()
        };
        let (csrf, user) = (field("csrf"), field("user"));
        let form = [("csrf", &*csrf), ("user", &*user), ("attempt", attempt), ("answer", answer)];
        self.post("/continue", &form, &[]).await
    }
}

/// A good authorization request, but for `more`; an empty value leaves a parameter out.
pub fn authorize_query(client_id: &str, more: &[(&str, &str)]) -> String {
    let challenge = challenge();
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email offline_access"),
        ("state", "some state"),
        ("nonce", "some nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in more {
        params.retain(|(known, _)| known != name);
        params.push((name, value));
    }
    params.retain(|(_, value)| !value.is_empty());
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

pub fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()))
}

pub fn location(answer: &Response) -> String {
    answer.headers().get(LOCATION).expect("a redirect").to_str().unwrap().to_owned()
}

/// The query of a redirect, as a map.
pub fn answer_of(answer: &Response) -> HashMap<String, String> {
    Url::parse(&location(answer)).unwrap().query_pairs().into_owned().collect()
}

/// An app, as the token endpoint sees it.
#[derive(Clone)]
pub struct OAuthApp {
    pub url: String,
    pub id: String,
    pub secret: Option<String>,
    pub http: reqwest::Client,
}

/// What the token endpoint said.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
}

impl Answer {
    pub fn refresh_token(&self) -> &str {
        self.json["refresh_token"].as_str().unwrap_or_else(|| panic!("{self:?}"))
    }

    pub fn access_token(&self) -> &str {
        self.json["access_token"].as_str().unwrap_or_else(|| panic!("{self:?}"))
    }

    pub fn claims(&self) -> Value {
        claims_of(self.access_token())
    }

    /// The family it is about.
    pub fn family(&self) -> FamilyId {
        self.claims()["sid"].as_str().unwrap().parse().unwrap()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json);
        self
    }

    /// Refused with this code, status 400, not to be cached.
    #[track_caller]
    pub fn refused(&self, code: &str) {
        assert_eq!(
            (self.status, self.json["error"].as_str()),
            (StatusCode::BAD_REQUEST, Some(code))
        );
        assert_eq!(self.headers["cache-control"], "no-store");
    }
}

pub fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

impl OAuthApp {
    /// The same app at another address.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// Posts with this app's own authentication.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, fields, &[]).await
    }

    pub async fn post_with(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut form = fields.to_vec();
        let mut request =
            self.http.post(format!("{}{path}", self.url)).header("user-agent", FIREFOX);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match &self.secret {
            Some(secret) => request = request.basic_auth(&self.id, Some(secret)),
            None => form.push(("client_id", &self.id)),
        }
        let answer = request.form(&form).send().await.unwrap();
        read(answer).await
    }

    pub async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        self.post("/oauth/token", fields).await
    }

    /// A token request in which the app tells where its user's browser is.
    pub async fn told(&self, fields: &[(&str, &str)], ip: &str, user_agent: &str) -> Answer {
        let headers = [("x-client-ip", ip), ("x-client-user-agent", user_agent)];
        self.post_with("/oauth/token", fields, &headers).await
    }

    pub async fn redeem(&self, code: &str) -> Answer {
        self.redeem_with(code, CALLBACK, Some(VERIFIER)).await
    }

    pub async fn redeem_with(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
    ) -> Answer {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
        ];
        fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        self.token(&fields).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }
}

pub async fn read(answer: Response) -> Answer {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.text().await.unwrap();
    let json = serde_json::from_str(&body).unwrap_or(Value::String(body));
    Answer { status, headers, json }
}
