//! Second factors and codes by mail, as their users meet them.

use aa_server::domain::client::ClientType;
use aa_server::ops::users;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::Value;

use crate::letters::{code_of, link, token};
use crate::support::{
    Browser, Engine, NEW_PASSWORD, PASSWORD, TestApp, both_databases, claims_of, location,
};

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
pub async fn first_step(browser: &Browser, password: &str) -> String {
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
