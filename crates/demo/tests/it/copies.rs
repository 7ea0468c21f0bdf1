//! A copy of the cookies of the refresh-cookie backend, used from elsewhere, later, and at once: what is noticed, and
//! what is not (docs/security.md, "Copied refresh tokens").

use std::time::Duration;

use aa_server::domain::client::RefreshTokenIn;
use aa_server::ops::clients;
use foundation::time::{Clock as _, SystemClock};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use service::run::{Stop, StopHandle};
use service::settings::Settings;

use crate::support::{Browser, Shop, World, world};

/// An address and a user agent.
type Place = (&'static str, &'static str);

const HOME: Place = ("203.0.113.7", "Firefox/140.0");
const OTHER_ADDRESS: Place = ("198.51.100.7", "Firefox/140.0");
const OTHER_AGENT: Place = ("203.0.113.7", "curl/8");

/// A refresh-cookie backend behind a proxy that tells addresses.
struct App {
    world: World,
    url: String,
    _stop: StopHandle,
}

impl App {
    async fn start(refresh_token_in: RefreshTokenIn) -> Self {
        let world = world(Duration::from_hours(1)).await;
        let port = testing::free_ports(1);
        let url = format!("http://localhost:{port}");
        let mut registration = Shop::new(&world, &url).registration;
        registration.refresh_token_in = refresh_token_in;
        let operator = aa_server::domain::caller::Caller::operator();
        let authority = world.demo.authority();
        let secret = clients::add(&authority, &registration, &operator).await.unwrap();
        let mut settings = Settings::empty(microapp_spa::PREFIX, microapp_spa::SETTINGS);
        for (name, value) in [
            ("listen", format!("127.0.0.1:{port}")),
            ("public_url", url.clone()),
            ("issuer", world.authority()),
            ("client_id", "shop".to_owned()),
            ("scopes", "openid profile offline_access".to_owned()),
            ("session_store", "memory:".to_owned()),
            ("data_dir", world.options.data_dir.display().to_string()),
            ("trusted_proxies", "127.0.0.1, ::1".to_owned()),
        ] {
            settings.set(name, value);
        }
        let mut config = microapp_spa::Config::read(&settings).unwrap();
        config.site.client_secret = secret;
        let (handle, stop) = Stop::pair();
        let application = microapp_spa::build(config, stop).await.unwrap();
        tokio::spawn(application.run_until_stopped());
        Self { world, url, _stop: handle }
    }

    /// The owner's browser, and a copy of it.
    async fn owner_and_thief(&self) -> (Holder<'_>, Holder<'_>) {
        let browser = self.world.ann_at(&self.url).await;
        let me = browser.get(&format!("{}/auth/me", self.url)).await;
        let me: Value = me.json().await.unwrap();
        let csrf = me["csrf_token"].as_str().unwrap().to_owned();
        let copy = Browser::new();
        copy.cookies.lock().unwrap().clone_from(&browser.cookies.lock().unwrap());
        let thief = Holder { app: self, browser: copy, csrf: csrf.clone() };
        (Holder { app: self, browser, csrf }, thief)
    }

    async fn lives(&self) -> bool {
        !self.world.generations().await.is_empty()
    }
}

/// A holder of the cookies of one session.
struct Holder<'a> {
    app: &'a App,
    browser: Browser,
    csrf: String,
}

impl Holder<'_> {
    async fn refresh(&self, (address, agent): Place) -> StatusCode {
        let request = self.browser.request(Method::POST, &format!("{}/auth/refresh", self.app.url));
        let request = request.header("x-csrf-token", &self.csrf);
        let request = request.header("x-forwarded-for", address).header("user-agent", agent);
        self.browser.send(request).await.status()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_that_is_used_elsewhere_is_noticed_at_the_second_time() {
    for elsewhere in [OTHER_ADDRESS, OTHER_AGENT] {
        let app = App::start(RefreshTokenIn::Browser).await;
        let (owner, thief) = app.owner_and_thief().await;
        assert_eq!(owner.refresh(HOME).await, 200);
        // Within the window: the provider records it, and the session page shows it.
        assert_eq!(thief.refresh(elsewhere).await, 200);
        let page = owner.browser.get(&format!("{}/sessions", app.world.authority())).await;
        assert!(page.text().await.unwrap().contains(elsewhere.0), "{elsewhere:?}");
        assert_eq!(owner.refresh(HOME).await, 200);
        assert_eq!(thief.refresh(elsewhere).await, 401, "{elsewhere:?}");
        assert!(!app.lives().await, "{elsewhere:?}");
        assert_eq!(owner.refresh(HOME).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_that_is_used_later_is_noticed_whatever_the_providers_grace_is() {
    // The provider would answer for ten minutes.
    let app = App::start(RefreshTokenIn::Server).await;
    let (owner, thief) = app.owner_and_thief().await;
    let (late_owner, early_thief) = app.owner_and_thief().await;
    assert_eq!(owner.refresh(HOME).await, 200);
    assert_eq!(early_thief.refresh(HOME).await, 200);
    let replaced_at = SystemClock.now();
    while SystemClock.now().since(replaced_at) < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(thief.refresh(HOME).await, 401);
    assert_eq!(owner.refresh(HOME).await, 401);
    assert_eq!(late_owner.refresh(HOME).await, 401, "it cannot be told who is who");
    assert_eq!(early_thief.refresh(HOME).await, 401);
    assert!(!app.lives().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_that_is_used_at_once_in_the_same_place_is_not_noticed() {
    let app = App::start(RefreshTokenIn::Browser).await;
    let (owner, thief) = app.owner_and_thief().await;
    for _ in 0..5 {
        assert_eq!(owner.refresh(HOME).await, 200);
        assert_eq!(thief.refresh(HOME).await, 200);
    }
    assert!(app.lives().await, "docs/security.md says so; a key that cannot be copied will end it");
}
