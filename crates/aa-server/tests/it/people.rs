//! Registration, recovery, second factors and the end of an account, as their users meet them.

use std::time::Duration;

use aa_server::domain::client::ClientType;
use aa_server::domain::confirmation::ConfirmationKind;
use aa_server::domain::event::{Actor, EventKind};
use aa_server::domain::refresh_token::SecretHash;
use aa_server::ops::users;
use aa_server::services::mailer::StoredLetter;
use aa_server::store::NewConfirmation;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::Value;

use crate::support::{
    Browser, Engine, PASSWORD, TestApp, both_databases, claims_of, location, until,
};

const NEW_PASSWORD: &str = "violet anchor 77";

impl TestApp {
    fn mails_to(&self, email: &str) -> Vec<StoredLetter> {
        let mails = self.authority.mailer.stored().unwrap();
        mails.into_iter().filter(|mail| mail.to == email).collect()
    }

    /// The newest mail to an address with this subject.
    pub async fn mail(&self, email: &str, subject: &str) -> StoredLetter {
        let found = || self.mails_to(email).into_iter().find(|mail| mail.subject == subject);
        until(&format!("a mail to {email}: {subject}"), || found().is_some()).await;
        found().unwrap()
    }
}

/// The link of a mail, without the origin.
fn link(t: &TestApp, mail: &StoredLetter) -> String {
    let link = mail.text.lines().find(|line| line.starts_with(&t.url)).expect("a link");
    link[t.url.len()..].to_owned()
}

fn token(link: &str) -> String {
    link.split_once("token=").unwrap().1.to_owned()
}

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

/// The code of a mail.
fn code_of(mail: &StoredLetter) -> String {
    let is_code = |line: &&str| line.len() == 8 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.text.lines().map(str::trim).find(is_code).expect("a code").to_owned()
}

/// The secret of an authenticator app, and what has to come back with a code.
fn set_up(page: &str) -> (totp_rs::Totp, String) {
    let secret = page.split("<p class=\"code\">").nth(1).unwrap().split('<').next().unwrap();
    let secret = totp_rs::Secret::try_from_base32(secret.replace(' ', "")).unwrap();
    let state = page.split("name=\"state\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    (totp_rs::Builder::new().with_secret(secret).build().unwrap(), state.to_owned())
}

pub fn code(t: &TestApp, totp: &totp_rs::Totp) -> String {
    totp.generate(u64::try_from(t.authority.now().secs()).unwrap()).to_string()
}

/// Turns an authenticator app on. Returns it, with the recovery codes.
pub async fn with_totp(t: &TestApp, browser: &Browser) -> (totp_rs::Totp, Vec<String>) {
    let page = browser.get("/account/totp").await.text().await.unwrap();
    let (totp, state) = set_up(&page);
    let wrong = browser
        .submit("/account/totp", "/account/totp", &[("state", &state), ("code", "000000")])
        .await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let again = wrong.text().await.unwrap();
    assert_eq!(set_up(&again).1, state, "the same secret is shown again");
    let fields = [("state", state.as_str()), ("code", &code(t, &totp))];
    let done = browser.submit("/account/totp", "/account/totp", &fields).await;
    assert_eq!(done.status(), StatusCode::OK);
    let page = done.text().await.unwrap();
    let codes: Vec<String> = page
        .split("<ul class=\"codes\" id=\"codes\">")
        .nth(1)
        .expect("the recovery codes")
        .split("</ul>")
        .next()
        .unwrap()
        .split("<li>")
        .skip(1)
        .map(|item| item.split('<').next().unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 10);
    (totp, codes)
}

/// Signs in by password. Returns the page of the second step.
async fn first_step(browser: &Browser, password: &str) -> String {
    let to = location(&browser.sign_in("ann@example.com", password).await);
    assert!(to.starts_with("/login/verify?attempt="), "{to}");
    to
}

pub async fn second_step(
    browser: &Browser,
    page: &str,
    code: &str,
    more: &[(&str, &str)],
) -> reqwest::Response {
    let attempt = page.split_once("attempt=").unwrap().1.split('&').next().unwrap();
    let mut fields = vec![("attempt", attempt), ("code", code)];
    fields.extend_from_slice(more);
    browser.submit(page, "/login/verify", &fields).await
}

#[apply(both_databases)]
async fn the_code_of_an_authenticator_app_is_asked_for_and_works_once(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (totp, _) = with_totp(&t, &browser).await;
    t.mail("ann@example.com", "An authenticator app was turned on").await;
    let used = code(&t, &totp);
    // The code that proved the app is used up.
    let other = Browser::new(&t.url);
    let page = first_step(&other, PASSWORD).await;
    assert_eq!(other.get("/apps").await.status(), StatusCode::SEE_OTHER, "not signed in yet");
    assert_eq!(second_step(&other, &page, &used, &[]).await.status(), StatusCode::UNAUTHORIZED);
    t.advance(60);
    // Two sign-ins at once with the same code: one of them.
    let third = Browser::new(&t.url);
    let page_of_third = first_step(&third, PASSWORD).await;
    let now = code(&t, &totp);
    let (one, two) = tokio::join!(
        second_step(&other, &page, &now, &[]),
        second_step(&third, &page_of_third, &now, &[])
    );
    let mut statuses = [one.status(), two.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::UNAUTHORIZED]);
    let refused = t.events("factor.refused").await;
    assert_eq!(refused.len(), 2);
    // Another browser cannot go on with a sign-in, and a used one is over.
    assert_eq!(Browser::new(&t.url).get(&page).await.status(), StatusCode::GONE);
    t.advance(11 * 60);
    assert_eq!(third.get(&page_of_third).await.status(), StatusCode::GONE);
}

#[apply(both_databases)]
async fn guesses_of_a_code_are_slowed_down(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (totp, _) = with_totp(&t, &browser).await;
    t.advance(60);
    let attacker = Browser::new(&t.url);
    let page = first_step(&attacker, PASSWORD).await;
    let guesses = (0..12).map(|guess| {
        let code = format!("{guess:06}");
        let (attacker, page) = (&attacker, &page);
        async move { second_step(attacker, page, &code, &[]).await.status() }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let checked = answers.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    assert!(checked <= 5, "{answers:?}");
    let right = second_step(&attacker, &page, &code(&t, &totp), &[]).await;
    assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[apply(both_databases)]
async fn a_recovery_code_lets_its_user_in_once(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (_, codes) = with_totp(&t, &browser).await;
    let with = [("with", "recovery")];
    let lost = Browser::new(&t.url);
    let page = format!("{}&with=recovery", first_step(&lost, PASSWORD).await);
    assert_eq!(
        second_step(&lost, &page, "0000-0000-0000-0000", &with).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let typed = codes[3].to_uppercase().replace('-', " ");
    assert_eq!(second_step(&lost, &page, &typed, &with).await.status(), StatusCode::SEE_OTHER);
    t.mail("ann@example.com", "A recovery code was used").await;
    let again = Browser::new(&t.url);
    let page = format!("{}&with=recovery", first_step(&again, PASSWORD).await);
    assert_eq!(
        second_step(&again, &page, &codes[3], &with).await.status(),
        StatusCode::UNAUTHORIZED
    );
    // Of parallel uses of another one, one is let in.
    let browsers: Vec<Browser> = (0..4).map(|_| Browser::new(&t.url)).collect();
    let tries = browsers.iter().map(|browser| {
        let code = codes[4].as_str();
        async move {
            let page = format!("{}&with=recovery", first_step(browser, PASSWORD).await);
            second_step(browser, &page, code, &[("with", "recovery")]).await.status()
        }
    });
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(
        answers.iter().filter(|status| **status == StatusCode::SEE_OTHER).count(),
        1,
        "{answers:?}"
    );
    let page = lost.get("/account/security").await.text().await.unwrap();
    assert!(page.contains("You have 8 recovery codes left"), "{page}");
    // The database alone lets no one in: it has hashes.
    let counts = t.authority.store.factor_counts(
        t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap().id,
    );
    assert_eq!(counts.await.unwrap().recovery_codes, 8);
}

#[apply(both_databases)]
async fn a_reset_password_is_no_way_around_a_second_factor(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (totp, _) = with_totp(&t, &browser).await;
    let thief = Browser::new(&t.url);
    thief.submit("/password/forgot", "/password/forgot", &[("email", "ann@example.com")]).await;
    let reset = link(&t, &t.mail("ann@example.com", "Choose a new password").await);
    let fields = [("token", token(&reset)), ("password", NEW_PASSWORD.to_owned())];
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = thief.submit(&reset, "/password/reset", &fields).await;
    assert_eq!(location(&done), "/login?again=1&done=password-reset", "not signed in by the link");
    let page = first_step(&thief, NEW_PASSWORD).await;
    t.advance(60);
    assert_eq!(
        second_step(&thief, &page, &code(&t, &totp), &[]).await.status(),
        StatusCode::SEE_OTHER
    );
    // The operator has a way in for a user who has lost everything.
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::reset_factors(&t.authority, &user, &aa_server::domain::caller::Caller::operator())
        .await
        .unwrap();
    assert_eq!(thief.get("/apps").await.status(), StatusCode::SEE_OTHER, "all sessions have ended");
    assert_eq!(location(&thief.sign_in("ann@example.com", NEW_PASSWORD).await), "/apps");
    assert_eq!(t.events("factor.reset").await.len(), 1);
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
async fn a_remembered_browser_is_asked_again_after_its_time(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("remember_browser", "10d")]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (totp, _) = with_totp(&t, &browser).await;
    t.advance(60);
    let page = first_step(&browser, PASSWORD).await;
    assert!(browser.get(&page).await.text().await.unwrap().contains("for 10 days"));
    let done = second_step(&browser, &page, &code(&t, &totp), &[("remember", "1")]).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&browser.sign_in("ann@example.com", PASSWORD).await), "/apps");
    let other = Browser::new(&t.url);
    first_step(&other, PASSWORD).await;
    t.advance(11 * 24 * 3600);
    first_step(&browser, PASSWORD).await;
}

#[apply(both_databases)]
async fn no_browser_is_remembered_after_the_end_of_everything(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("remember_browser", "10d")]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let (totp, _) = with_totp(&t, &browser).await;
    let remember = async |password| {
        t.advance(60);
        let page = first_step(&browser, password).await;
        second_step(&browser, &page, &code(&t, &totp), &[("remember", "1")]).await;
        assert_eq!(location(&browser.sign_in("ann@example.com", password).await), "/apps");
    };
    remember(PASSWORD).await;
    t.advance(60);
    // The password is changed in another browser.
    let other = Browser::new(&t.url);
    let page = first_step(&other, PASSWORD).await;
    second_step(&other, &page, &code(&t, &totp), &[]).await;
    let fields = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    other.submit("/account/security", "/account/password", &fields).await;
    remember(NEW_PASSWORD).await;
    let operator = aa_server::domain::caller::Caller::operator();
    aa_server::ops::sessions::end::end_everything(&t.authority, &operator).await.unwrap();
    first_step(&browser, NEW_PASSWORD).await;
}

#[apply(both_databases)]
async fn a_policy_has_a_second_factor_set_up_in_the_sign_in(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("second_factor", "everybody")]).await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    let to = location(&browser.sign_in("ann@example.com", PASSWORD).await);
    assert!(to.starts_with("/login/enrol?attempt="), "{to}");
    assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER);
    let attempt = to.split_once("attempt=").unwrap().1.to_owned();
    let later = browser.submit(&to, "/login/enrol", &[("attempt", &attempt), ("later", "1")]).await;
    assert_eq!(later.status(), StatusCode::GONE, "it cannot be put off");
    let page = format!("{to}&with=totp");
    let (totp, state) = set_up(&browser.get(&page).await.text().await.unwrap());
    let fields = [("attempt", attempt.as_str()), ("state", state.as_str()), ("code", "1")];
    assert_eq!(
        browser.submit(&page, "/login/enrol", &fields).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let now = code(&t, &totp);
    let fields = [("attempt", attempt.as_str()), ("state", state.as_str()), ("code", now.as_str())];
    let done = browser.submit(&page, "/login/enrol", &fields).await;
    assert_eq!(done.status(), StatusCode::OK);
    assert!(done.text().await.unwrap().contains("Your recovery codes"));
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
    t.advance(60);
    // From now on the factor is asked for, and enrolling is no way around it.
    let other = Browser::new(&t.url);
    let to = first_step(&other, PASSWORD).await;
    let attempt = to.split_once("attempt=").unwrap().1;
    let enrol = format!("/login/enrol?attempt={attempt}&with=totp");
    let (theirs, state) = set_up(&other.get(&enrol).await.text().await.unwrap());
    let now = code(&t, &theirs);
    let fields = [("attempt", attempt), ("state", state.as_str()), ("code", now.as_str())];
    assert_eq!(other.submit(&enrol, "/login/enrol", &fields).await.status(), StatusCode::GONE);
}

#[apply(both_databases)]
async fn until_its_day_a_policy_may_be_put_off(#[case] engine: Engine) {
    let given = [("second_factor", "everybody"), ("second_factor_from", "2999-01-01")];
    let Some(t) = TestApp::on(engine, &given).await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    let to = location(&browser.sign_in("ann@example.com", PASSWORD).await);
    assert!(
        browser.get(&to).await.text().await.unwrap().contains("Not now (needed from 2999-01-01)")
    );
    let attempt = to.split_once("attempt=").unwrap().1;
    let later = browser.submit(&to, "/login/enrol", &[("attempt", attempt), ("later", "1")]).await;
    assert_eq!(location(&later), "/apps");
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
    // However often: it is no guess.
    for _ in 0..25 {
        let to = location(&browser.sign_in("ann@example.com", PASSWORD).await);
        let attempt = to.split_once("attempt=").unwrap().1;
        let later =
            browser.submit(&to, "/login/enrol", &[("attempt", attempt), ("later", "1")]).await;
        assert_eq!(location(&later), "/apps");
    }
}

#[apply(both_databases)]
async fn an_app_can_demand_two_factors_and_is_told_of_them(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let plain = t.confidential().await;
    let id_token = |answer: &crate::support::Answer| -> Value {
        claims_of(answer.json["id_token"].as_str().unwrap())
    };
    let one = plain.redeem(&browser.open(&plain).await).await.ok();
    assert_eq!(
        (&id_token(&one)["acr"], &id_token(&one)["amr"]),
        (&"aal1".into(), &serde_json::json!(["pwd"]))
    );
    let (totp, _) = with_totp(&t, &browser).await;
    t.advance(60);
    let strict =
        t.add_client("strict", ClientType::Confidential, |app| app.two_factors = true).await;
    for (app, more) in [(&strict, &[][..]), (&plain, &[("acr_values", "aal2")][..])] {
        let browser = Browser::new(&t.url);
        let sign_in = location(&browser.ask(app, more).await);
        let fields = [("email", "ann@example.com"), ("password", PASSWORD)];
        let return_to = url::Url::parse(&format!("{}{sign_in}", t.url)).unwrap();
        let return_to =
            return_to.query_pairs().find(|(name, _)| name == "return_to").unwrap().1.into_owned();
        let mut fields = fields.to_vec();
        fields.push(("return_to", &return_to));
        let verify = location(&browser.submit(&sign_in, "/login", &fields).await);
        assert!(verify.starts_with("/login/verify"), "{verify}");
        let back = second_step(&browser, &verify, &code(&t, &totp), &[]).await;
        assert_eq!(location(&back), return_to);
        let code = location(&browser.get(&return_to).await);
        let code = url::Url::parse(&code)
            .unwrap()
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1
            .into_owned();
        let tokens = app.redeem(&code).await.ok();
        let amr = serde_json::json!(["pwd", "otp", "mfa"]);
        assert_eq!((&id_token(&tokens)["acr"], &id_token(&tokens)["amr"]), (&"aal2".into(), &amr));
        t.advance(60);
    }
    // A session of one factor is not enough, and a client that allows no page is told.
    let told = browser.ask(&strict, &[("prompt", "none")]).await;
    assert!(location(&told).contains("error=login_required"));
    // A user without a second factor sets one up.
    t.add_user("ben@example.com").await;
    let ben = Browser::new(&t.url);
    let sign_in = location(&ben.ask(&strict, &[]).await);
    let return_to = url::Url::parse(&format!("{}{sign_in}", t.url)).unwrap();
    let return_to =
        return_to.query_pairs().find(|(name, _)| name == "return_to").unwrap().1.into_owned();
    let fields =
        [("email", "ben@example.com"), ("password", PASSWORD), ("return_to", return_to.as_str())];
    assert!(location(&ben.submit(&sign_in, "/login", &fields).await).starts_with("/login/enrol"));
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
async fn a_code_by_mail_signs_in_where_it_was_asked_for(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("sign_in_code", "true")]).await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    assert!(browser.get("/login").await.text().await.unwrap().contains("/login/code"));
    let email = ("email", "ann@example.com");
    browser.submit("/login/code", "/login/code", &[email]).await;
    let mail = t.mail("ann@example.com", "Your sign-in code").await;
    let code = code_of(&mail);
    let other = Browser::new(&t.url);
    let stolen = other.submit("/login/code", "/login/code", &[email, ("code", &code)]).await;
    assert_eq!(stolen.status(), StatusCode::UNAUTHORIZED, "it is good in one browser");
    let wrong = browser.submit("/login/code", "/login/code", &[email, ("code", "00000000")]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let done = browser.submit("/login/code", "/login/code", &[email, ("code", &code)]).await;
    assert_eq!(location(&done), "/apps");
    let again = browser.submit("/login/code", "/login/code", &[email, ("code", &code)]).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    let unknown = ("email", "unknown@example.com");
    let refused =
        other.submit("/login/code", "/login/code", &[unknown, ("code", "12345678")]).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
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

#[apply(both_databases)]
async fn a_browser_without_apps_is_listed_and_can_be_signed_out(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let intruder = Browser::new(&t.url);
    intruder.sign_in("ann@example.com", PASSWORD).await;
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert_eq!(page.matches("Signed in, no apps open.").count(), 2);
    let devices: Vec<&str> = page
        .split("/sessions/devices/")
        .skip(1)
        .map(|rest| rest.split('/').next().unwrap())
        .collect();
    let mut devices: Vec<&str> = devices.into_iter().collect();
    devices.dedup();
    let session = t
        .authority
        .store
        .signed_in_browsers(
            t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap().id,
            t.authority.now(),
        )
        .await
        .unwrap();
    assert_eq!(session.len(), 2);
    let theirs = devices.last().unwrap();
    let path = format!("/sessions/devices/{theirs}/revoke");
    let answer = browser.submit("/sessions", &path, &[]).await;
    assert_eq!(location(&answer), "/sessions?done=browser");
    assert_eq!(intruder.get("/apps").await.status(), StatusCode::SEE_OTHER);
    let page = browser.get("/sessions?done=browser").await.text().await.unwrap();
    assert!(
        page.contains("The device is signed out.") && page.matches("no apps open").count() == 1
    );
}

#[apply(both_databases)]
async fn an_expired_form_is_shown_again_filled_in(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("registration", "open")]).await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    let csrf = browser.csrf("/login").await;
    browser.cookies.lock().unwrap().clear();
    let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD)];
    let answer = browser.post("/login", &form, &[]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let page = answer.text().await.unwrap();
    assert!(
        page.contains("value=\"ann@example.com\"") && page.contains("had been open for too long")
    );
    assert!(browser.cookie("aa_csrf").is_some(), "the form can be sent now");
    let form = [("csrf", csrf.as_str()), ("email", "new@example.com"), ("name", "New")];
    browser.cookies.lock().unwrap().clear();
    let page = browser.post("/register", &form, &[]).await.text().await.unwrap();
    assert!(page.contains("value=\"new@example.com\"") && page.contains("value=\"New\""));
    // A form of another site is not.
    let foreign = [("origin", "https://evil.example")];
    let page = browser.post("/login", &form, &foreign).await.text().await.unwrap();
    assert!(!page.contains("new@example.com"));
}

#[apply(both_databases)]
async fn pages_speak_the_readers_language(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let anonymous = Browser::new(&t.url);
    let page = anonymous
        .get_with("/login", &[("accept-language", "de-CH, en;q=0.5")])
        .await
        .text()
        .await
        .unwrap();
    assert!(page.contains("<html lang=\"de\"") && page.contains("Passwort vergessen?"));
    let page = anonymous.get("/login?ui_locales=xx%20fr").await.text().await.unwrap();
    assert!(page.contains("Mot de passe oublié"));
    let page = anonymous.get("/nothing").await.text().await.unwrap();
    assert!(page.contains("Page introuvable"), "a choice is kept");
    let app = t.confidential().await;
    let to = location(&Browser::new(&t.url).ask(&app, &[("ui_locales", "de fr")]).await);
    assert!(to.ends_with("&ui_locales=de+fr"), "{to}");
    browser.submit("/account", "/account/profile", &[("name", "Änn"), ("language", "fr")]).await;
    let page = browser.get("/account").await.text().await.unwrap();
    assert!(page.contains("<html lang=\"fr\"") && page.contains("Änn"));
    let page =
        browser.get_with("/sessions", &[("accept-language", "de")]).await.text().await.unwrap();
    assert!(page.contains("Appareils et sessions"), "the account's choice before the browser's");
}

/// Sends the form of the picture with this file.
async fn upload(browser: &Browser, csrf: &str, file: &[u8], origin: &str) -> reqwest::Response {
    let part = |name: &str| {
        format!(
            "--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"me\"\r\n\r\n"
        )
    };
    let head = format!("{}{csrf}\r\n{}", part("csrf"), part("file"));
    let body = [head.as_bytes(), file, b"\r\n--limit--\r\n"].concat();
    browser
        .http
        .post(format!("{}/account/picture", browser.url))
        .header("cookie", browser.cookie_header())
        .header("origin", origin)
        .header("content-type", "multipart/form-data; boundary=limit")
        .body(body)
        .send()
        .await
        .unwrap()
}

/// The path of the picture on a page, if it shows one.
fn picture_on(page: &str) -> Option<String> {
    let name = page.split("src=\"/pictures/").nth(1)?.split('"').next()?;
    Some(format!("/pictures/{name}"))
}

#[apply(both_databases)]
async fn a_user_has_a_picture_that_nobody_can_guess(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let csrf = browser.csrf("/account").await;
    let anonymous = Browser::new(&t.url);
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(300, 200, image::Rgb([200, 10, 10]))
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .unwrap();
    let file = file.into_inner();
    let set = async || {
        let done = upload(&browser, &csrf, &file, &t.url).await;
        assert_eq!(location(&done), "/account?done=saved");
        picture_on(&browser.get("/account").await.text().await.unwrap()).expect("a picture")
    };
    let path = set().await;
    assert_eq!(path.len(), "/pictures/".len() + 43 + ".png".len());
    let page = browser.get("/apps").await.text().await.unwrap();
    assert_eq!(picture_on(&page).as_deref(), Some(&*path), "on every page");
    let shown = anonymous.get(&path).await;
    assert_eq!(shown.headers()["content-type"], "image/png");
    assert_eq!(shown.headers()["cache-control"], "private, max-age=31536000, immutable");
    let png = shown.bytes().await.unwrap();
    let drawn = image::load_from_memory(&png).unwrap().to_rgb8();
    assert_eq!(drawn.dimensions(), (256, 256));
    assert!(drawn.get_pixel(1, 1).0[0] > 150, "it fills its square");

    // Another one, the same file even, is at another address; the one before is gone.
    let second = set().await;
    assert_ne!(second, path);
    assert_eq!(anonymous.get(&path).await.status(), StatusCode::NOT_FOUND);

    // No picture, or not from our page: nothing changes.
    let too_large = vec![0; 8 * 1024 * 1024 + 1];
    for wrong in [&b""[..], b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", &too_large] {
        let refused = upload(&browser, &csrf, wrong, &t.url).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = refused.text().await.unwrap();
        assert!(page.contains("id=\"file-wrong\">Choose a PNG, JPEG or WebP picture"));
    }
    for (csrf, origin) in [("", &*t.url), ("x", &t.url), (&csrf, "https://evil.example")] {
        let refused = upload(&browser, csrf, &file, origin).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{csrf} {origin}");
    }
    let refused = upload(&anonymous, &csrf, &file, &t.url).await;
    assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let page = browser.get("/account").await.text().await.unwrap();
    assert_eq!(picture_on(&page).as_deref(), Some(&*second));

    // It is in the copy of the data, and goes when its user wants so, or goes.
    let copy = browser.get("/account/export").await.text().await.unwrap();
    assert!(copy.contains("\"picture\": \"data:image/png;base64,iVBOR"));
    browser.submit("/account", "/account/picture/remove", &[]).await;
    assert_eq!(picture_on(&browser.get("/account").await.text().await.unwrap()), None);
    assert_eq!(anonymous.get(&second).await.status(), StatusCode::NOT_FOUND);
    let changes = t.events("user.profile_changed").await;
    let set_or_not = changes.iter().map(|event| event.detail["picture"].as_bool().unwrap());
    assert_eq!(set_or_not.filter(|set| *set).count(), 2);
    assert_eq!(changes.len(), 3);
    let third = set().await;
    browser.submit("/account", "/account/close", &[]).await;
    t.advance(15 * 24 * 3600);
    aa_server::ops::account::lifecycle::delete_closed(&t.authority).await.unwrap();
    assert_eq!(anonymous.get(&third).await.status(), StatusCode::NOT_FOUND);
}

/// The seconds until the clocks of Europe are set back next, less half an hour.
fn until_clocks_are_set_back(t: &TestApp) -> u64 {
    use chrono::{Datelike as _, NaiveDate, Weekday};
    let now = t.authority.now().secs();
    let year = chrono::DateTime::from_timestamp(now, 0).unwrap().year() + 1;
    let mut sundays = (25..=31).map(|day| NaiveDate::from_ymd_opt(year, 10, day).unwrap());
    let last = sundays.rfind(|day| day.weekday() == Weekday::Sun).unwrap();
    let then = last.and_hms_opt(0, 30, 0).unwrap().and_utc().timestamp();
    u64::try_from(then - now).unwrap()
}

#[apply(both_databases)]
async fn times_are_in_the_zone_that_the_user_has_chosen(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    t.advance(until_clocks_are_set_back(&t));
    browser.sign_in("ann@example.com", PASSWORD).await;
    let choose = async |zone: &str, language: &str| {
        let fields = [("name", "Ann"), ("language", language), ("time_zone", zone)];
        browser.submit("/account", "/account/profile", &fields).await
    };
    let get = async |path: &str| browser.get(path).await.text().await.unwrap();

    // Without a choice: UTC, said so, until a script knows better.
    let page = get("/account/activity").await;
    assert!(page.contains(", 00:30 UTC\"") && !page.contains("data-zone"), "{page}");
    assert!(get("/account").await.contains("data-suggest=\"zone\""));
    Browser::new(&t.url).sign_in("ann@example.com", PASSWORD).await;
    let mail = t.mail("ann@example.com", "New sign-in to Authority").await;
    assert!(mail.text.contains(", 00:30 UTC\n"), "{}", mail.text);

    // The hour that comes twice is told apart.
    for wrong in ["Europe/Atlantis", "CET", "<script>", "Etc/UTC"] {
        let refused = choose(wrong, "en").await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = refused.text().await.unwrap();
        assert!(page.contains("id=\"time_zone-wrong\">Choose a time zone from the list."));
    }
    assert_eq!(location(&choose("Europe/Berlin", "en").await), "/account?done=saved");
    t.advance(3_600);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let page = get("/account/activity").await;
    assert!(page.contains(", 02:30 CEST (UTC+2)\"") && page.contains(", 02:30 CET (UTC+1)\""));
    assert!(page.contains("<html lang=\"en\" data-zone>") && !page.contains(" UTC\""));
    let page = get("/account").await;
    assert!(page.contains("<option value=\"Europe/Berlin\" selected>Berlin</option>"));
    assert!(!page.contains("data-suggest"));
    for path in ["/sessions", "/account/security"] {
        assert!(!get(path).await.contains(" UTC\""), "{path}");
    }

    // In the user's language, in mails too, and where nothing but the moment is shown.
    choose("America/New_York", "de").await;
    Browser::new(&t.url).sign_in("ann@example.com", PASSWORD).await;
    let mail = t.mail("ann@example.com", "Neue Anmeldung bei Authority").await;
    assert!(mail.text.contains(" Oktober ") && mail.text.contains(", 21:30 Uhr EDT (UTC-4)\n"));
    browser.submit("/account", "/account/close", &[]).await;
    assert!(get("/account").await.contains("20:30 Uhr EST (UTC-5)</time>"), "14 days later");
    browser.submit("/account", "/account/keep", &[]).await;

    // The choice is in the copy and on record; it can be given up.
    let copy: Value = serde_json::from_str(&get("/account/export").await).unwrap();
    assert_eq!(copy["account"]["time_zone"], "America/New_York");
    let changes = t.events("user.profile_changed").await;
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().any(|event| event.detail["time_zone"] == "Europe/Berlin"));
    choose("", "en").await;
    let page = get("/account").await;
    assert!(!page.contains("data-zone") && !page.contains("data-suggest"), "it is a choice, too");
    let copy: Value = serde_json::from_str(&get("/account/export").await).unwrap();
    assert_eq!(copy["account"]["time_zone"], Value::Null);
}

#[apply(both_databases)]
async fn an_app_has_an_icon_of_its_own(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(20, 20, image::Rgb([1, 2, 3]))
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .unwrap();
    let operator = aa_server::domain::caller::Caller::operator();
    let set = async |file: Option<&[u8]>| {
        aa_server::ops::client_icons::set(&t.authority, "backend", file, &operator).await.unwrap();
    };
    set(Some(file.get_ref())).await;
    let page = browser.get("/apps").await.text().await.unwrap();
    let path = page.split("src=\"/icons/").nth(1).expect("an icon").split('"').next().unwrap();
    let icon = browser.get(&format!("/icons/{path}")).await;
    assert_eq!(icon.headers()["content-type"], "image/png");
    assert!(icon.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert!(icon.bytes().await.unwrap().starts_with(b"\x89PNG"));
    let sign_in = location(&Browser::new(&t.url).ask(&app, &[]).await);
    assert!(sign_in.starts_with("/login"));
    set(None).await;
    assert!(!browser.get("/apps").await.text().await.unwrap().contains("/icons/"));
    assert_eq!(browser.get(&format!("/icons/{path}")).await.status(), StatusCode::NOT_FOUND);
    let unknown = aa_server::ops::client_icons::set(&t.authority, "nothing", None, &operator).await;
    assert_eq!(unknown.unwrap_err().to_string(), "there is no app `nothing`");
}
