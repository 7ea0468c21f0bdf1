//! A user's path, in Debian's chromium, with JavaScript off for the authority's pages.

use std::time::Duration;

use crate::support::world_with_dpop;
use demo::{Options, USERS};
use service::run::Failure;
use testing::chromium::{at, browser, driver, find, screenshot, sign_in};
use thirtyfour::prelude::*;

async fn the_persons_way(browser: &WebDriver, options: &Options) -> WebDriverResult<()> {
    let (authority, notes) = (options.url(0), options.url(2));
    let ann = USERS[0];

    // Sign in, at first with a wrong password.
    browser.goto(&authority).await?;
    at(browser, &format!("{authority}/login")).await?;
    screenshot(browser, "login").await?;
    sign_in(browser, ann.email, "not-her-password").await?;
    let error = find(browser, "#error").await?.text().await?;
    assert!(error.contains("Incorrect email or password."), "{error}");
    assert_eq!(find(browser, "#email").await?.prop("value").await?.as_deref(), Some(ann.email));
    screenshot(browser, "login-wrong").await?;
    sign_in(browser, ann.email, ann.password).await?;
    at(browser, &format!("{authority}/apps")).await?;
    screenshot(browser, "apps").await?;

    // JavaScript really is off here: this page would submit itself.
    let query = "response_type=code&client_id=bff&response_mode=form_post&state=x\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    let uri = format!("{notes}/auth/callback").replace(':', "%3A").replace('/', "%2F");
    browser.goto(format!("{authority}/oauth/authorize?{query}&redirect_uri={uri}")).await?;
    let button = find(browser, "#answer button").await?.text().await?;
    assert_eq!(button, "Continue to Notes");

    // Open Notes: no further page, no password.
    browser.goto(format!("{authority}/apps")).await?;
    find(browser, "a[href='/open/bff']").await?.click().await?;
    at(browser, &notes).await?;
    assert_eq!(find(browser, "#name").await?.text().await?, ann.name);

    // Write, edit, delete.
    find(browser, "#text").await?.send_keys("Buy <b>lamps</b>").await?;
    find(browser, "#new button").await?.click().await?;
    let text = find(browser, "#notes li .text").await?.text().await?;
    assert_eq!(text, "Buy <b>lamps</b>", "what is typed is text, not markup");
    find(browser, "#notes li .edit").await?.click().await?;
    find(browser, "#notes li textarea").await?.send_keys(" and tangerines").await?;
    find(browser, "#notes li form button[type=submit]").await?.click().await?;
    assert!(find(browser, "#notes li .text").await?.text().await?.ends_with("and tangerines"));
    screenshot(browser, "notes").await?;
    browser.refresh().await?;
    assert!(find(browser, "#notes li .text").await?.text().await?.ends_with("and tangerines"));
    find(browser, "#notes li .delete").await?.click().await?;
    find(browser, "#empty").await?;

    // No script of the app can read a token.
    let seen = browser
        .execute("return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)", vec![])
        .await?;
    assert_eq!(seen.json().as_str(), Some("{}{}"));

    // Longer than an application token lives: a refresh goes unnoticed.
    tokio::time::sleep(options.at_ttl + Duration::from_secs(1)).await;
    find(browser, "#text").await?.send_keys("After a refresh").await?;
    find(browser, "#new button").await?.click().await?;
    find(browser, "#notes li").await?;

    // See the session, with browser and system named, and end it.
    browser.goto(format!("{authority}/sessions")).await?;
    let device = find(browser, ".device").await?.text().await?;
    for part in ["Chrome on Linux", "This browser", "Notes", "127.0.0.1"] {
        assert!(device.contains(part), "{part} in {device}");
    }
    screenshot(browser, "sessions").await?;
    find(browser, "[data-family] button").await?.click().await?;
    let ended = find(browser, "#ended-sessions").await?.text().await?;
    assert!(ended.contains("Notes") && ended.contains("You signed it out."), "{ended}");
    screenshot(browser, "sessions-ended").await?;

    // The next use of Notes asks for sign-in, although its application token has not expired.
    browser.goto(&notes).await?;
    let why = find(browser, "#why").await?.text().await?;
    assert!(why.contains("Sign in"), "{why}");
    screenshot(browser, "notes-signed-out").await?;
    // Still signed in at the authority: one click is enough.
    find(browser, "#signed-out a").await?.click().await?;
    find(browser, "#notes li").await?;

    // Signing out at the authority ends the rest.
    browser.goto(format!("{authority}/apps")).await?;
    find(browser, "#sign-out").await?.click().await?;
    at(browser, &format!("{authority}/login")).await?;
    browser.goto(&notes).await?;
    find(browser, "#signed-out a").await?.click().await?;
    at(browser, &format!("{authority}/login")).await?;
    // The sign-in page says where it leads, and its form leads there.
    assert!(find(browser, "main").await?.text().await?.contains("to continue to Notes"));
    sign_in(browser, ann.email, ann.password).await?;
    at(browser, &notes).await?;
    find(browser, "#notes li").await?;

    // Signing out in the app ends the session at the authority too.
    find(browser, "#sign-out").await?.click().await?;
    find(browser, "#signed-out").await?;
    browser.goto(format!("{authority}/sessions")).await?;
    let ended = find(browser, "#ended-sessions").await?.text().await?;
    assert!(ended.contains("You signed out in the app."), "{ended}");

    // Narrow windows have no sideways scrolling.
    browser.set_window_rect(0, 0, 500, 800).await?;
    for path in ["/apps", "/sessions", "/account", "/account/activity"] {
        browser.goto(format!("{authority}{path}")).await?;
        let fits = "return document.documentElement.scrollWidth <= window.innerWidth";
        let fits = browser.execute(fits, vec![]).await?;
        assert_eq!(fits.json().as_bool(), Some(true), "{path}");
        screenshot(browser, &format!("narrow{}", path.replace('/', "-"))).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_person_signs_in_works_looks_and_leaves() -> Result<(), Failure> {
    let Some(driver) = driver() else { return Ok(()) };
    let world = world_with_dpop(Duration::from_secs(3)).await;
    let profile = tempfile::tempdir()?;
    let browser = browser(&driver, profile.path().to_owned(), &world.options.url(0)).await?;
    let outcome = the_persons_way(&browser, &world.options).await;
    if outcome.is_err() {
        eprintln!("at {}", browser.current_url().await?);
        screenshot(&browser, "failed").await?;
    }
    browser.quit().await?;
    outcome?;
    // What happened is on record.
    let events = world
        .demo
        .authority()
        .store
        .events_before(&aa_server::store::EventFilter::default(), None, 100)
        .await?;
    for kind in ["identity.refused", "identity.started", "family.started", "family.ended"] {
        assert!(events.iter().any(|event| event.kind == kind), "{kind}");
    }
    Ok(())
}
