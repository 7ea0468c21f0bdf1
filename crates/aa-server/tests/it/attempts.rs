//! Sign-in attempts: the request that waits for a sign-in is stored, and nothing in the browser weakens it.

use aa_server::store::{ATTEMPT_TTL, MAX_ATTEMPTS};
use database::optional;
use reqwest::{Response, StatusCode};

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    Browser, Engine, PASSWORD, TestApp, answer_of, authorize_query, both_databases, location,
};

/// The path that a sign-in page leads on to.
fn return_to(answer: &Response) -> String {
    let to = location(answer);
    let (page, query) = to.split_once('?').unwrap();
    assert_eq!(page, "/login", "{to}");
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "return_to").unwrap().1.into_owned()
}

fn needs_sign_in(answer: &Response) -> bool {
    location(answer).starts_with("/login?")
}

fn has_code(answer: &Response) -> bool {
    answer_of(answer).contains_key("code")
}

async fn sign_in_to(browser: &Browser, path: &str) -> Response {
    let fields = [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", path)];
    browser.submit("/login?again=1", "/login", &fields).await
}

async fn attempts(t: &TestApp) -> i64 {
    let counted = optional!(
        t.authority.store.db().read(),
        (i64,),
        "SELECT COUNT(*) FROM authentication_attempts"
    );
    counted.unwrap().unwrap().0
}

#[apply(both_databases)]
async fn no_parameter_switches_a_demanded_sign_in_off(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    t.advance(10);
    let demands =
        [vec![("prompt", "login")], vec![("prompt", "select_account")], vec![("max_age", "0")]];
    for demand in demands {
        for more in [
            ("aa_asked_at", "0"),
            ("aa_asked_at", "99999999999999"),
            ("attempt", "made-up"),
            ("floor", "0"),
        ] {
            let query: Vec<_> = demand.iter().copied().chain([more]).collect();
            assert!(needs_sign_in(&browser.authorize(&app, &query).await), "{query:?}");
        }
    }
    let silent = [("prompt", "none"), ("max_age", "0"), ("aa_asked_at", "0")];
    assert_eq!(answer_of(&browser.authorize(&app, &silent).await)["error"], "login_required");
    let silent = [("prompt", "none"), ("max_age", "0"), ("attempt", "made-up")];
    assert_eq!(answer_of(&browser.authorize(&app, &silent).await)["error"], "login_required");
}

#[apply(both_databases)]
async fn the_address_of_an_attempt_cannot_change_its_request(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    t.advance(10);
    let path = return_to(&browser.authorize(&app, &[("prompt", "login"), ("state", "mine")]).await);
    for more in ["", "&prompt=none", "&prompt=", "&max_age=9999", "&aa_asked_at=0", "&floor=0"] {
        assert!(needs_sign_in(&browser.get(&format!("{path}{more}")).await), "{more}");
    }
    t.advance(1);
    assert_eq!(location(&sign_in_to(&browser, &path).await), path);
    let answer =
        browser.get(&format!("{path}&state=other&redirect_uri=https://evil.example")).await;
    assert_eq!(answer_of(&answer)["state"], "mine");
    app.redeem(&answer_of(&answer)["code"]).await.ok();
}

#[apply(both_databases)]
async fn an_attempt_that_is_not_of_this_browser_is_none(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let ann = t.signed_in("ann@example.com").await;
    let ben = t.signed_in("ben@example.com").await;
    let app = t.confidential().await;
    t.advance(10);
    let path = return_to(&ann.authorize(&app, &[("prompt", "login")]).await);
    let login = format!("/login?again=1&return_to={path}");
    t.advance(1);
    sign_in_to(&ann, &path).await;
    for browser in [ben, Browser::new(&t.url)] {
        for path in [path.as_str(), &login, "/oauth/authorize?attempt=made-up"] {
            let page = browser.get(path).await;
            assert_eq!(page.status(), StatusCode::GONE, "{path}");
            assert!(page.text().await.unwrap().contains("This sign-in has expired"));
        }
    }
    assert!(has_code(&ann.get(&path).await), "it is still good where it was begun");
}

#[apply(both_databases)]
async fn one_sign_in_is_good_for_one_use_of_an_attempt(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    t.advance(10);
    for demand in [("prompt", "login"), ("max_age", "0")] {
        let path = return_to(&browser.authorize(&app, &[demand]).await);
        t.advance(1);
        sign_in_to(&browser, &path).await;
        t.advance(1);
        assert!(has_code(&browser.get(&path).await));
        // Reload, or back and forth: another sign-in is needed, and the same page gives it.
        assert_eq!(return_to(&browser.get(&path).await), path);
        t.advance(1);
        assert_eq!(location(&sign_in_to(&browser, &path).await), path);
        assert!(has_code(&browser.get(&path).await));
        t.advance(1);
        assert!(needs_sign_in(&browser.get(&path).await));
    }
    // What demands no sign-in of its own can be reloaded.
    let new = Browser::new(&t.url);
    let path = return_to(&new.authorize(&app, &[]).await);
    sign_in_to(&new, &path).await;
    assert!(has_code(&new.get(&path).await) && has_code(&new.get(&path).await));
}

#[apply(both_databases)]
async fn an_expired_attempt_says_how_to_go_on_and_is_removed(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    t.advance(10);
    let path = return_to(&browser.authorize(&app, &[("prompt", "login")]).await);
    t.advance(ATTEMPT_TTL.as_secs() - 1);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert!(needs_sign_in(&browser.get(&path).await));
    t.advance(1);
    assert_eq!(location(&sign_in_to(&browser, &path).await), path, "the sign-in itself is good");
    let page = browser.get(&path).await;
    assert_eq!(page.status(), StatusCode::GONE);
    assert!(page.text().await.unwrap().contains("Go back to the app"));
    assert_eq!(
        browser.get(&format!("/login?again=1&return_to={path}")).await.status(),
        StatusCode::GONE
    );
    assert_eq!(attempts(&t).await, 1);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert_eq!(attempts(&t).await, 0);
}

#[apply(both_databases)]
async fn ten_tabs_sign_in_on_their_own(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let browser = Browser::new(&t.url);
    let mut tabs = Vec::new();
    for tab in 0..10 {
        let state = format!("tab {tab}");
        let answer = browser.authorize(&app, &[("state", &state), ("prompt", "login")]).await;
        tabs.push((state, return_to(&answer)));
        t.advance(1);
    }
    for (_, path) in tabs.iter().rev() {
        assert_eq!(location(&sign_in_to(&browser, path).await), *path);
    }
    // One sign-in after all of them began is good for each.
    for (state, path) in &tabs {
        let answer = answer_of(&browser.get(path).await);
        assert_eq!(&answer["state"], state);
        app.redeem(&answer["code"]).await.ok();
    }
}

#[apply(both_databases)]
async fn a_browser_has_fifty_attempts_and_the_oldest_goes(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let (browser, other) = (Browser::new(&t.url), Browser::new(&t.url));
    let others = return_to(&other.authorize(&app, &[]).await);
    let mut paths = Vec::new();
    for _ in 0..=MAX_ATTEMPTS {
        t.advance(1);
        paths.push(return_to(&browser.authorize(&app, &[]).await));
    }
    assert_eq!(attempts(&t).await, MAX_ATTEMPTS + 1);
    assert_eq!(browser.get(&paths[0]).await.status(), StatusCode::GONE);
    assert!(needs_sign_in(&browser.get(&paths[1]).await));
    assert!(needs_sign_in(&other.get(&others).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_goes_on_at_another_replica() {
    let Some(t) = TestApp::postgres().await else { return };
    let settings = [("public_url", t.url.as_str())];
    let replica = TestApp::with(Some(t.database_url.clone()), &settings).await;
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let here = Browser::new(&t.url);
    let path = return_to(&here.authorize(&app, &[("prompt", "login")]).await);
    let there = Browser::new(&replica.url);
    there.cookies.lock().unwrap().clone_from(&here.cookies.lock().unwrap());
    let page = there.get(&format!("/login?again=1&return_to={path}")).await;
    assert!(page.text().await.unwrap().contains("continue to backend"));
    t.advance(1);
    replica.advance(1);
    assert_eq!(location(&sign_in_to(&there, &path).await), path);
    here.cookies.lock().unwrap().clone_from(&there.cookies.lock().unwrap());
    let answer = here.get(&path).await;
    app.redeem(&answer_of(&answer)["code"]).await.ok();
    assert!(needs_sign_in(&there.get(&path).await), "used at one replica is used at all");
}

#[apply(both_databases)]
async fn a_stored_request_counts_only_while_the_client_may_make_it(#[case] engine: Engine) {
    use aa_server::domain::caller::Caller;
    use aa_server::ops::clients;

    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    t.advance(10);
    let path = return_to(&browser.authorize(&app, &[("prompt", "login")]).await);
    t.advance(1);
    sign_in_to(&browser, &path).await;
    clients::set_enabled(&t.authority, &app.id, false, &Caller::operator()).await.unwrap();
    assert_eq!(browser.get(&path).await.status(), StatusCode::BAD_REQUEST);
    clients::set_enabled(&t.authority, &app.id, true, &Caller::operator()).await.unwrap();
    assert!(has_code(&browser.get(&path).await));
}

#[tokio::test]
async fn a_parameter_of_the_client_named_attempt_is_ignored() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let query = authorize_query(&app.id, &[("attempt", "7")]);
    assert!(has_code(&browser.get(&format!("/oauth/authorize?{query}")).await));
}

#[tokio::test]
async fn registering_leads_on_to_the_app() {
    let t = TestApp::with(None, &[("registration", "open")]).await;
    let app = t.confidential().await;
    let browser = Browser::new(&t.url);
    let sign_in = location(&browser.authorize(&app, &[("prompt", "login")]).await);
    let link = |body: &str, page: &str| {
        let rest =
            body.split(&format!("href=\"{page}?")).nth(1).unwrap_or_else(|| panic!("{body}"));
        format!("{page}?{}", rest.split('"').next().unwrap())
    };
    let register = link(&browser.get(&sign_in).await.text().await.unwrap(), "/register");
    let page = browser.get(&register).await;
    let csp = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(csp.contains("form-action 'self' http://localhost:9"), "{csp}");
    let body = page.text().await.unwrap();
    let field =
        body.split("name=\"return_to\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(field.starts_with("/oauth/authorize?attempt="), "{field}");
    let back = link(&body, "/login");
    assert!(browser.get(&back).await.text().await.unwrap().contains("continue to backend"));
    let wrong = [("email", "ann"), ("return_to", field)];
    let refused = browser.submit(&register, "/register", &wrong).await.text().await.unwrap();
    assert!(refused.contains(&format!("name=\"return_to\" value=\"{field}\"")), "{refused}");
}
