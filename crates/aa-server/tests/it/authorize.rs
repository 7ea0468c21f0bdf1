//! `/oauth/authorize`: what is shown to the user, what is told to the app, and who has to sign in again.

use aa_server::domain::client::{ClientMetadata, ClientType};
use reqwest::StatusCode;

use rstest::rstest;
use rstest_reuse::apply;

use url::Url;

use crate::support::{
    Browser, CALLBACK, Engine, PASSWORD, TestApp, VERIFIER, answer_of, authorize_query,
    both_databases, location,
};

#[apply(both_databases)]
async fn a_code_comes_back_with_state_and_iss(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let answer = browser.authorize(&app, &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let fields = answer_of(&answer);
    assert_eq!(fields["state"], "some state");
    assert_eq!(fields["iss"], t.url);
    assert!(fields["code"].starts_with("dt_"));
    assert_eq!(fields.len(), 3);
}

#[apply(both_databases)]
async fn what_is_wrong_before_the_app_is_known_is_a_page(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let evil = "https://evil.example/cb";
    for more in [
        [("client_id", "unknown")],
        [("client_id", "")],
        [("client_id", "\0")],
        [("redirect_uri", evil)],
        [("redirect_uri", "")],
        [("redirect_uri", "http://localhost:9/callback/")],
        [("redirect_uri", "http://localhost:9/callback?x=y")],
    ] {
        let answer = browser.authorize(&app, &more).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{more:?}");
        assert!(answer.headers().get("location").is_none());
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    }
    for twice in [format!("&redirect_uri={evil}"), "&client_id=backend".to_owned()] {
        let path = format!("/oauth/authorize?{}{twice}", authorize_query("backend", &[]));
        assert_eq!(browser.get(&path).await.status(), StatusCode::BAD_REQUEST);
    }
}

#[apply(both_databases)]
async fn what_is_wrong_after_that_is_told_to_the_app(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    for (more, code) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", "code id_token"), "unsupported_response_type"),
        (("response_mode", "web_message"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "admin"), "invalid_scope"),
        (("scope", "open\"id"), "invalid_scope"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "dance"), "invalid_request"),
        (("prompt", "create"), "invalid_request"),
        (("claims", "{"), "invalid_request"),
        (("max_age", "-1"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("request", "e30.e30."), "request_not_supported"),
        (("request_uri", "https://app.example/r"), "request_uri_not_supported"),
        (("id_token_hint", "nonsense"), "invalid_request"),
        (("resource", "https://other.example"), "invalid_target"),
    ] {
        let answer = browser.authorize(&app, &[more]).await;
        assert!(location(&answer).starts_with(CALLBACK), "{more:?}");
        let fields = answer_of(&answer);
        assert_eq!(fields["error"], code, "{more:?}");
        assert_eq!(
            (fields["state"].as_str(), fields["iss"].as_str()),
            ("some state", t.url.as_str())
        );
        assert!(!fields.contains_key("code"));
    }
    let path = format!("/oauth/authorize?{}&nonce=again", authorize_query("backend", &[]));
    assert_eq!(answer_of(&browser.get(&path).await)["error"], "invalid_request");
}

#[apply(both_databases)]
async fn somebody_who_is_not_signed_in_goes_through_the_sign_in_page(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let app = t.confidential().await;
    let browser = Browser::new(&t.url);
    let answer = browser.authorize(&app, &[("login_hint", "ann@example.com")]).await;
    let to = location(&answer);
    assert!(to.starts_with("/login?return_to="), "{to}");
    let page = browser.get(&to).await;
    let csp = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(csp.contains("form-action 'self' http://localhost:9"), "{csp}");
    let body = page.text().await.unwrap();
    assert!(
        body.contains("value=\"ann@example.com\"") && body.contains("continue to backend"),
        "{body}"
    );
    let return_to = url::form_urlencoded::parse(to.split_once('?').unwrap().1.as_bytes())
        .find(|(name, _)| name == "return_to")
        .unwrap()
        .1
        .into_owned();
    let fields =
        [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", return_to.as_str())];
    let signed_in = browser.submit(&to, "/login", &fields).await;
    assert_eq!(location(&signed_in), return_to);
    let answer = browser.get(&return_to).await;
    app.redeem(&answer_of(&answer)["code"]).await.ok();
}

#[apply(both_databases)]
async fn prompts_and_ages_are_kept(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let anonymous = Browser::new(&t.url);
    let none = anonymous.authorize(&app, &[("prompt", "none")]).await;
    assert_eq!(answer_of(&none)["error"], "login_required");
    browser.open_with(&app, &[("prompt", "none")]).await;
    browser.open_with(&app, &[("prompt", "consent")]).await;
    browser.open_with(&app, &[("max_age", "100")]).await;
    t.advance(101);
    for more in
        [("prompt", "login"), ("prompt", "select_account"), ("max_age", "100"), ("max_age", "0")]
    {
        let asked = browser.authorize(&app, &[more]).await;
        let to = location(&asked);
        assert!(to.starts_with("/login?"), "{more:?}: {to}");
        assert_eq!(
            browser.get(&to).await.status(),
            StatusCode::OK,
            "the page is shown although signed in"
        );
        let return_to = url::form_urlencoded::parse(to.split_once('?').unwrap().1.as_bytes())
            .find(|(name, _)| name == "return_to")
            .unwrap()
            .1
            .into_owned();
        // Coming back without signing in again does not help.
        assert!(location(&browser.get(&return_to).await).starts_with("/login?"));
        t.advance(1);
        browser.sign_in("ann@example.com", PASSWORD).await;
        let answer = browser.get(&return_to).await;
        assert!(answer_of(&answer).contains_key("code"), "{more:?}: asked once, not for ever");
        t.advance(101);
    }
    let too_old = browser.authorize(&app, &[("max_age", "100"), ("prompt", "none")]).await;
    assert_eq!(answer_of(&too_old)["error"], "login_required");
}

#[apply(both_databases)]
async fn a_hint_of_somebody_else_is_not_answered_as_them(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let ann = t.signed_in("ann@example.com").await;
    let ben = t.signed_in("ben@example.com").await;
    let app = t.confidential().await;
    let answer = app.redeem(&ann.open(&app).await).await.ok();
    let hint = answer.json["id_token"].as_str().unwrap();
    t.advance(3600);
    ann.open_with(&app, &[("id_token_hint", hint), ("prompt", "none")]).await;
    let other = ben.authorize(&app, &[("id_token_hint", hint), ("prompt", "none")]).await;
    assert_eq!(answer_of(&other)["error"], "login_required");
    let other = ben.authorize(&app, &[("id_token_hint", hint)]).await;
    assert!(location(&other).starts_with("/login?"));
    let access_token = ben.authorize(&app, &[("id_token_hint", answer.access_token())]).await;
    assert_eq!(answer_of(&access_token)["error"], "invalid_request");
}

#[tokio::test]
async fn an_answer_can_be_posted() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let page = browser.authorize(&app, &[("response_mode", "form_post"), ("state", "<\"&>")]).await;
    assert_eq!(page.status(), StatusCode::OK);
    let csp = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let body = page.text().await.unwrap();
    let nonce = body.split("<script nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(
        csp.contains(&format!("script-src 'nonce-{nonce}'"))
            && csp.contains("form-action 'self' http://localhost:9")
    );
    assert!(!body.contains("value=\"<"), "what an app sends is text: {body}");
    let code = body.split("name=\"code\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    app.redeem(code).await.ok();
    // As a form it is asked for as well.
    let form = authorize_query(&app.id, &[]);
    let request = browser.http.post(format!("{}/oauth/authorize", t.url));
    let posted = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert!(location(&posted).starts_with("/oauth/authorize?"));
}

#[tokio::test]
async fn nothing_is_made_for_a_browser_that_only_looks_ahead() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let authorize = format!("/oauth/authorize?{}", authorize_query(&app.id, &[]));
    let cookie = format!("aa_identity={}", browser.cookie("aa_identity").unwrap());
    for path in [authorize.as_str(), "/open/backend"] {
        let url = format!("{}{path}", t.url);
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
        ] {
            let answer = browser
                .http
                .get(&url)
                .header("cookie", &cookie)
                .header(name, value)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path} {name}");
        }
        let head = browser.http.head(&url).header("cookie", &cookie).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::NO_CONTENT);
        assert!(head.headers().get("location").is_none());
    }
    let image = browser.http.get(format!("{}/open/backend", t.url)).header("cookie", &cookie);
    let image = image.header("sec-fetch-mode", "no-cors").send().await.unwrap();
    assert_eq!(image.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_launcher_opens_apps() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    t.confidential().await;
    t.add_client("unlisted", ClientType::Confidential, |app| app.launch_url = None).await;
    t.add_client("worker", ClientType::Service, |_| ()).await;
    let page = browser.get("/apps").await.text().await.unwrap();
    assert!(
        page.contains("/open/backend") && !page.contains("unlisted") && !page.contains("worker")
    );
    let to = Url::parse(&location(&browser.get("/open/backend").await)).unwrap();
    let parameters: Vec<_> = to.query_pairs().into_owned().collect();
    assert_eq!(parameters, [("iss".to_owned(), t.url.clone())], "OpenID Connect Core §4: {to}");
    assert_eq!((to.host_str(), to.port(), to.path()), (Some("localhost"), Some(9), "/"));
    for nothing in ["unlisted", "worker", "unknown", "%00", "a%2fb", &"x".repeat(100)] {
        assert_eq!(
            browser.get(&format!("/open/{nothing}")).await.status(),
            StatusCode::NOT_FOUND,
            "{nothing}"
        );
    }
    let anonymous = Browser::new(&t.url);
    assert_eq!(
        location(&anonymous.get("/open/backend").await),
        "/login?return_to=%2Fopen%2Fbackend"
    );
    assert_eq!(location(&anonymous.get("/").await), "/login");
    assert_eq!(location(&browser.get("/").await), "/apps");
}

#[tokio::test]
async fn a_native_app_may_vary_its_loopback_port() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let uri = "http://127.0.0.1/cb";
    let app = t
        .add_client("native", ClientType::Public, |app| app.redirect_uris = vec![uri.to_owned()])
        .await;
    let uri = "http://127.0.0.1:51234/cb";
    let code = browser.authorize(&app, &[("redirect_uri", uri)]).await;
    assert!(location(&code).starts_with(uri));
    let code = &answer_of(&code)["code"];
    app.redeem_with(code, "http://127.0.0.1/cb", Some(VERIFIER)).await.refused("invalid_grant");
    app.redeem_with(code, uri, Some(VERIFIER)).await.ok();
}

#[apply(both_databases)]
async fn a_program_on_the_users_machine_gets_no_code_before_they_say_so(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let scheme = "com.example.app:/cb";
    for (id, uri, asked) in [
        ("loopback", "http://127.0.0.1:51234/cb", true),
        ("scheme", scheme, true),
        ("claimed", "https://app.example/cb", false),
    ] {
        let change = |app: &mut ClientMetadata| app.redirect_uris = vec![uri.to_owned()];
        let app = t.add_client(id, ClientType::Public, change).await;
        let silent = browser.ask(&app, &[("redirect_uri", uri), ("prompt", "none")]).await;
        let silent = answer_of(&silent);
        let answer = location(&browser.ask(&app, &[("redirect_uri", uri)]).await);
        if !asked {
            assert!(silent.contains_key("code") && answer.starts_with(uri), "{answer}");
            continue;
        }
        assert_eq!(silent["error"], "interaction_required");
        let question = browser.get(&answer).await;
        let csp = question.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let source = if uri == scheme { "com.example.app:" } else { "http://127.0.0.1:*" };
        assert!(csp.contains(&format!(" {source} ")), "{csp}");
        let page = question.text().await.unwrap();
        assert!(page.contains(&format!("Continue to {id}?")) && page.contains("ann@example.com"));
        assert!(answer_of(&browser.continue_to(&answer, "continue").await).contains_key("code"));
    }
    let families = "SELECT COUNT(*) FROM families";
    let found = database::optional!(t.authority.store.db().read(), (i64,), families);
    assert_eq!(found.unwrap(), Some((4,)), "one each, and two of the claimed one");
}

#[apply(both_databases)]
async fn the_answer_holds_for_the_browser_while_the_app_is_open_in_it(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let is_asked =
        async |browser: &Browser| location(&browser.ask(&app, &[]).await).starts_with("/continue?");
    // A code that is not redeemed, or one that is refused, is no answer.
    browser.open(&app).await;
    assert!(is_asked(&browser).await);
    let refused = location(&browser.ask(&app, &[]).await);
    let refused = answer_of(&browser.continue_to(&refused, "cancel").await);
    assert_eq!((&*refused["error"], &*refused["state"]), ("access_denied", "some state"));
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    assert!(!is_asked(&browser).await);
    assert!(answer_of(&browser.ask(&app, &[("prompt", "none")]).await).contains_key("code"));
    let elsewhere = Browser::new(&t.url);
    elsewhere.sign_in("ann@example.com", PASSWORD).await;
    assert!(is_asked(&elsewhere).await);
    app.post("/oauth/revoke", &[("token", tokens.refresh_token())]).await;
    assert!(is_asked(&browser).await);
}

#[apply(both_databases)]
async fn the_answer_is_of_the_user_whom_the_question_named(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let ben = t.add_user("ben@example.com").await;
    let browser = t.signed_in("ann@example.com").await;
    let ann = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap().id;
    let app = t.public().await;
    let question = location(&browser.ask(&app, &[]).await);
    let attempt = question.strip_prefix("/continue?attempt=").unwrap();
    browser.sign_in("ben@example.com", PASSWORD).await;
    for (user, continues) in
        [(ann.to_string(), false), (String::new(), false), (ben.to_string(), true)]
    {
        let fields = [("attempt", attempt), ("answer", "continue"), ("user", &*user)];
        let answer = browser.submit("/apps", "/continue", &fields).await;
        let to = location(&answer);
        let answered = to.starts_with(CALLBACK) && to.contains("code=");
        assert_eq!((answered, to == question), (continues, !continues), "{user}: {to}");
    }
}

#[apply(both_databases)]
async fn the_question_is_this_browsers_and_its_form_is_ours(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let question = location(&browser.ask(&app, &[]).await);
    let attempt = question.strip_prefix("/continue?attempt=").unwrap();
    let fields = [("attempt", attempt), ("answer", "continue")];
    let forged = browser.post("/continue", &fields, &[]).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let other = t.signed_in("ben@example.com").await;
    assert_eq!(other.get(&question).await.status(), StatusCode::GONE);
    let taken = other.submit("/sessions", "/continue", &fields).await;
    assert_eq!(taken.status(), StatusCode::GONE);
    // Signed out meanwhile: to the sign-in page, then the question.
    browser.submit("/apps", "/logout", &[]).await;
    let back = format!("/oauth/authorize?attempt={attempt}");
    for page in [&question, &back] {
        assert!(location(&browser.get(page).await).starts_with("/login?return_to=%2Foauth"));
    }
    let signed_out = browser.submit("/login", "/continue", &fields).await;
    assert!(location(&signed_out).starts_with("/login?"));
    browser.sign_in("ann@example.com", PASSWORD).await;
    assert_eq!(location(&browser.get(&back).await), question);
    assert!(answer_of(&browser.continue_to(&question, "continue").await).contains_key("code"));
    t.advance(31 * 60);
    assert_eq!(browser.get(&question).await.status(), StatusCode::GONE);
    assert_eq!(browser.get("/continue").await.status(), StatusCode::GONE);
}
