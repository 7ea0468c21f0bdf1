//! The pages, as users use them.

use aa_server::domain::caller::Caller;
use aa_server::domain::event::Actor;
use aa_server::ops::users;
use aa_server::store::Invitation;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Browser, Engine, PASSWORD, TestApp, both_databases, location};

#[apply(both_databases)]
async fn signing_in_gives_a_new_identity_and_keeps_the_device(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    browser.cookies.lock().unwrap().insert("aa_identity".into(), "planted".into());
    browser.cookies.lock().unwrap().insert("aa_device".into(), "planted too".into());
    let answer = browser.sign_in(" Ann@Example.COM ", PASSWORD).await;
    assert_eq!(location(&answer), "/apps");
    for cookie in answer.headers().get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.contains("; HttpOnly")
                && cookie.contains("; SameSite=Lax")
                && cookie.contains("; Path=/")
        );
    }
    let (first, device) =
        (browser.cookie("aa_identity").unwrap(), browser.cookie("aa_device").unwrap());
    assert!(first.len() == 43 && device.len() == 43);
    browser.sign_in("ann@example.com", PASSWORD).await;
    assert_ne!(browser.cookie("aa_identity").unwrap(), first);
    assert_eq!(browser.cookie("aa_device").unwrap(), device);
    let stale = Browser::new(&t.url);
    stale.cookies.lock().unwrap().insert("aa_identity".into(), first);
    assert_eq!(
        stale.get("/apps").await.status(),
        StatusCode::SEE_OTHER,
        "the one before has ended"
    );
    // Signed in already: the page leads on.
    assert_eq!(location(&browser.get("/login?return_to=/sessions").await), "/sessions");
}

#[apply(both_databases)]
async fn signing_in_again_as_the_same_person_keeps_the_apps_and_as_another_ends_them(
    #[case] engine: Engine,
) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    t.add_user("ben@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    browser.sign_in("ann@example.com", PASSWORD).await;
    let second = app.refresh(first.refresh_token()).await.ok();
    browser.sign_in("ben@example.com", PASSWORD).await;
    app.refresh(second.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn unknown_disabled_and_known_users_are_answered_alike(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    t.add_user("gone@example.com").await;
    let gone = t.authority.store.user_by_email("gone@example.com").await.unwrap().unwrap();
    users::set_enabled(&t.authority, &gone, false, &Caller::operator()).await.unwrap();
    let browser = Browser::new(&t.url);
    let mut seen = Vec::new();
    let long = "x".repeat(2_000);
    for (email, password) in [
        ("ann@example.com", "wrong password"),
        ("unknown@example.com", "wrong password"),
        ("gone@example.com", PASSWORD),
        ("ann@example.com", ""),
        ("ann@example.com", &long),
        ("", ""),
    ] {
        let answer = browser.sign_in(email, password).await;
        let status = answer.status();
        let mut headers: Vec<String> = answer.headers().keys().map(ToString::to_string).collect();
        headers.sort();
        let body = answer.text().await.unwrap();
        let body = body
            .replace(&format!("value=\"{email}\""), "")
            .replace("value=\"\"", "")
            .replace(" autofocus", "");
        // Random in each answer: the nonce, and the challenge for passkeys.
        let body: Vec<&str> = body
            .lines()
            .filter(|line| {
                !["nonce=", "data-passkey=", "name=\"state\""]
                    .iter()
                    .any(|part| line.contains(part))
            })
            .map(str::trim_end)
            .collect();
        let body = body.join("\n");
        seen.push((status, headers, body));
    }
    for other in &seen[1..5] {
        assert_eq!(other, &seen[0]);
    }
    assert_eq!(seen[0].0, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.cookie("aa_identity"), None);
    let failed: i64 = t.events("identity.refused").await.iter().map(|event| event.count).sum();
    assert_eq!(failed, 6);
}

#[apply(both_databases)]
async fn a_stranger_cannot_lock_somebody_out_of_a_browser_they_use(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let attacker = Browser::new(&t.url);
    let mut refused = None;
    for _ in 0..12 {
        let answer = attacker.sign_in("ann@example.com", "wrong password").await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("guessing is slowed down");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    // Nor with the right password, from a browser that is not known.
    assert_eq!(
        attacker.sign_in("ann@example.com", PASSWORD).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(browser.sign_in("ann@example.com", PASSWORD).await.status(), StatusCode::SEE_OTHER);
    // An account that does not exist is slowed down alike.
    for _ in 0..10 {
        attacker.sign_in("unknown@example.com", "wrong password").await;
    }
    assert_eq!(
        attacker.sign_in("unknown@example.com", "x").await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    t.advance(60);
    assert_eq!(attacker.sign_in("ann@example.com", PASSWORD).await.status(), StatusCode::SEE_OTHER);
}

#[apply(both_databases)]
async fn sessions_are_shown_and_ended_one_by_one(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let not_found = Browser::new(&t.url);
    not_found.sign_in("ann@example.com", PASSWORD).await;
    let ben = t.signed_in("ben@example.com").await;
    let (one, two) = (t.confidential().await, t.public().await);
    let here_one = one.redeem(&browser.open(&one).await).await.ok();
    let here_two = two.redeem(&browser.open(&two).await).await.ok();
    let there_one = one.redeem(&not_found.open(&one).await).await.ok();
    let bens = one.redeem(&ben.open(&one).await).await.ok();
    browser.open(&one).await;
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert_eq!(
        page.matches("data-family").count(),
        3,
        "a delegation that was not redeemed is none"
    );
    assert_eq!(page.matches("This browser</span>").count(), 1);
    assert!(page.contains("Firefox on Linux") && page.contains("127.0.0.1"));
    // Another user's, or one that does not exist: 404.
    for id in [bens.family().to_string(), uuid::Uuid::nil().to_string(), "x".to_owned()] {
        for path in [
            format!("/sessions/{id}/revoke"),
            format!("/sessions/devices/{id}/revoke"),
            format!("/sessions/devices/{id}/rename"),
        ] {
            let answer = browser.submit("/sessions", &path, &[("name", "x")]).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
    let path = format!("/sessions/{}/revoke", here_one.family());
    let to = location(&browser.submit("/sessions", &path, &[]).await);
    assert!(
        browser
            .get(&to)
            .await
            .text()
            .await
            .unwrap()
            .contains("backend on Firefox on Linux: signed out.")
    );
    one.refresh(here_one.refresh_token()).await.refused("invalid_grant");
    two.refresh(here_two.refresh_token()).await.ok();
    one.refresh(there_one.refresh_token()).await.ok();
    assert!(t.is_live(bens.family()).await);
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert!(page.contains("Ended in the last 30 days") && page.contains("You signed it out."));
    t.advance(31 * 24 * 3600);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert!(
        !page.contains("You signed it out.") && page.contains("It was not used for a long time.")
    );
}

#[apply(both_databases)]
async fn one_browser_all_others_and_all_can_be_ended(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let not_found = Browser::new(&t.url);
    for round in ["device", "others", "all"] {
        not_found.sign_in("ann@example.com", PASSWORD).await;
        let here = app.redeem(&browser.open(&app).await).await.ok();
        let there = app.redeem(&not_found.open(&app).await).await.ok();
        let device = t.family(there.family()).await.browser_id;
        let path = match round {
            "device" => format!("/sessions/devices/{device}/revoke"),
            "others" => "/sessions/revoke-others".to_owned(),
            _ => "/sessions/revoke-all".to_owned(),
        };
        let answer = browser.submit("/sessions", &path, &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        app.refresh(there.refresh_token()).await.refused("invalid_grant");
        assert_eq!(not_found.get("/apps").await.status(), StatusCode::SEE_OTHER, "{round}");
        if round == "all" {
            app.refresh(here.refresh_token()).await.refused("invalid_grant");
            assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER);
        } else {
            app.refresh(here.refresh_token()).await.ok();
            assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
        }
    }
}

#[apply(both_databases)]
async fn browsers_can_be_named(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let device = t.family(first.family()).await.browser_id;
    let path = format!("/sessions/devices/{device}/rename");
    browser.submit("/sessions", &path, &[("name", " <i>Laptop</i> ")]).await;
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert!(page.contains("&#60;i&#62;Laptop&#60;/i&#62;") && !page.contains("<i>"), "{page}");
    let long = "x".repeat(101);
    assert_eq!(
        browser.submit("/sessions", &path, &[("name", &long)]).await.status(),
        StatusCode::BAD_REQUEST
    );
}

#[apply(both_databases)]
async fn an_invitation_makes_one_account(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let invitation = Invitation { email: String::new(), admin: true };
    let link = users::invite(&t.authority, &invitation, Actor::Operator, &Caller::operator())
        .await
        .unwrap();
    let path = link.expose_secret().strip_prefix(&t.url).unwrap().to_owned();
    let token = path.split_once('=').unwrap().1.to_owned();
    let browser = Browser::new(&t.url);
    assert_eq!(browser.get("/register").await.status(), StatusCode::FORBIDDEN, "closed otherwise");
    assert!(browser.get(&path).await.text().await.unwrap().contains("an administrator"));
    let fields = |email: &'static str, password: &'static str| {
        vec![
            ("invitation", token.clone()),
            ("email", email.to_owned()),
            ("name", "Ada".to_owned()),
            ("password", password.to_owned()),
        ]
    };
    for (email, password, why) in [
        ("ada", PASSWORD, "Enter an email address such as"),
        ("ada@example.com", "short", "Use at least 8"),
        ("ada@example.com", "Password123", "most common"),
    ] {
        let all = fields(email, password);
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = browser.submit(&path, "/register", &all).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let body = answer.text().await.unwrap();
        assert!(body.contains(why), "{body}");
        assert!(
            body.contains(&format!("value=\"{email}\"")) && body.contains("value=\"Ada\""),
            "nothing typed is lost"
        );
    }
    let all = fields("ada@example.com", PASSWORD);
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let csrf = browser.csrf(&path).await;
    assert_eq!(location(&browser.submit(&path, "/register", &all).await), "/apps");
    let user = t.authority.store.user_by_email("ada@example.com").await.unwrap().unwrap();
    assert_eq!(user.roles(), ["admin"]);
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
    let mut again = all.clone();
    again[1].1 = "eve@example.com";
    again.push(("csrf", &csrf));
    assert_eq!(browser.post("/register", &again, &[]).await.status(), StatusCode::GONE);
    assert!(t.authority.store.user_by_email("eve@example.com").await.unwrap().is_none());
    t.advance(73 * 3600);
    assert_eq!(Browser::new(&t.url).get(&path).await.status(), StatusCode::GONE);
}

#[apply(both_databases)]
async fn the_account_page_changes_the_password_and_shows_what_happened(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    for (current, new, why) in [
        ("wrong password", "violet anchor 9", "The current password is incorrect."),
        (PASSWORD, "short", "Use at least 8"),
        (PASSWORD, "iloveyou", "most common"),
    ] {
        let fields = [("current_password", current), ("new_password", new)];
        let answer = browser.submit("/account", "/account/password", &fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text().await.unwrap().contains(why));
    }
    let fields = [("current_password", PASSWORD), ("new_password", "violet anchor 9")];
    browser.submit("/account", "/account/password", &fields).await;
    let attacker = Browser::new(&t.url);
    assert_eq!(
        attacker.sign_in("ann@example.com", PASSWORD).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        attacker.sign_in("ann@example.com", "violet anchor 9").await.status(),
        StatusCode::SEE_OTHER
    );
    let page = browser.get("/account/activity").await.text().await.unwrap();
    for line in ["Password changed", "Signed in", "Failed sign-in", "Firefox on Linux"] {
        assert!(page.contains(line), "{line}");
    }
    assert_eq!(location(&browser.get("/.well-known/change-password").await), "/account/security");
}

#[tokio::test]
async fn registration_can_be_open() {
    let t = TestApp::with(None, &[("registration", "open")]).await;
    let browser = Browser::new(&t.url);
    assert!(browser.get("/login").await.text().await.unwrap().contains("/register"));
    let fields = [("email", "ann@example.com"), ("name", ""), ("password", PASSWORD)];
    let asked = browser.submit("/register", "/register", &fields).await.text().await.unwrap();
    assert!(asked.contains("Check your inbox"));
    let closed = TestApp::sqlite().await;
    let browser = Browser::new(&closed.url);
    assert!(!browser.get("/login").await.text().await.unwrap().contains("/register"));
    assert_eq!(browser.get("/register").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_local_paths_are_led_to() {
    let t = TestApp::sqlite().await;
    t.add_user("ann@example.com").await;
    for (return_to, expected) in [
        ("/sessions", "/sessions"),
        ("/oauth/authorize?a=b&c=d", "/oauth/authorize?a=b&c=d"),
        ("https://evil.example", "/apps"),
        ("//evil.example", "/apps"),
        ("/\\evil.example", "/apps"),
        ("\\\\evil.example", "/apps"),
        ("/\t/evil.example", "/apps"),
        ("/%0d%0aSet-Cookie:x", "/%0d%0aSet-Cookie:x"),
        ("/\r\nSet-Cookie: x", "/apps"),
        ("javascript:alert(1)", "/apps"),
        ("", "/apps"),
    ] {
        let browser = Browser::new(&t.url);
        let fields =
            [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", return_to)];
        let answer = browser.submit("/login", "/login", &fields).await;
        assert_eq!(location(&answer), expected, "{return_to:?}");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_not_used_ends() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    for _ in 0..3 {
        t.advance(13 * 24 * 3600);
        assert_eq!(browser.get("/apps").await.status(), StatusCode::OK, "its use is noted");
    }
    t.advance(14 * 24 * 3600);
    assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER);
    browser.sign_in("ann@example.com", PASSWORD).await;
    for _ in 0..8 {
        t.advance(11 * 24 * 3600);
        browser.get("/apps").await;
    }
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
    t.advance(2 * 24 * 3600 + 1);
    assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER, "90 days in any case");
}
