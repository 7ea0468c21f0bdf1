//! Everything running on ports of its own, and a browser without a window.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::ids::FamilyId;
use aa_server::ops::clients;
use demo::{Demo, Options, USERS, User};
use microapp_bff::Routes;
use reqwest::{Method, RequestBuilder, Response};
use service::run::{Stop, StopHandle, install_crypto};
use service::settings::Settings;

/// The demo, and what keeps it alive.
pub struct World {
    pub demo: Demo,
    pub options: Options,
    pub stop: StopHandle,
    pub folder: tempfile::TempDir,
}

/// The demo, with bearer tokens: what is asked for here is asked without a browser.
pub async fn world(at_ttl: Duration) -> World {
    start(at_ttl, false).await
}

/// The demo as it is, where the tokens that pages hold are bound to a key of the browser.
pub async fn world_with_dpop(at_ttl: Duration) -> World {
    start(at_ttl, true).await
}

async fn start(at_ttl: Duration, dpop: bool) -> World {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        data_dir: folder.path().to_owned(),
        port_base: testing::free_ports(demo::PORTS),
        at_ttl,
        dpop,
    };
    let (handle, stop) = Stop::pair();
    let demo = Box::pin(Demo::start(&options, &stop)).await.unwrap();
    World { demo, options, stop: handle, folder }
}

impl World {
    pub fn authority(&self) -> String {
        self.options.url(0)
    }

    pub fn bff(&self, path: &str) -> String {
        format!("{}{path}", self.options.url(2))
    }

    pub fn tmb(&self, path: &str) -> String {
        format!("{}{path}", self.options.url(3))
    }

    pub fn spa(&self, path: &str) -> String {
        format!("{}{path}", self.options.url(4))
    }

    /// A browser in which Ann is signed in at the authority and has opened the app at this URL.
    pub async fn ann_at(&self, app: &str) -> Browser {
        let browser = Browser::new();
        browser.sign_in(&self.authority(), &USERS[0]).await;
        let (url, page) = browser.follow(&format!("{app}/auth/login"), app).await;
        assert_eq!((url, page.status().as_u16()), (format!("{app}/"), 200));
        browser
    }

    /// A browser in which a user is signed in at the authority and has opened Notes.
    pub async fn in_notes(&self, user: usize) -> Browser {
        let browser = Browser::new();
        browser.sign_in(&self.authority(), &USERS[user]).await;
        self.open(&browser).await;
        browser
    }

    pub async fn open(&self, browser: &Browser) {
        let (url, page) = browser.follow(&self.bff("/auth/login"), &self.bff("")).await;
        assert_eq!((url.as_str(), page.status().as_u16()), (self.bff("/").as_str(), 200));
    }

    /// The generations of all live families: how often the app refreshed, and once for the redemption.
    pub async fn generations(&self) -> Vec<(FamilyId, u32)> {
        let app = self.demo.authority();
        let mut found = Vec::new();
        for event in app
            .store
            .events_before(&aa_server::store::EventFilter::default(), None, 1_000)
            .await
            .unwrap()
        {
            if event.kind == "family.started" {
                let family = app.store.family(event.family_id.unwrap()).await.unwrap().unwrap();
                if family.state.is_live(app.now()) {
                    found.push((family.id, family.state.generation));
                }
            }
        }
        found
    }
}

/// A BFF of a test's own in front of whatever it wants, registered as `shop`.
pub struct Shop<'w> {
    world: &'w World,
    pub registration: ClientMetadata,
    pub settings: Settings,
    pub routes: Option<Routes>,
    /// Whether it has the client secret that it was registered with.
    pub knows_secret: bool,
}

impl<'w> Shop<'w> {
    /// Found by browsers under this URL. Its sessions are in memory.
    pub fn new(world: &'w World, public_url: &str) -> Self {
        let mut registration = ClientMetadata::named("shop", "Shop", ClientType::Confidential);
        registration.redirect_uris = vec![format!("{public_url}/auth/callback")];
        let mut settings = Settings::empty(microapp_bff::PREFIX, microapp_bff::SETTINGS);
        settings.set("public_url", public_url);
        settings.set("issuer", world.authority());
        settings.set("client_id", "shop");
        settings.set("scopes", "openid profile email offline_access");
        settings.set("session_store", "memory:");
        settings.set("data_dir", world.options.data_dir.display().to_string());
        Self { world, registration, settings, routes: None, knows_secret: true }
    }

    /// Registers it, and starts a replica on each of these ports. They end with the handle.
    pub async fn start(mut self, ports: &[u16]) -> StopHandle {
        let authority = self.world.demo.authority();
        let secret =
            clients::add(&authority, &self.registration, &Caller::operator()).await.unwrap();
        let (handle, stop) = Stop::pair();
        for port in ports {
            self.settings.set("listen", format!("127.0.0.1:{port}"));
            let mut config = microapp_bff::Config::read(&self.settings).unwrap();
            if self.knows_secret {
                config.site.client_secret.clone_from(&secret);
            }
            if let Some(routes) = &self.routes {
                config.routes = routes.clone();
            }
            let application = microapp_bff::build(config, stop.clone()).await.unwrap();
            tokio::spawn(application.run_until_stopped());
        }
        handle
    }
}

/// Cookies by name (all here are of `localhost`, and cookies ignore ports), and no automatic redirects.
pub struct Browser {
    http: reqwest::Client,
    pub cookies: Mutex<HashMap<String, String>>,
    /// Every `Set-Cookie` so far.
    pub seen: Mutex<Vec<String>>,
}

impl Browser {
    pub fn new() -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { http: http.unwrap(), cookies: Mutex::default(), seen: Mutex::default() }
    }

    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let cookies = self.cookies.lock().unwrap();
        let pairs: Vec<String> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.http.request(method, url).header("cookie", pairs.join("; "))
    }

    pub async fn send(&self, request: RequestBuilder) -> Response {
        let answer = request.send().await.unwrap();
        for value in answer.headers().get_all("set-cookie") {
            let text = value.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap().to_owned();
            let mut cookies = self.cookies.lock().unwrap();
            self.seen.lock().unwrap().push(text.to_owned());
            if text.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value);
            }
        }
        answer
    }

    pub async fn get(&self, url: &str) -> Response {
        self.send(self.request(Method::GET, url)).await
    }

    /// A call of the front end's.
    pub async fn api(&self, method: Method, url: &str) -> Response {
        self.send(self.request(method, url).header("x-csrf", "1")).await
    }

    /// Follows redirects, and answers where they end, at a page.
    pub async fn follow(&self, url: &str, base: &str) -> (String, Response) {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let answer = self.get(&url).await;
            if answer.status() != 303 {
                return (url, answer);
            }
            let to = answer.headers()["location"].to_str().unwrap().to_owned();
            url = if to.starts_with('/') { format!("{}{to}", origin(&url, base)) } else { to };
        }
        panic!("redirects without end at {url}");
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// Signs in on the authority's own page.
    pub async fn sign_in(&self, authority: &str, user: &User) {
        let page = self.get(&format!("{authority}/login?again=1")).await.text().await.unwrap();
        let csrf = page
            .split("name=\"csrf\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        let form = [("csrf", csrf.as_str()), ("email", user.email), ("password", user.password)];
        let request = self.request(Method::POST, &format!("{authority}/login")).form(&form);
        assert_eq!(self.send(request).await.status(), 303);
    }
}

fn origin(url: &str, base: &str) -> String {
    let end = url.find("://").and_then(|at| url[at + 3..].find('/').map(|slash| at + 3 + slash));
    end.map_or_else(|| base.to_owned(), |end| url[..end].to_owned())
}
