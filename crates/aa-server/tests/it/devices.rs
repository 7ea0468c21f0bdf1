//! Devices without a browser are signed in by a code (RFC 8628).

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::device::UserCode;
use aa_server::ops::grants::device_authorization::{self, Waiting};
use aa_server::ops::{clients, users};
use database::optional;
use futures_util::future::join_all;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use rstest::rstest;
use rstest_reuse::apply;

use crate::second_factors::{code, second_step, with_totp};
use crate::support::{
    Answer, Browser, Engine, OAuthApp, PASSWORD, TestApp, both_databases, claims_of, client,
    location,
};

pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const SCOPE: &str = "openid offline_access";
const MINUTE: u64 = 60;

/// A public app for devices, with no page of its own.
pub async fn television(t: &TestApp) -> OAuthApp {
    t.add_client("tv", ClientType::Public, |app| {
        app.name = "Television".to_owned();
        app.redirect_uris = Vec::new();
        app.launch_url = None;
        app.device = true;
    })
    .await
}

/// The codes of a device.
pub struct Device {
    app: OAuthApp,
    pub device_code: String,
    user_code: String,
}

impl Device {
    pub async fn of(app: &OAuthApp) -> Self {
        let answer = app.post("/oauth/device", &[("scope", SCOPE)]).await.ok();
        let text = |name: &str| answer.json[name].as_str().unwrap().to_owned();
        Self { app: app.clone(), device_code: text("device_code"), user_code: text("user_code") }
    }

    async fn poll(&self) -> Answer {
        self.poll_as(&self.app).await
    }

    async fn poll_as(&self, app: &OAuthApp) -> Answer {
        app.token(&[("grant_type", DEVICE_CODE), ("device_code", &self.device_code)]).await
    }

    fn page(&self) -> String {
        format!("/device?user_code={}", self.user_code)
    }

    /// Answers the question on the device page.
    async fn answer(&self, browser: &Browser, answer: &str) -> Response {
        let user = hidden(&text(browser.get(&self.page()).await).await, "user");
        let fields = [("user_code", &*self.user_code), ("user", &user), ("answer", answer)];
        browser.submit(&self.page(), "/device", &fields).await
    }

    pub async fn approve(&self, browser: &Browser) {
        assert_eq!(location(&self.answer(browser, "continue").await), "/device?done=approved");
    }
}

async fn text(page: Response) -> String {
    page.text().await.unwrap()
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
    rest.unwrap_or_else(|| panic!("{name}: {page}")).split('"').next().unwrap().to_owned()
}

async fn count(t: &TestApp, sql: &'static str) -> i64 {
    optional!(t.authority.store.db().read(), (i64,), sql).unwrap().unwrap().0
}

const REQUESTS: &str = "SELECT COUNT(*) FROM device_authorizations";

#[apply(both_databases)]
async fn a_device_is_signed_in_when_its_user_says_so(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = television(&t).await;
    t.add_user("ann@example.com").await;
    let asked = app.post("/oauth/device", &[("scope", SCOPE)]).await.ok();
    assert_eq!((&asked.json["expires_in"], &asked.json["interval"]), (&json!(600), &json!(5)));
    assert_eq!(asked.headers["cache-control"], "no-store");
    let shown = asked.json["user_code"].as_str().unwrap();
    assert!(shown.len() == 9 && shown.parse::<UserCode>().unwrap().to_string() == shown);
    let page = format!("{}/device", t.url);
    assert_eq!(asked.json["verification_uri"], page);
    assert_eq!(asked.json["verification_uri_complete"], format!("{page}?user_code={shown}"));
    let device = Device {
        app: app.clone(),
        device_code: asked.json["device_code"].as_str().unwrap().to_owned(),
        user_code: shown.to_owned(),
    };
    assert!(device.device_code.starts_with("dc_") && device.device_code.len() <= 128);

    // The code survives the sign-in.
    let browser = Browser::new(&t.url);
    let typed = format!("/device?user_code={}", shown.replace('-', "").to_lowercase());
    let sign_in = location(&browser.get(&typed).await);
    let return_to =
        url::form_urlencoded::byte_serialize(device.page().as_bytes()).collect::<String>();
    assert_eq!(sign_in, format!("/login?return_to={return_to}"));
    let path = device.page();
    let fields = [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", &*path)];
    assert_eq!(location(&browser.submit(&sign_in, "/login", &fields).await), path);

    // The page says who asks, from where and when, and answers nothing by itself.
    t.advance(2 * MINUTE);
    let question = browser.get(&typed).await;
    assert_eq!(question.status(), StatusCode::OK);
    let question = text(question).await;
    for part in [
        "Sign in to Television on a device?",
        "ann@example.com",
        shown,
        "127.0.0.1",
        "Firefox on Linux",
        "2 minutes ago",
        "no one from support ever asks for this",
    ] {
        assert!(question.contains(part), "{part}: {question}");
    }
    device.poll().await.refused("authorization_pending");
    let code_alone =
        browser.submit("/device", "/device", &[("user_code", &shown.to_lowercase())]).await;
    assert!(text(code_alone).await.contains("Sign in to Television on a device?"));
    t.advance(5);
    device.poll().await.refused("authorization_pending");

    device.approve(&browser).await;
    assert!(
        text(browser.get("/device?done=approved").await).await.contains("Your device is signed in")
    );
    let tokens = device.poll().await.ok();
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let claims = tokens.claims();
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(user.id), &json!("tv")));
    assert_eq!((&claims["amr"], &claims["scope"]), (&json!(["pwd"]), &json!(SCOPE)));
    let id_token = claims_of(tokens.json["id_token"].as_str().unwrap());
    assert_eq!((&id_token["acr"], &id_token["auth_time"]), (&json!("aal1"), &claims["auth_time"]));
    app.refresh(tokens.refresh_token()).await.ok();

    let family = tokens.family();
    for (kind, actor) in [
        ("device.requested", "client:tv".to_owned()),
        ("device.approved", format!("user:{}", user.id)),
        ("family.started", "client:tv".to_owned()),
    ] {
        let events = t.events(kind).await;
        assert_eq!(events.len(), 1, "{kind}");
        assert_eq!((&events[0].actor, events[0].family_id), (&actor, Some(family)), "{kind}");
    }
    let activity = text(browser.get("/account/activity").await).await;
    assert!(activity.contains("Signed in on another device by a code"));
    let mail = t.mail("ann@example.com", "A device was signed in by a code").await;
    assert!(mail.text.contains("Television") && mail.text.contains("Firefox on Linux, 127.0.0.1"));
}

#[apply(both_databases)]
async fn a_device_code_works_once_and_a_second_use_ends_the_family(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (browser, app) = (t.signed_in("ann@example.com").await, television(&t).await);
    for _ in 0..5 {
        let device = Device::of(&app).await;
        device.approve(&browser).await;
        let answers = join_all((0..20).map(|_| device.poll())).await;
        let good: Vec<_> =
            answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
        assert_eq!(good.len(), 1);
        for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            refused.refused("invalid_grant");
        }
        assert!(!t.is_live(good[0].family()).await);
        app.refresh(good[0].refresh_token()).await.refused("invalid_grant");
    }
    assert_eq!(t.events("family.started").await.len(), 5);
    assert_eq!(t.events("family.reuse").await.len(), 5);
    // Long after its request is forgotten.
    let device = Device::of(&app).await;
    device.approve(&browser).await;
    let tokens = device.poll().await.ok();
    t.advance(26 * 60 * MINUTE);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert_eq!(count(&t, REQUESTS).await, 0);
    device.poll().await.refused("invalid_grant");
    assert!(!t.is_live(tokens.family()).await);
}

#[apply(both_databases)]
async fn a_device_that_asks_too_often_waits_longer_at_every_replica(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = television(&t).await;
    let url = [("public_url", t.url.as_str())];
    let clock = std::sync::Arc::new(t.clock.clone());
    let other =
        TestApp::with_clock(Some(t.database_url.clone()), &url, clock, t.clock.clone()).await;
    let device = Device::of(&app).await;
    let there = app.at(&format!("http://localhost:{}", port_of(&other)));
    device.poll().await.refused("authorization_pending");
    t.advance(4);
    device.poll_as(&there).await.refused("slow_down"); // 10 s
    t.advance(9);
    device.poll().await.refused("slow_down"); // 15 s
    t.advance(15);
    device.poll_as(&there).await.refused("authorization_pending");
    t.advance(14);
    device.poll().await.refused("slow_down"); // 20 s
    t.advance(20);
    let at_once = join_all((0..10).map(|_| device.poll())).await;
    let pending = at_once.iter().filter(|answer| answer.json["error"] == "authorization_pending");
    assert_eq!(pending.count(), 1, "of those at once one is in time");
    // Other devices have intervals of their own, and an approved one is answered at once.
    let second = Device::of(&app).await;
    second.poll().await.refused("authorization_pending");
    second.approve(&t.signed_in("ann@example.com").await).await;
    second.poll_as(&there).await.ok();
}

fn port_of(t: &TestApp) -> u16 {
    url::Url::parse(&t.url).unwrap().port().unwrap()
}

#[apply(both_databases)]
async fn codes_that_are_refused_expired_or_not_theirs_give_nothing(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (browser, app) = (t.signed_in("ann@example.com").await, television(&t).await);
    let other = t.add_client("radio", ClientType::Confidential, |app| app.device = true).await;
    let denied = Device::of(&app).await;
    assert_eq!(location(&denied.answer(&browser, "cancel").await), "/device?done=denied");
    assert!(
        text(browser.get("/device?done=denied").await)
            .await
            .contains("The device is not signed in")
    );
    for _ in 0..2 {
        denied.poll().await.refused("access_denied");
    }
    assert_eq!(t.events("device.denied").await.len(), 1);
    assert_eq!(browser.get(&denied.page()).await.status(), StatusCode::NOT_FOUND);

    let (pending, approved) = (Device::of(&app).await, Device::of(&app).await);
    approved.approve(&browser).await;
    approved.poll_as(&other).await.refused("invalid_grant");
    pending.poll_as(&other).await.refused("invalid_grant");
    let altered = Device {
        device_code: approved.device_code.replacen("dc_", "dt_", 1),
        ..Device::of(&app).await
    };
    altered.poll().await.refused("invalid_grant");
    app.redeem_with(&altered.device_code, "", None).await.refused("invalid_request");
    app.redeem(&altered.device_code).await.refused("invalid_grant");
    app.refresh(&approved.device_code.replacen("dc_", "rt_", 1)).await.refused("invalid_grant");
    let none = app.token(&[("grant_type", DEVICE_CODE)]).await;
    none.refused("invalid_request");

    t.advance(10 * MINUTE);
    pending.poll().await.refused("expired_token");
    approved.poll().await.refused("expired_token");
    assert_eq!(browser.get(&pending.page()).await.status(), StatusCode::NOT_FOUND);
    assert!(t.events("family.started").await.is_empty());
    assert!(t.events("family.reuse").await.is_empty());
}

#[apply(both_databases)]
async fn only_apps_that_are_set_to_have_devices_do(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    app.post("/oauth/device", &[]).await.refused("unauthorized_client");
    app.token(&[("grant_type", DEVICE_CODE), ("device_code", "x")])
        .await
        .refused("unauthorized_client");
    let unknown = OAuthApp { secret: Some("x".to_owned()), ..app.clone() };
    assert_eq!(unknown.post("/oauth/device", &[]).await.status, StatusCode::UNAUTHORIZED);
    let tv = television(&t).await;
    tv.post("/oauth/device", &[("scope", "admin")]).await.refused("invalid_scope");
    tv.post("/oauth/device", &[("resource", "notes")]).await.refused("invalid_target");
    let plain = tv.post("/oauth/device", &[]).await.ok();
    assert!(plain.json["device_code"].as_str().unwrap().starts_with("dc_"));
    // Taken from it, the setting is gone for what is under way.
    let (pending, approved) = (Device::of(&tv).await, Device::of(&tv).await);
    let browser = t.signed_in("ann@example.com").await;
    approved.approve(&browser).await;
    let mut metadata = t.authority.store.client("tv").await.unwrap().unwrap().metadata;
    metadata.device = false;
    metadata.redirect_uris = vec!["https://tv.example/".to_owned()];
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    assert_eq!(browser.get(&pending.page()).await.status(), StatusCode::NOT_FOUND);
    approved.poll().await.refused("unauthorized_client");
    for kind in [ClientType::Service, ClientType::Api] {
        let mut metadata = ClientMetadata::named("x", "X", kind);
        metadata.device = true;
        assert!(metadata.check().unwrap_err().starts_with("device:"));
    }
}

#[apply(both_databases)]
async fn a_device_is_a_browser_of_its_own(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (browser, app) = (t.signed_in("ann@example.com").await, television(&t).await);
    let mut signed_in = Vec::new();
    for _ in 0..4 {
        let device = Device::of(&app).await;
        device.approve(&browser).await;
        signed_in.push(device.poll().await.ok());
    }
    let page = text(browser.get("/sessions").await).await;
    assert_eq!(page.matches("<h2 id=\"d-").count(), 5, "this browser and four devices: {page}");
    assert_eq!(
        page.matches("</h2>\n<p class=\"soft\">Firefox on Linux · 127.0.0.1").count(),
        4,
        "{page}"
    );
    // Signing out where they were approved ends none of them.
    browser.submit("/apps", "/logout", &[]).await;
    let mut newest = Vec::new();
    for tokens in &signed_in {
        newest.push(app.refresh(tokens.refresh_token()).await.ok());
    }
    browser.sign_in("ann@example.com", PASSWORD).await;
    // One by one, by the app or by the device.
    let path = format!("/sessions/{}/revoke", newest[0].family());
    browser.submit("/sessions", &path, &[]).await;
    let device = t.family(newest[1].family()).await.browser_id;
    browser.submit("/sessions", &format!("/sessions/devices/{device}/revoke"), &[]).await;
    for ended in &newest[..2] {
        app.refresh(ended.refresh_token()).await.refused("invalid_grant");
    }
    let page = text(browser.get("/sessions").await).await;
    assert_eq!(page.matches("<h2 id=\"d-").count(), 3, "ended devices are gone: {page}");
    let third = app.refresh(newest[2].refresh_token()).await.ok();
    // A password change keeps the browser that it is made in, and no device.
    let fields = [("current_password", PASSWORD), ("new_password", "violet anchor 9")];
    browser.submit("/account", "/account/password", &fields).await;
    for ended in [&third, &newest[3]] {
        app.refresh(ended.refresh_token()).await.refused("invalid_grant");
    }
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
}

#[apply(both_databases)]
async fn what_ends_before_the_device_asks_leaves_it_nothing(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (browser, app) = (t.signed_in("ann@example.com").await, television(&t).await);
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let device = Device::of(&app).await;
    device.approve(&browser).await;
    clients::set_enabled(&t.authority, "tv", false, &Caller::operator()).await.unwrap();
    assert_eq!(device.poll().await.status, StatusCode::UNAUTHORIZED);
    clients::set_enabled(&t.authority, "tv", true, &Caller::operator()).await.unwrap();
    users::set_enabled(&t.authority, &user, false, &Caller::operator()).await.unwrap();
    device.poll().await.refused("invalid_grant");
    users::set_enabled(&t.authority, &user, true, &Caller::operator()).await.unwrap();
    device.poll().await.refused("invalid_grant");
    // Straight to the op, with a session that ends between the question and the answer.
    browser.sign_in("ann@example.com", PASSWORD).await;
    let session = t
        .authority
        .store
        .browser_session(&hash(&browser), t.authority.now())
        .await
        .unwrap()
        .unwrap();
    let late = Device::of(&app).await;
    let address = "127.0.0.1".parse().unwrap();
    let code = late.user_code.parse().unwrap();
    let waiting: Waiting =
        device_authorization::find(&t.authority, &code, &session, address).await.unwrap().unwrap();
    browser.submit("/apps", "/logout", &[]).await;
    let operator = Caller::operator();
    let approved = device_authorization::approve(&t.authority, &waiting, &session, &operator);
    assert_eq!(approved.await.unwrap(), None);
    late.poll().await.refused("authorization_pending");
    assert_eq!(t.events("device.approved").await.len(), 1);
    assert_eq!(count(&t, "SELECT COUNT(*) FROM families").await, 1);
}

/// The hash of a browser's session cookie.
fn hash(browser: &Browser) -> aa_server::domain::refresh_token::SecretHash {
    let cookie = browser.cookie("aa_identity").unwrap();
    aa_server::domain::refresh_token::SecretHash::of(cookie.as_bytes())
}

#[apply(both_databases)]
async fn of_answers_at_once_one_counts(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (browser, app) = (t.signed_in("ann@example.com").await, television(&t).await);
    for _ in 0..5 {
        let device = Device::of(&app).await;
        let page = text(browser.get(&device.page()).await).await;
        let (csrf, user) = (hidden(&page, "csrf"), hidden(&page, "user"));
        let (browser, device, csrf, user) = (&browser, &device, &csrf, &user);
        let answers = join_all((0..16).map(|number| async move {
            let answer = if number % 2 == 0 { "continue" } else { "cancel" };
            let form = [
                ("csrf", csrf.as_str()),
                ("user", user.as_str()),
                ("user_code", &device.user_code),
                ("answer", answer),
            ];
            let answered = browser.post("/device", &form, &[]).await;
            (answered.status() == StatusCode::SEE_OTHER).then(|| location(&answered))
        }))
        .await;
        let taken: Vec<String> = answers.into_iter().flatten().collect();
        assert_eq!(taken.len(), 1, "{taken:?}");
        let told = device.poll().await;
        assert_eq!(told.status == StatusCode::OK, taken[0] == "/device?done=approved", "{told:?}");
        t.advance(5 * MINUTE);
    }
    let (approved, denied) = (t.events("device.approved").await, t.events("device.denied").await);
    assert_eq!(approved.len() + denied.len(), 5);
    assert_eq!(t.events("family.started").await.len(), approved.len());
}

#[apply(both_databases)]
async fn another_user_than_the_page_named_is_asked_again(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (ann, app) = (t.signed_in("ann@example.com").await, television(&t).await);
    let ben = t.signed_in("ben@example.com").await;
    let device = Device::of(&app).await;
    let of_ann = hidden(&text(ann.get(&device.page()).await).await, "user");
    for answer in ["continue", "cancel"] {
        let fields = [("user_code", &*device.user_code), ("user", &of_ann), ("answer", answer)];
        let asked = ben.submit("/device", "/device", &fields).await;
        assert_eq!(asked.status(), StatusCode::OK);
        assert!(text(asked).await.contains("as ben@example.com"));
    }
    device.poll().await.refused("authorization_pending");
    // Another site's page sends no token of ours.
    let fields = [("user_code", &*device.user_code), ("user", &of_ann), ("answer", "continue")];
    for headers in [&[][..], &[("origin", "https://evil.example")]] {
        assert_eq!(ann.post("/device", &fields, headers).await.status(), StatusCode::FORBIDDEN);
    }
    // Signed out meanwhile: the code is kept, the answer is not.
    let csrf = ann.csrf("/device").await;
    ann.submit("/apps", "/logout", &[]).await;
    let form = [
        ("csrf", &*csrf),
        ("user", &of_ann),
        ("user_code", &*device.user_code),
        ("answer", "continue"),
    ];
    let to = location(&ann.post("/device", &form, &[]).await);
    assert!(to.starts_with("/login?return_to=%2Fdevice%3Fuser_code%3D"), "{to}");
    t.advance(5);
    device.poll().await.refused("authorization_pending");
}

#[apply(both_databases)]
async fn guesses_of_user_codes_are_slowed_down(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let (browser, app) = (t.signed_in("ann@example.com").await, television(&t).await);
    let device = Device::of(&app).await;
    // A right code costs nothing, and neither does what is none.
    for _ in 0..15 {
        assert_eq!(browser.get(&device.page()).await.status(), StatusCode::OK);
        assert_eq!(browser.get("/device?user_code=nonsense").await.status(), StatusCode::NOT_FOUND);
    }
    let csrf = browser.csrf("/device").await;
    let guess = |number: u128| {
        let (browser, csrf) = (&browser, csrf.clone());
        async move {
            let code = UserCode::new(number.to_be_bytes()).to_string();
            let form = [("csrf", csrf.as_str()), ("user_code", &code), ("answer", "continue")];
            browser.post("/device", &form, &[]).await.status()
        }
    };
    let statuses = join_all((0..30).map(guess)).await;
    let of = |status| statuses.iter().filter(|known| **known == status).count();
    assert_eq!((of(StatusCode::NOT_FOUND), of(StatusCode::TOO_MANY_REQUESTS)), (10, 20));
    let late = browser.get(&device.page()).await;
    assert_eq!(
        (late.status(), late.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::TOO_MANY_REQUESTS, "60")
    );
    // Another user is counted alone, until the address has used up its own.
    let ben = t.signed_in("ben@example.com").await;
    assert_eq!(ben.get(&device.page()).await.status(), StatusCode::OK);
    t.advance(MINUTE);
    assert_eq!(browser.get(&device.page()).await.status(), StatusCode::OK);
}

#[apply(both_databases)]
async fn requests_of_devices_are_bounded_and_leave_in_time(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let tv = television(&t).await;
    let answers = join_all((0..40).map(|_| tv.post("/oauth/device", &[]))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != StatusCode::OK).collect();
    assert_eq!(refused.len(), 10, "thirty of an address at once");
    for answer in refused {
        assert_eq!(
            (answer.status, answer.headers["retry-after"].to_str().unwrap()),
            (StatusCode::TOO_MANY_REQUESTS, "30")
        );
    }
    assert_eq!(count(&t, REQUESTS).await, 30);
    // The servers of a client that authenticates are no address of users.
    let hub = t.add_client("hub", ClientType::Confidential, |app| app.device = true).await;
    for answer in join_all((0..40).map(|_| hub.post("/oauth/device", &[]))).await {
        answer.ok();
    }
    t.advance(10 * MINUTE);
    let remove = async || {
        t.authority
            .store
            .remove_old(t.authority.now(), t.authority.config.events_kept)
            .await
            .unwrap()
    };
    remove().await;
    assert_eq!(count(&t, REQUESTS).await, 70);
    t.advance(24 * 60 * MINUTE + 1);
    remove().await;
    assert_eq!(count(&t, REQUESTS).await, 0);
}

#[apply(both_databases)]
async fn an_app_can_demand_two_factors_of_who_approves_its_devices(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let strict = t
        .add_client("vault", ClientType::Public, |app| {
            app.device = true;
            app.two_factors = true;
        })
        .await;
    let ann = t.signed_in("ann@example.com").await;
    let (totp, _) = with_totp(&t, &ann).await;
    t.advance(MINUTE);
    let device = Device::of(&strict).await;
    let sign_in = location(&ann.get(&device.page()).await);
    assert!(sign_in.contains("two_factors") && sign_in.ends_with("again=1"), "{sign_in}");
    // Leaving the hint out, or answering unseen, gains nothing.
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let user_id = user.id.to_string();
    let fields = [("user_code", &*device.user_code), ("user", &user_id), ("answer", "continue")];
    assert!(location(&ann.submit("/device", "/device", &fields).await).starts_with("/login?"));
    device.poll().await.refused("authorization_pending");

    let browser = Browser::new(&t.url);
    let return_to = format!("/device?two_factors=1&user_code={}", device.user_code);
    let fields = [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", &*return_to)];
    let verify = location(&browser.submit(&sign_in, "/login", &fields).await);
    let back = second_step(&browser, &verify, &code(&t, &totp), &[]).await;
    assert_eq!(location(&back), return_to);
    device.approve(&browser).await;
    let tokens = device.poll().await.ok();
    assert_eq!(tokens.claims()["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(claims_of(tokens.json["id_token"].as_str().unwrap())["acr"], "aal2");
    // A user without a second factor sets one up.
    t.add_user("ben@example.com").await;
    let ben = Browser::new(&t.url);
    let fields = [("email", "ben@example.com"), ("password", PASSWORD), ("return_to", &*return_to)];
    assert!(location(&ben.submit("/login", "/login", &fields).await).starts_with("/login/enrol"));
}

#[tokio::test]
async fn discovery_names_the_device_grant() {
    let t = TestApp::sqlite().await;
    let tv = television(&t).await;
    for path in ["openid-configuration", "oauth-authorization-server"] {
        let url = format!("{}/.well-known/{path}", t.url);
        let document: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        let endpoint = document["device_authorization_endpoint"].as_str().unwrap();
        tv.post(endpoint.strip_prefix(&t.url).unwrap(), &[]).await.ok();
        // Each grant that is named is known, and one that is not named is not.
        let grants = document["grant_types_supported"].as_array().unwrap();
        assert!(grants.contains(&json!(DEVICE_CODE)));
        for grant in grants {
            let answer = tv.token(&[("grant_type", grant.as_str().unwrap())]).await;
            assert_ne!(answer.json["error"], "unsupported_grant_type", "{grant}");
        }
        tv.token(&[("grant_type", "password")]).await.refused("unsupported_grant_type");
    }
}
