//! The target and the attacker's tools: a demo on loopback, a browser, and a client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aa_server::Authority;
use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::ops::account::NewAccount;
use aa_server::ops::{clients, users};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo::{Demo, Options};
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service::run::{Failure, Stop, StopHandle};
use url::Url;
use url::form_urlencoded::Serializer;

pub const PASSWORD: &str = "tangerine lamp 4";
pub const CALLBACK: &str = "http://127.0.0.1:9/callback";
const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-and-no-secret";

/// The demo that is attacked.
pub struct World {
    demo: Demo,
    options: Options,
    _stop: StopHandle,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn start() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let options = Options {
            data_dir: folder.path().to_owned(),
            port_base: testing::free_ports(demo::PORTS),
            at_ttl: Duration::from_mins(5),
            dpop: false,
        };
        let (handle, stop) = Stop::pair();
        let demo = Demo::start(&options, &stop).await?;
        Ok(Self { demo, options, _stop: handle, _folder: folder })
    }

    /// The authority itself, for what an attack needs beforehand.
    pub fn authority(&self) -> Arc<Authority> {
        self.demo.authority()
    }

    /// The folder of its databases.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.options.data_dir
    }

    /// The URL of the service with this place: 0 is the authority, then notes, BFF, TMB, SPA.
    pub fn url(&self, place: u16) -> String {
        self.options.url(place)
    }

    pub async fn add_user(&self, email: &str) -> Result<(), Failure> {
        let account = NewAccount {
            email: email.to_owned(),
            name: String::new(),
            password: PASSWORD.into(),
            admin: false,
            email_verified: false,
        };
        users::add(&self.authority(), account, &Caller::operator()).await?;
        Ok(())
    }

    /// A browser in which a new user is signed in.
    pub async fn signed_in(&self, email: &str) -> Result<Browser, Failure> {
        self.add_user(email).await?;
        let browser = Browser::new(&self.url(0));
        browser.sign_in(email, PASSWORD).await?;
        Ok(browser)
    }

    /// A client of its own, which keeps its refresh tokens on a server if it is confidential.
    pub async fn client(&self, id: &str, kind: ClientType) -> Result<Client, Failure> {
        let mut metadata = ClientMetadata::named(id, id, kind);
        metadata.redirect_uris = vec![CALLBACK.to_owned()];
        metadata.scopes = ["openid", "offline_access", "orders:read", "orders:admin"]
            .map(str::to_owned)
            .into_iter()
            .collect();
        let secret = clients::add(&self.authority(), &metadata, &Caller::operator()).await?;
        let secret = secret.map(|secret| secret.expose_secret().to_owned());
        Ok(Client { id: id.to_owned(), secret, url: self.url(0), http: http(), metadata })
    }

    pub async fn events(&self, kind: &str) -> Result<usize, Failure> {
        let only =
            aa_server::store::EventFilter { kind: Some(kind.to_owned()), ..Default::default() };
        Ok(self.authority().store.events_before(&only, None, 10_000).await?.len())
    }
}

pub fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.build().expect("a client without special needs")
}

/// The address that an answer leads to.
pub fn location(answer: &Response) -> String {
    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    to.unwrap_or_default().to_owned()
}

/// A parameter of the address that an answer leads to.
pub fn told(answer: &Response, name: &str) -> Option<String> {
    let url = Url::parse(&location(answer)).ok()?;
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// A browser: it keeps cookies, and reads the forms of pages.
#[derive(Debug)]
pub struct Browser {
    url: String,
    http: reqwest::Client,
    cookies: Mutex<HashMap<String, String>>,
}

impl Browser {
    /// A browser whose paths are of this origin. Another port of `localhost` gets the same cookies.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), http: http(), cookies: Mutex::default() }
    }

    /// A copy, as a thief of its cookies has one.
    pub fn copy(&self) -> Self {
        let copy = Self::new(&self.url);
        copy.jar().clone_from(&self.jar());
        copy
    }

    fn jar(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.cookies.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        for text in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let Some((name, rest)) = text.split_once('=') else { continue };
            let value = rest.split(';').next().unwrap_or_default();
            if text.contains("Max-Age=0") || value.is_empty() {
                self.jar().remove(name);
            } else {
                self.jar().insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Sends a request to a path of its origin, or to a whole URL, with its cookies.
    pub async fn send(
        &self,
        method: reqwest::Method,
        to: &str,
        change: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Failure> {
        let url = if to.starts_with('/') { format!("{}{to}", self.url) } else { to.to_owned() };
        let cookies: Vec<String> =
            self.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method, url).header("cookie", cookies.join("; "));
        let answer = change(request).send().await?;
        self.keep_cookies(answer.headers());
        Ok(answer)
    }

    pub async fn get(&self, to: &str) -> Result<Response, Failure> {
        self.send(reqwest::Method::GET, to, |request| request).await
    }

    /// Follows redirects to a page, over any of the demo's origins.
    pub async fn follow(&self, to: &str) -> Result<Response, Failure> {
        let mut next = to.to_owned();
        for _ in 0..12 {
            let answer = self.get(&next).await?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            next = answer.url().join(&location(&answer))?.to_string();
        }
        Err(format!("{to} leads on and on").into())
    }

    /// The CSRF token of the forms of a page.
    pub async fn csrf(&self, page: &str) -> Result<String, Failure> {
        let body = self.get(page).await?.text().await?;
        let rest = body.split("name=\"csrf\" value=\"").nth(1);
        let field = rest.and_then(|rest| rest.split('"').next());
        Ok(field.ok_or_else(|| format!("{page} has no form"))?.to_owned())
    }

    pub async fn post(&self, action: &str, form: &[(&str, &str)]) -> Result<Response, Failure> {
        self.send(reqwest::Method::POST, action, |request| request.form(form)).await
    }

    /// Sends a form of a page.
    pub async fn submit(
        &self,
        page: &str,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<Response, Failure> {
        let csrf = self.csrf(page).await?;
        let form: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.to_vec()).collect();
        self.post(action, &form).await
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Result<StatusCode, Failure> {
        let fields = [("email", email), ("password", password)];
        Ok(self.submit("/login?again=1", "/login", &fields).await?.status())
    }

    pub async fn is_signed_in(&self) -> Result<bool, Failure> {
        Ok(self.get("/account").await?.status() == StatusCode::OK)
    }

    /// Asks for a code; `more` adds parameters.
    pub async fn authorize(
        &self,
        client: &Client,
        more: &[(&str, &str)],
    ) -> Result<Response, Failure> {
        let scope = [("scope", "openid offline_access orders:read orders:admin")];
        let scope = if more.iter().any(|(name, _)| *name == "scope") { &[][..] } else { &scope };
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", CALLBACK)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(scope.iter().chain(more))
            .finish();
        self.get(&format!("/oauth/authorize?{query}")).await
    }

    pub async fn code(&self, client: &Client) -> Result<String, Failure> {
        let answer = self.authorize(client, &[]).await?;
        told(&answer, "code").ok_or_else(|| format!("no code in {}", location(&answer)).into())
    }
}

/// A client of the authority.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    pub metadata: ClientMetadata,
    secret: Option<String>,
    url: String,
    http: reqwest::Client,
}

impl Client {
    async fn token(&self, fields: &[(&str, &str)]) -> Result<(StatusCode, Value), Failure> {
        let mut request = self.http.post(format!("{}/oauth/token", self.url));
        let mut form = fields.to_vec();
        match &self.secret {
            Some(secret) => request = request.basic_auth(&self.id, Some(secret)),
            None => form.push(("client_id", &self.id)),
        }
        let answer = request.form(&form).send().await?;
        Ok((answer.status(), answer.json().await?))
    }

    pub async fn redeem(&self, code: &str) -> Result<(StatusCode, Value), Failure> {
        self.redeem_with(code, VERIFIER).await
    }

    pub async fn redeem_with(
        &self,
        code: &str,
        verifier: &str,
    ) -> Result<(StatusCode, Value), Failure> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        self.token(&fields).await
    }

    pub async fn refresh(&self, token: &str) -> Result<(StatusCode, Value), Failure> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The first tokens of a user in a browser.
    pub async fn tokens(&self, browser: &Browser) -> Result<Value, Failure> {
        let (status, tokens) = self.redeem(&browser.code(self).await?).await?;
        if status.is_success() { Ok(tokens) } else { Err(tokens.to_string().into()) }
    }
}

/// A member of an answer, as text.
pub fn member<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_default()
}
