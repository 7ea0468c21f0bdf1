//! Registration, lost passwords, other addresses, and the end of an account, as their users meet them.

use std::time::Duration;

use aa_server::domain::confirmation::ConfirmationKind;
use aa_server::domain::event::{Actor, EventKind};
use aa_server::domain::refresh_token::SecretHash;
use aa_server::ops::users;
use aa_server::store::NewConfirmation;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::Value;

use crate::letters::{code_of, link, token};
use crate::second_factors::{code, first_step, second_step, with_totp};
use crate::support::{
    Browser, Engine, NEW_PASSWORD, PASSWORD, TestApp, both_databases, location, until,
};

#[apply(both_databases)]
async fn an_account_exists_when_its_address_is_confirmed(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("registration", "open")]).await else { return };
    let app = t.confidential().await;
    let browser = Browser::new(&t.url);
    let sign_in = location(&browser.ask(&app, &[]).await);
    let return_to = url::Url::parse(&format!("{}{sign_in}", t.url)).unwrap();
    let return_to =
        return_to.query_pairs().find(|(name, _)| name == "return_to").unwrap().1.into_owned();
    let fields = [("email", "Ann@example.com"), ("name", "Ann"), ("return_to", return_to.as_str())];
    let asked = browser.submit("/register", "/register", &fields).await;
    assert_eq!(asked.status(), StatusCode::OK);
    assert!(asked.text().await.unwrap().contains("Check your inbox"));
    assert!(t.authority.store.user_by_email("ann@example.com").await.unwrap().is_none());
    let confirm = link(&t, &t.mail("Ann@example.com", "Confirm your email address").await);

    // A look at the link changes nothing; a weak password keeps it good.
    assert!(
        browser.get(&confirm).await.text().await.unwrap().contains("Ann@example.com is confirmed")
    );
    let weak = [("token", token(&confirm)), ("password", "password1".to_owned())];
    let weak: Vec<(&str, &str)> =
        weak.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = browser.submit(&confirm, "/register/confirm", &weak).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().await.unwrap().contains("aria-invalid=\"true\""));

    let token = token(&confirm);
    let csrf = browser.csrf(&confirm).await;
    let form = [("csrf", csrf.as_str()), ("token", token.as_str()), ("password", PASSWORD)];
    let (one, two) = tokio::join!(
        browser.post("/register/confirm", &form, &[]),
        browser.post("/register/confirm", &form, &[])
    );
    let mut statuses = [one.status().as_u16(), two.status().as_u16()];
    statuses.sort_unstable();
    assert!(
        statuses[0] == 303 && statuses[1] >= 410,
        "one of the two makes the account: {statuses:?}"
    );
    let made = if one.status() == StatusCode::SEE_OTHER { one } else { two };
    assert_eq!(location(&made), return_to, "on to the app that the user came from");
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    assert!(user.email_verified_at.is_some() && user.name == "Ann");
    assert_eq!(browser.get(&confirm).await.status(), StatusCode::GONE);
    let redirect = browser.get(&location(&made)).await;
    assert!(location(&redirect).contains("code=dt_"));
}

#[apply(both_databases)]
async fn nobody_learns_whether_an_address_is_known(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("registration", "open")]).await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    for (page, subject) in [
        ("/register", "You have an account already"),
        ("/password/forgot", "Choose a new password"),
    ] {
        let mut seen = Vec::new();
        for email in ["ann@example.com", "ben@example.com"] {
            let answer = browser.submit(page, page, &[("email", email)]).await;
            let status = answer.status();
            let body = answer.text().await.unwrap();
            let body =
                body.split("<main").nth(1).unwrap().split("</main>").next().unwrap().to_owned();
            seen.push((status, body));
        }
        assert_eq!(seen[0], seen[1], "{page}");
        t.mail("ann@example.com", subject).await;
    }
    // Of an unknown address nothing but the registration comes.
    t.mail("ben@example.com", "Confirm your email address").await;
    assert_eq!(t.mails_to("ben@example.com").len(), 1);
    for email in
        ["a,b@example.com", "ann@example.com\r\nBcc: x@example.com", "<ann@example.com>", "ann"]
    {
        let answer = browser.submit("/register", "/register", &[("email", email)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{email:?}");
    }
    let mut last = StatusCode::OK;
    for _ in 0..6 {
        let fields = [("email", "ann@example.com")];
        last = browser.submit("/password/forgot", "/password/forgot", &fields).await.status();
    }
    assert_eq!(last, StatusCode::UNPROCESSABLE_ENTITY, "mails to one address are limited");
}

#[apply(both_databases)]
async fn a_reset_link_works_once_and_ends_everything(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    let other = Browser::new(&t.url);
    let ask = async || {
        other.submit("/password/forgot", "/password/forgot", &[("email", "ann@example.com")]).await;
    };
    ask().await;
    let reset = link(&t, &t.mail("ann@example.com", "Choose a new password").await);
    assert!(other.get(&reset).await.text().await.unwrap().contains("For ann@example.com."));
    let (csrf, token_of) = (other.csrf(&reset).await, token(&reset));
    let passwords: Vec<String> = (0..6).map(|number| format!("{NEW_PASSWORD} {number}")).collect();
    let answers = futures_util::future::join_all(passwords.iter().map(|password| {
        let form = [
            ("csrf", csrf.as_str()),
            ("token", token_of.as_str()),
            ("password", password.as_str()),
        ];
        let other = &other;
        async move { other.post("/password/reset", &form, &[]).await.status() }
    }))
    .await;
    let won: Vec<usize> = (0..6).filter(|index| answers[*index] == StatusCode::SEE_OTHER).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    app.refresh(tokens.refresh_token()).await.refused("invalid_grant");
    assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER, "signed out");
    assert_eq!(other.sign_in("ann@example.com", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    let signed_in = other.sign_in("ann@example.com", &passwords[won[0]]).await;
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    t.mail("ann@example.com", "Your password was reset").await;

    // A link dies with time, and with a change of the password.
    ask().await;
    t.mail("ann@example.com", "Choose a new password").await;
    let newest = async || {
        let before = token_of.clone();
        until("another link", || {
            t.mails_to("ann@example.com").iter().any(|mail| {
                mail.subject == "Choose a new password" && token(&link(&t, mail)) != before
            })
        })
        .await;
        link(&t, &t.mail("ann@example.com", "Choose a new password").await)
    };
    let second = newest().await;
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let operator = aa_server::domain::caller::Caller::operator();
    users::reset_password(&t.authority, &user, PASSWORD.into(), &operator).await.unwrap();
    assert_eq!(other.get(&second).await.status(), StatusCode::GONE);
    assert_eq!(other.get("/password/reset?token=unknown").await.status(), StatusCode::GONE);
}

#[apply(both_databases)]
async fn a_reset_link_expires(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    browser.submit("/password/forgot", "/password/forgot", &[("email", "ann@example.com")]).await;
    let reset = link(&t, &t.mail("ann@example.com", "Choose a new password").await);
    t.advance(29 * 60);
    assert_eq!(browser.get(&reset).await.status(), StatusCode::OK);
    t.advance(2 * 60);
    assert_eq!(browser.get(&reset).await.status(), StatusCode::GONE);
}

#[apply(both_databases)]
async fn both_passwords_of_a_change_are_judged_at_once(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let change = async |current: &str, new: &str| {
        let fields = [("current_password", current), ("new_password", new)];
        let answer = browser.submit("/account/security", "/account/password", &fields).await;
        (answer.status(), answer.text().await.unwrap())
    };
    let current = "The current password is incorrect.";
    for (given, new, why) in [
        ("wrong password", "short", "Use at least 8"),
        ("wrong password", "iloveyou", "most common"),
        ("wrong password", "wrong password", "must differ from the current one"),
    ] {
        let (status, page) = change(given, new).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
        let summary = &page[at("id=\"error\"")..at("</ul>\n</div>")];
        assert!(summary.contains(&format!("<a href=\"#current_password\">{current}</a>")));
        assert!(summary.contains("<a href=\"#new_password\">") && summary.contains(why), "{why}");
        let of_field = |name: &str| page[at(&format!("id=\"{name}-wrong\""))..].to_owned();
        assert!(of_field("current_password").split("</p>").next().unwrap().contains(current));
        assert!(of_field("new_password").split("</p>").next().unwrap().contains(why), "{why}");
        assert_eq!(page.matches("aria-invalid=\"true\"").count(), 2);
    }
    let (_, page) = change("wrong password", NEW_PASSWORD).await;
    assert!(page.contains(current) && page.matches("aria-invalid=\"true\"").count() == 1);
    let (_, page) = change(PASSWORD, "short").await;
    assert!(!page.contains(current) && page.matches("aria-invalid=\"true\"").count() == 1);

    // A bad new password makes no guess at the current one free, and tells nothing once there were too many.
    let mut last = (StatusCode::OK, String::new());
    for _ in 0..30 {
        last = change("wrong password", "short").await;
        if last.0 == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(!last.1.contains("Use at least 8"));
    assert_eq!(change(PASSWORD, "short").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(change(PASSWORD, NEW_PASSWORD).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[apply(both_databases)]
async fn an_end_of_all_sessions_ends_sign_ins_under_way(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (totp, _) = with_totp(&t, &browser).await;
    t.advance(60);
    let thief = Browser::new(&t.url);
    let page = first_step(&thief, PASSWORD).await;
    let csrf = thief.csrf(&page).await;
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let operator = aa_server::domain::caller::Caller::operator();
    users::reset_password(&t.authority, &user, NEW_PASSWORD.into(), &operator).await.unwrap();
    let attempt = page.split_once("attempt=").unwrap().1;
    let right = code(&t, &totp);
    let fields = [("csrf", csrf.as_str()), ("attempt", attempt), ("code", right.as_str())];
    let refused = thief.post("/login/verify", &fields, &[]).await;
    assert_eq!(refused.status(), StatusCode::GONE);
    assert_eq!(thief.get("/apps").await.status(), StatusCode::SEE_OTHER, "not signed in");
    // The code was right, and is not used up.
    let page = first_step(&browser, NEW_PASSWORD).await;
    assert_eq!(second_step(&browser, &page, &right, &[]).await.status(), StatusCode::SEE_OTHER);
}

#[apply(both_databases)]
async fn delicate_things_need_a_sign_in_of_late(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    t.advance(20 * 60);
    assert!(
        location(&browser.get("/account/totp").await)
            .starts_with("/login?return_to=%2Faccount%2Ftotp&again=1")
    );
    for (page, action) in [
        ("/account", "/account/close"),
        ("/account", "/account/email"),
        ("/account/security", "/account/recovery-codes"),
        ("/account/security", "/account/totp/remove"),
        ("/account/security", "/account/passkeys"),
    ] {
        let answer = browser.submit(page, action, &[("email", "new@example.com")]).await;
        assert!(location(&answer).starts_with("/login?return_to=%2Faccount"), "{action}");
    }
    assert!(location(&browser.get("/account/export").await).starts_with("/login?"));
    browser.sign_in("ann@example.com", PASSWORD).await;
    assert_eq!(browser.get("/account/totp").await.status(), StatusCode::OK);
    // A second factor that there is has to be shown, in a browser that is remembered, too.
    let (totp, _) = with_totp(&t, &browser).await;
    assert!(location(&browser.get("/account/totp").await).starts_with("/login?"));
    t.advance(60);
    let fields =
        [("email", "ann@example.com"), ("password", PASSWORD), ("return_to", "/account/totp")];
    let verify = location(&browser.submit("/login?again=1", "/login", &fields).await);
    let done = second_step(&browser, &verify, &code(&t, &totp), &[]).await;
    assert_eq!(location(&done), "/account/totp");
    assert_eq!(browser.get("/account/totp").await.status(), StatusCode::OK);
}

#[apply(both_databases)]
async fn an_address_is_changed_when_the_new_one_is_confirmed(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    t.add_user("ben@example.com").await;
    let asked =
        browser.submit("/account", "/account/email", &[("email", "anna@example.com")]).await;
    assert_eq!(location(&asked), "/account?done=email-change-sent");
    let told = t.mail("ann@example.com", "Your email address is about to change").await;
    assert!(told.text.contains("anna@example.com") && told.text.contains("127.0.0.1"));
    let change = link(&t, &t.mail("anna@example.com", "Confirm your new email address").await);
    let user = async || t.authority.store.user_by_email("ann@example.com").await.unwrap();
    browser.get(&change).await;
    assert!(user().await.is_some(), "a look at the link changes nothing");
    let token_of = token(&change);
    let done = browser.submit(&change, "/account/email/change", &[("token", &token_of)]).await;
    assert_eq!(location(&done), "/account?done=email-confirmed");
    assert!(user().await.is_none());
    let anna = t.authority.store.user_by_email("anna@example.com").await.unwrap().unwrap();
    assert!(anna.email_verified_at.is_some() && anna.email == "anna@example.com");
    assert_eq!(browser.get(&change).await.status(), StatusCode::GONE);
    // The answer is the same for an address of another account; only its owner is told.
    let taken = browser.submit("/account", "/account/email", &[("email", "ben@example.com")]).await;
    assert_eq!(location(&taken), "/account?done=email-change-sent");
    t.mail("ben@example.com", "You have an account already").await;
    let same = browser.submit("/account", "/account/email", &[("email", "anna@example.com")]).await;
    assert_eq!(same.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[apply(both_databases)]
async fn mails_to_an_address_are_void_once_the_account_has_another(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("sign_in_code", "true")]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    // An attacker who reads the old mailbox has a link and a code.
    let thief = Browser::new(&t.url);
    let email = ("email", "ann@example.com");
    thief.submit("/password/forgot", "/password/forgot", &[email]).await;
    let reset = link(&t, &t.mail("ann@example.com", "Choose a new password").await);
    let csrf = thief.csrf(&reset).await;
    thief.submit("/login/code", "/login/code", &[email]).await;
    let sign_in_code = code_of(&t.mail("ann@example.com", "Your sign-in code").await);
    browser.submit("/account", "/account/email", &[("email", "anna@example.com")]).await;
    let change = link(&t, &t.mail("anna@example.com", "Confirm your new email address").await);
    browser.submit(&change, "/account/email/change", &[("token", &token(&change))]).await;
    assert!(t.authority.store.user_by_email("anna@example.com").await.unwrap().is_some());
    assert_eq!(thief.get(&reset).await.status(), StatusCode::GONE);
    let token_of = token(&reset);
    let fields =
        [("csrf", csrf.as_str()), ("token", token_of.as_str()), ("password", NEW_PASSWORD)];
    assert_eq!(thief.post("/password/reset", &fields, &[]).await.status(), StatusCode::GONE);
    let fields = [("email", "anna@example.com"), ("code", &sign_in_code)];
    let refused = thief.submit("/login/code", "/login/code", &fields).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    // A link that was read before the address changed, and is used after it.
    let hash = SecretHash::of(b"a link of the race");
    let anna = t.authority.store.user_by_email("anna@example.com").await.unwrap().unwrap();
    let kind = ConfirmationKind::ResetPassword;
    let new = NewConfirmation {
        token_hash: hash.clone(),
        kind,
        user: Some((anna.id, anna.epoch)),
        email: "ann@example.com",
        detail: "{}",
        ttl: kind.ttl(),
    };
    let now = t.authority.now();
    t.authority.store.add_confirmation(&new, now).await.unwrap();
    let operator = aa_server::domain::caller::Caller::operator();
    let event = t.authority.event(EventKind::PasswordReset, Actor::User(anna.id), &operator);
    let done = t.authority.store.confirm_password_reset(&hash, "unused", event, now).await;
    assert!(done.unwrap().is_none());
}

#[apply(both_databases)]
async fn a_closed_account_can_be_kept_and_is_deleted_after_its_grace(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    let closed = browser.submit("/account", "/account/close", &[]).await;
    assert_eq!(location(&closed), "/account?done=closed");
    t.mail("ann@example.com", "Your account is closed").await;
    let page = browser.get("/account").await.text().await.unwrap();
    assert!(page.contains("Your account is closed. It will be deleted on"));
    assert_eq!(
        location(&browser.submit("/account", "/account/keep", &[]).await),
        "/account?done=kept"
    );
    app.refresh(tokens.refresh_token()).await.ok();
    browser.submit("/account", "/account/close", &[]).await;
    let other = t.signed_in("ben@example.com").await;
    other.submit("/account", "/account/close", &[]).await;
    t.advance(13 * 24 * 3600);
    let deleted = aa_server::ops::account::lifecycle::delete_closed(&t.authority).await.unwrap();
    assert_eq!(deleted, 0);
    t.advance(2 * 24 * 3600);
    let deleted = aa_server::ops::account::lifecycle::delete_closed(&t.authority).await.unwrap();
    assert_eq!(deleted, 2);
    assert!(t.authority.store.user_by_email("ann@example.com").await.unwrap().is_none());
    app.refresh(tokens.refresh_token()).await.refused("invalid_grant");
    assert_eq!(t.events("user.deleted").await.len(), 2);
    t.add_user("ann@example.com").await;
}

#[apply(both_databases)]
async fn a_user_gets_a_copy_of_their_data(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    app.redeem(&browser.open(&app).await).await.ok();
    let copy = browser.get("/account/export").await;
    assert_eq!(copy.headers()["content-disposition"], "attachment; filename=\"account.json\"");
    let text = copy.text().await.unwrap();
    let copy: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(copy["account"]["email"], "ann@example.com");
    assert_eq!(copy["sessions"][0]["client_id"], "backend");
    assert!(copy["activity"].as_array().unwrap().len() >= 3);
    assert!(!text.contains("argon2") && !text.contains("secret_hash"));
}

#[apply(both_databases)]
async fn users_are_told_of_what_happens_to_their_accounts(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    t.advance(3600);
    browser.sign_in("ann@example.com", PASSWORD).await;
    assert_eq!(t.mails_to("ann@example.com").len(), 0, "a known browser is no news");
    Browser::new(&t.url).sign_in("ann@example.com", PASSWORD).await;
    let new = t.mail("ann@example.com", "New sign-in to Authority").await;
    assert!(new.text.contains("Firefox on Linux, 127.0.0.1"), "{}", new.text);
    let fields = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    browser.submit("/account/security", "/account/password", &fields).await;
    t.mail("ann@example.com", "Your password was changed").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    app.refresh(second.refresh_token()).await.ok();
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    let reuse = t.mail("ann@example.com", "A session was ended for your safety").await;
    assert!(reuse.text.contains("A token of backend was used twice"), "{}", reuse.text);
    // In the user's language.
    browser.submit("/account", "/account/profile", &[("name", "Ann"), ("language", "de")]).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    Browser::new(&t.url).sign_in("ann@example.com", NEW_PASSWORD).await;
    t.mail("ann@example.com", "Neue Anmeldung bei Authority").await;
}
