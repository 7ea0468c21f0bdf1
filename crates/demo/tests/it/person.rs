//! The whole life of an account in chromium: registered, confirmed by mail, with a passkey, an authenticator app and recovery
//! codes, locked out, let in again, closed. And passkeys as an attacker would use them.

use std::time::Duration;

use serde_json::{Value, json};
use service::run::Failure;
use testing::chromium::{Driver, at, browser, driver, find, run, screenshot, shows};
use thirtyfour::prelude::*;

use crate::support::{World, world_with_dpop};

const EMAIL: &str = "eve@example.com";
const PASSWORD: &str = "tangerine lamp 4";
const NEW_PASSWORD: &str = "violet anchor 77";

async fn fill(browser: &WebDriver, css: &str, text: &str) -> WebDriverResult<()> {
    let field = find(browser, css).await?;
    field.clear().await?;
    field.send_keys(text.to_owned()).await
}

async fn press(browser: &WebDriver, css: &str) -> WebDriverResult<()> {
    find(browser, css).await?.click().await
}

/// Opens the newest mail with this subject in the demo's mailbox, and follows its link.
async fn follow_mail(browser: &WebDriver, world: &World, subject: &str) -> WebDriverResult<()> {
    for _ in 0..100 {
        browser.goto(format!("{}/demo/mail", world.authority())).await?;
        for card in browser.find_all(By::Css("section.card")).await? {
            if card.text().await?.starts_with(subject) {
                screenshot(browser, "demo-mail").await?;
                return card.find(By::Css("a")).await?.click().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no mail `{subject}`");
}

async fn sign_out(browser: &WebDriver, world: &World) -> WebDriverResult<()> {
    browser.goto(format!("{}/apps", world.authority())).await?;
    press(browser, "#sign-out").await?;
    at(browser, &format!("{}/login?done=signed-out", world.authority())).await
}

/// Lets the user touch their authenticator whenever it is asked, or never.
async fn touches(driver: &Driver, browser: &WebDriver, authenticator: &str, enabled: bool) {
    let params = json!({ "authenticatorId": authenticator, "enabled": enabled });
    driver.command(browser, "WebAuthn.setAutomaticPresenceSimulation", params).await;
}

async fn sign_in(browser: &WebDriver, world: &World, password: &str) -> WebDriverResult<()> {
    browser.goto(format!("{}/login?again=1", world.authority())).await?;
    fill(browser, "#email", EMAIL).await?;
    fill(browser, "#password", password).await?;
    press(browser, "main form.stack button[type=submit]").await
}

/// Registers with a confirmed address.
async fn register(browser: &WebDriver, world: &World) -> WebDriverResult<()> {
    let authority = world.authority();
    browser.goto(format!("{authority}/login")).await?;
    press(browser, "a[href='/register']").await?;
    fill(browser, "#email", EMAIL).await?;
    fill(browser, "#name", "Eve").await?;
    screenshot(browser, "register").await?;
    press(browser, "main button[type=submit]").await?;
    shows(browser, "h1", "Check your inbox").await?;
    screenshot(browser, "register-sent").await?;
    follow_mail(browser, world, "Confirm your email address").await?;
    shows(browser, "main", "eve@example.com is confirmed").await?;
    fill(browser, "#password", "password1").await?;
    press(browser, "main button[type=submit]").await?;
    shows(browser, "#password-wrong", "most common passwords").await?;
    assert_eq!(
        run(browser, "return document.activeElement.id").await?,
        "password",
        "focus is at the mistake"
    );
    screenshot(browser, "register-weak").await?;
    // What is typed can be looked at.
    fill(browser, "#password", PASSWORD).await?;
    press(browser, ".secret button").await?;
    assert_eq!(find(browser, "#password").await?.prop("type").await?.as_deref(), Some("text"));
    press(browser, "main button[type=submit]:not(.link)").await?;
    at(browser, &format!("{authority}/apps")).await
}

/// The recovery codes on the page.
async fn codes(browser: &WebDriver) -> WebDriverResult<Vec<String>> {
    find(browser, "#codes").await?;
    let codes = run(
        browser,
        "return [...document.querySelectorAll('#codes li')].map((item) => item.textContent)",
    )
    .await?;
    Ok(codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn add_passkey(browser: &WebDriver, world: &World) -> WebDriverResult<Vec<String>> {
    // Offered once, on the launcher.
    browser.goto(format!("{}/apps", world.authority())).await?;
    shows(browser, "main", "Next time without a password?").await?;
    screenshot(browser, "apps-offer").await?;
    press(browser, "a[href='/account/security#passkeys']").await?;
    press(browser, "form[data-make] button[type=button]").await?;
    shows(browser, ".notice", "Your passkey was added.").await?;
    let codes = codes(browser).await?;
    screenshot(browser, "security-codes").await?;
    browser.goto(format!("{}/apps", world.authority())).await?;
    assert!(!find(browser, "main").await?.text().await?.contains("Next time without a password?"));
    Ok(codes)
}

/// Turns an authenticator app on.
async fn add_totp(browser: &WebDriver, world: &World) -> WebDriverResult<totp_rs::Totp> {
    browser.goto(format!("{}/account/totp", world.authority())).await?;
    find(browser, ".qr svg").await?;
    screenshot(browser, "totp").await?;
    press(browser, "summary").await?;
    let secret = find(browser, "p.code").await?.text().await?.replace(' ', "");
    let totp = totp_rs::Builder::new()
        .with_secret(totp_rs::Secret::try_from_base32(secret).unwrap())
        .build()
        .unwrap();
    fill(browser, "#code", &code(world, &totp)).await?;
    press(browser, "main button[type=submit]").await?;
    shows(browser, ".notice", "Your authenticator app is on.").await?;
    screenshot(browser, "security").await?;
    Ok(totp)
}

fn code(world: &World, totp: &totp_rs::Totp) -> String {
    totp.generate(u64::try_from(world.demo.authority().now().secs()).unwrap()).to_string()
}

/// The browser's time zone is suggested, and shown until another one is chosen.
async fn time_zones(driver: &Driver, browser: &WebDriver, world: &World) -> WebDriverResult<()> {
    let authority = world.authority();
    let zone = json!({ "timezoneId": "America/New_York" });
    driver.command(browser, "Emulation.setTimezoneOverride", zone).await;
    let shown = async || {
        browser.goto(format!("{authority}/account/activity")).await?;
        let shown = "const time = document.querySelector('time');
            const local = (zone) => new Date(time.dateTime).toLocaleTimeString('en-GB', { timeStyle: 'short', timeZone: zone });
            return { title: time.title, here: new Date(time.dateTime).toLocaleTimeString('en', { timeStyle: 'short' }), tokyo: local('Asia/Tokyo') };";
        run(browser, shown).await
    };
    let by_script = shown().await?;
    assert!(
        by_script["title"].as_str().unwrap().ends_with(by_script["here"].as_str().unwrap()),
        "{by_script}"
    );
    browser.goto(format!("{authority}/account")).await?;
    let value = "return document.getElementById('time_zone').value";
    assert_eq!(run(browser, value).await?, "America/New_York", "of this browser");
    run(browser, "document.getElementById('time_zone').value = 'Asia/Tokyo'").await?;
    press(browser, "form[action='/account/profile'] button").await?;
    shows(browser, ".notice", "Saved").await?;
    assert_eq!(run(browser, value).await?, "Asia/Tokyo", "as it was chosen");
    let by_server = shown().await?;
    let tokyo = format!(", {} JST (UTC+9)", by_server["tokyo"].as_str().unwrap());
    assert!(by_server["title"].as_str().unwrap().ends_with(&tokyo), "{by_server}");
    Ok(())
}

async fn a_life(driver: &Driver, browser: &WebDriver, world: &World) -> WebDriverResult<()> {
    let authority = world.authority();
    let authenticator = driver.add_authenticator(browser).await;
    register(browser, world).await?;
    let recovery = add_passkey(browser, world).await?;
    assert_eq!(recovery.len(), 10);

    // With the passkey alone: no name, no password; by the button, and by autofill, which the page offers by itself.
    touches(driver, browser, &authenticator, false).await;
    sign_out(browser, world).await?;
    shows(browser, ".notice", "You are signed out.").await?;
    touches(driver, browser, &authenticator, true).await;
    press(browser, "form[data-passkey] button[type=button]").await?;
    at(browser, &format!("{authority}/apps")).await?;
    browser.goto(format!("{authority}/login?again=1")).await?;
    at(browser, &format!("{authority}/apps")).await?;
    touches(driver, browser, &authenticator, false).await;

    let totp = add_totp(browser, world).await?;
    sign_out(browser, world).await?;
    sign_in(browser, world, PASSWORD).await?;
    at(browser, &format!("{authority}/login/verify")).await?;
    screenshot(browser, "verify-passkey").await?;
    press(browser, "a[href*='with=totp']").await?;
    // The step of the set-up is used up: the next one.
    tokio::time::sleep(Duration::from_millis(30_500)).await;
    fill(browser, "#code", &code(world, &totp)).await?;
    screenshot(browser, "verify-totp").await?;
    press(browser, "main form.stack button[type=submit]").await?;
    at(browser, &format!("{authority}/apps")).await?;

    // Both are lost.
    let params = json!({ "authenticatorId": authenticator });
    driver.command(browser, "WebAuthn.removeVirtualAuthenticator", params).await;
    sign_out(browser, world).await?;
    sign_in(browser, world, PASSWORD).await?;
    press(browser, "a[href*='with=recovery']").await?;
    fill(browser, "#code", "0000-0000").await?;
    press(browser, "main form.stack button[type=submit]").await?;
    shows(browser, "#code-wrong", "it was used before").await?;
    screenshot(browser, "verify-recovery").await?;
    fill(browser, "#code", &recovery[0]).await?;
    press(browser, "main form.stack button[type=submit]").await?;
    at(browser, &format!("{authority}/apps")).await?;
    sign_out(browser, world).await?;

    // The password is forgotten, too.
    press(browser, "a[href^='/password/forgot']").await?;
    fill(browser, "#email", EMAIL).await?;
    screenshot(browser, "forgot").await?;
    press(browser, "main button[type=submit]").await?;
    shows(browser, "h1", "Check your inbox").await?;
    follow_mail(browser, world, "Choose a new password").await?;
    fill(browser, "#password", NEW_PASSWORD).await?;
    screenshot(browser, "reset").await?;
    press(browser, "main button[type=submit]:not(.link)").await?;
    shows(browser, ".notice", "Your password was changed.").await?;
    sign_in(browser, world, NEW_PASSWORD).await?;
    press(browser, "a[href*='with=recovery']").await?;
    fill(browser, "#code", &recovery[1].to_uppercase()).await?;
    press(browser, "main form.stack button[type=submit]").await?;
    at(browser, &format!("{authority}/apps")).await?;

    // An app is opened, seen, and ended; ending a device asks first.
    press(browser, "a[href='/open/bff']").await?;
    at(browser, &world.bff("")).await?;
    browser.goto(format!("{authority}/sessions")).await?;
    shows(browser, ".device", "This browser").await?;
    screenshot(browser, "sessions-one").await?;
    press(browser, "[data-family] button").await?;
    shows(browser, ".notice", "Notes on Chrome on Linux: signed out.").await?;
    screenshot(browser, "sessions-notice").await?;
    press(browser, ".actions .danger").await?;
    shows(browser, "dialog", "Sign out on all devices, this one included?").await?;
    screenshot(browser, "sessions-dialog").await?;
    press(browser, "dialog .quiet").await?;
    time_zones(driver, browser, world).await?;
    browser.goto(format!("{authority}/account")).await?;
    screenshot(browser, "account").await?;
    press(browser, "form[action='/account/close'] button").await?;
    press(browser, "dialog .danger").await?;
    shows(browser, ".notice", "Your account is closed.").await?;
    screenshot(browser, "account-closed").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_account_from_its_beginning_to_its_end() -> Result<(), Failure> {
    in_a_browser(a_life).await
}

/// Answers the challenge on the sign-in page with other options, in the page, without sending it. Returns the fields of the form.
const ANSWER: &str = "
    const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
    const options = JSON.parse(CHALLENGE).publicKey;
    const known = (options.allowCredentials ?? []).map((one) => ({ ...one, id: bytes(one.id) }));
    const made = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: known, ...OTHER } });
    const response = {};
    for (const name of ['clientDataJSON', 'authenticatorData', 'signature', 'userHandle']) response[name] = text(made.response[name]);
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, extensions: {}, response });
";

/// The challenge of the sign-in page, and what its form sends along.
async fn challenge(browser: &WebDriver, world: &World) -> WebDriverResult<Value> {
    browser.goto(format!("{}/login?again=1", world.authority())).await?;
    challenge_of_page(browser).await
}

/// The challenge of the page that the browser is at, and what its form sends along.
async fn challenge_of_page(browser: &WebDriver) -> WebDriverResult<Value> {
    let fields = "const { elements, dataset } = document.querySelector('form[data-passkey]');
        return { csrf: elements.csrf.value, state: elements.state.value, attempt: elements.attempt?.value, challenge: dataset.passkey };";
    run(browser, fields).await
}

async fn answer(
    (driver, authenticator): (&Driver, &str),
    browser: &WebDriver,
    challenge: &Value,
    other: &str,
) -> WebDriverResult<String> {
    // On another page: that of the challenge would take the touch for its own autofill.
    if browser.current_url().await?.path().starts_with("/login") {
        browser.goto(browser.current_url().await?.join("/nothing").unwrap().as_str()).await?;
    }
    touches(driver, browser, authenticator, true).await;
    let script = ANSWER
        .replace("CHALLENGE", &serde_json::to_string(&challenge["challenge"]).unwrap())
        .replace("OTHER", other);
    let answered = run(browser, &script).await?.as_str().unwrap().to_owned();
    touches(driver, browser, authenticator, false).await;
    Ok(answered)
}

/// Sends an answer from the sign-in page. Returns the status.
async fn send(
    browser: &WebDriver,
    world: &World,
    challenge: &Value,
    credential: &str,
) -> WebDriverResult<u64> {
    browser.goto(format!("{}/login?again=1", world.authority())).await?;
    let fields = json!({
        "csrf": challenge["csrf"],
        "state": challenge["state"],
        "credential": credential,
        "return_to": "/apps",
    });
    post(browser, "/login/passkey", &fields).await
}

/// Sends an answer as the second step of the sign-in that the challenge belongs to. Returns the status.
async fn send_second_step(
    browser: &WebDriver,
    world: &World,
    challenge: &Value,
    credential: &str,
) -> WebDriverResult<u64> {
    browser.goto(format!("{}/login?again=1", world.authority())).await?;
    let fields = json!({
        "csrf": challenge["csrf"],
        "state": challenge["state"],
        "attempt": challenge["attempt"],
        "credential": credential,
    });
    post(browser, "/login/verify", &fields).await
}

/// Sends a form with these fields from the page that the browser is at: 303 when it leads to the launcher, else 401.
async fn post(browser: &WebDriver, path: &str, fields: &Value) -> WebDriverResult<u64> {
    // The page's policy lets no script connect; a form may be sent.
    let form = format!(
        "const fields = {fields};
         const form = document.createElement('form');
         form.method = 'post';
         form.action = '{path}';
         for (const [name, value] of Object.entries(fields)) {{
             const input = document.createElement('input');
             input.name = name;
             input.value = value;
             form.append(input);
         }}
         document.body.append(form);
         setTimeout(() => form.submit(), 0);
         return null;"
    );
    run(browser, &form).await?;
    for _ in 0..100 {
        let url = browser.current_url().await?;
        if url.path() == "/apps" {
            return Ok(303);
        }
        if url.path() == path {
            return Ok(401);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no answer");
}

/// The first step by password, up to the question for the passkey. Returns its challenge.
async fn second_step(browser: &WebDriver, world: &World) -> WebDriverResult<Value> {
    sign_in(browser, world, PASSWORD).await?;
    shows(browser, "h1", "Confirm it’s you").await?;
    challenge_of_page(browser).await
}

/// Registers a user who adds a passkey and signs out. The authenticator answers only when it is asked to.
async fn user_with_passkey(
    driver: &Driver,
    browser: &WebDriver,
    world: &World,
) -> WebDriverResult<String> {
    let authenticator = driver.add_authenticator(browser).await;
    register(browser, world).await?;
    add_passkey(browser, world).await?;
    touches(driver, browser, &authenticator, false).await;
    sign_out(browser, world).await?;
    Ok(authenticator)
}

async fn second_steps_are_refused(
    driver: &Driver,
    browser: &WebDriver,
    world: &World,
) -> WebDriverResult<()> {
    let authenticator = user_with_passkey(driver, browser, world).await?;

    let first = second_step(browser, world).await?;
    let answered = answer((driver, &authenticator), browser, &first, "{}").await?;
    assert_eq!(send_second_step(browser, world, &first, &answered).await?, 303);
    sign_out(browser, world).await?;

    // The same answer to the same challenge, in another sign-in of this browser.
    let mut second = second_step(browser, world).await?;
    assert_ne!(second["attempt"], first["attempt"]);
    let own = second["state"].clone();
    second["state"] = first["state"].clone();
    assert_eq!(
        send_second_step(browser, world, &second, &answered).await?,
        401,
        "a replayed answer"
    );
    shows(browser, "#error", "That passkey did not work.").await?;
    // The sign-in itself goes on: its own challenge is still good.
    second["state"] = own;
    let answered = answer((driver, &authenticator), browser, &second, "{}").await?;
    assert_eq!(send_second_step(browser, world, &second, &answered).await?, 303);
    Ok(())
}

async fn passkeys_are_refused(
    driver: &Driver,
    browser: &WebDriver,
    world: &World,
) -> WebDriverResult<()> {
    let authenticator = user_with_passkey(driver, browser, world).await?;

    // An answer is good once.
    let first = challenge(browser, world).await?;
    let answered = answer((driver, &authenticator), browser, &first, "{}").await?;
    assert_eq!(send(browser, world, &first, &answered).await?, 303);
    sign_out(browser, world).await?;
    assert_eq!(send(browser, world, &first, &answered).await?, 401, "a replayed answer");
    shows(browser, "#error", "That passkey did not work.").await?;
    // It belongs to its challenge.
    let second = challenge(browser, world).await?;
    assert_eq!(
        send(browser, world, &second, &answered).await?,
        401,
        "the answer to another challenge"
    );

    // Without the verification of the user.
    let params = json!({ "authenticatorId": authenticator, "isUserVerified": false });
    driver.command(browser, "WebAuthn.setUserVerified", params).await;
    let third = challenge(browser, world).await?;
    let unverified =
        answer((driver, &authenticator), browser, &third, "{ userVerification: 'discouraged' }")
            .await?;
    assert_eq!(send(browser, world, &third, &unverified).await?, 401, "no user verification");
    let params = json!({ "authenticatorId": authenticator, "isUserVerified": true });
    driver.command(browser, "WebAuthn.setUserVerified", params).await;

    // Of a page at another origin, which gets people to touch their authenticator.
    let fourth = challenge(browser, world).await?;
    browser.goto(world.bff("/")).await?;
    let phished =
        answer((driver, &authenticator), browser, &fourth, "{ rpId: 'localhost' }").await?;
    assert_eq!(send(browser, world, &fourth, &phished).await?, 401, "another origin");

    // The right one still works; a removed one does not, and says so.
    let fifth = challenge(browser, world).await?;
    let right = answer((driver, &authenticator), browser, &fifth, "{}").await?;
    assert_eq!(send(browser, world, &fifth, &right).await?, 303);
    browser.goto(format!("{}/account/security", world.authority())).await?;
    press(browser, "form[action$='/remove'] button").await?;
    press(browser, "dialog .danger").await?;
    shows(browser, ".notice", "The passkey was removed.").await?;
    sign_out(browser, world).await?;
    // The signal API may have taken it from the authenticator already.
    let params = json!({ "authenticatorId": authenticator });
    let left = driver.command(browser, "WebAuthn.getCredentials", params).await;
    let sixth = challenge(browser, world).await?;
    if left["credentials"].as_array().is_some_and(|credentials| !credentials.is_empty()) {
        let removed = answer((driver, &authenticator), browser, &sixth, "{}").await?;
        assert_eq!(send(browser, world, &sixth, &removed).await?, 401, "a removed passkey");
        shows(browser, "#error", "This passkey was removed from your account.").await?;
    }
    let refused = world
        .demo
        .authority()
        .store
        .events_before(&aa_server::store::EventFilter::default(), None, 1_000)
        .await
        .unwrap();
    assert!(refused.iter().filter(|event| event.kind == "factor.refused").count() >= 4);
    Ok(())
}

/// Runs this in a browser of its own, and shows where it was when it failed.
async fn in_a_browser(
    act: impl AsyncFnOnce(&Driver, &WebDriver, &World) -> WebDriverResult<()>,
) -> Result<(), Failure> {
    let Some(driver) = driver() else { return Ok(()) };
    let world = world_with_dpop(Duration::from_mins(5)).await;
    let profile = tempfile::tempdir()?;
    let browser = browser(&driver, profile.path().to_owned(), "http://nowhere.example").await?;
    let outcome = act(&driver, &browser, &world).await;
    if outcome.is_err() {
        eprintln!("at {}", browser.current_url().await?);
        eprintln!("{}", browser.find(By::Css("body")).await?.text().await?);
    }
    browser.quit().await?;
    Ok(outcome?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passkeys_of_attackers_are_refused() -> Result<(), Failure> {
    in_a_browser(passkeys_are_refused).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_passkey_as_second_step_is_good_once() -> Result<(), Failure> {
    in_a_browser(second_steps_are_refused).await
}
