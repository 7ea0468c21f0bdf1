//! The three patterns side by side, as a user sees them.

use std::time::Duration;

use demo::USERS;
use service::run::Failure;
use thirtyfour::prelude::*;

use crate::support::{World, world_with_dpop};
use testing::chromium::{at, browser, driver, find, run, screenshot, shows, sign_in};

async fn write(browser: &WebDriver, text: &str) -> WebDriverResult<()> {
    find(browser, "#text").await?.send_keys(text).await?;
    find(browser, "#new button").await?.click().await
}

async fn each_pattern(browser: &WebDriver, world: &World) -> WebDriverResult<()> {
    let authority = world.options.url(0);
    browser.goto(&authority).await?;
    sign_in(browser, USERS[0].email, USERS[0].password).await?;
    at(browser, &format!("{authority}/apps")).await?;
    screenshot(browser, "launcher").await?;
    for (app, name, token) in [
        ("bff", "backend for frontend", "it never comes here"),
        ("tmb", "token-mediating backend", "for        notes"),
        ("spa", "refresh cookie", "for        notes"),
    ] {
        // The launcher's way: no page between.
        browser.goto(format!("{authority}/open/{app}")).await?;
        let home = shows(browser, "#pattern", name).await.map(|_| browser.current_url())?.await?;
        assert_eq!(shows(browser, "#name", "Ann").await?, "Ann");
        for page in ["/", "/where"] {
            browser.goto(home.join(page).unwrap().as_str()).await?;
            find(browser, "#launcher").await?.click().await?;
            at(browser, &format!("{authority}/apps")).await?;
        }
        browser.goto(home.as_str()).await?;
        let first = browser.window().await?;
        let second = browser.new_tab().await?;
        browser.switch_to_window(second.clone()).await?;
        browser.goto(home.as_str()).await?;
        shows(browser, "#name", "Ann").await?;

        // What is written in one tab appears in the other.
        write(browser, &format!("written by way of {app}")).await?;
        shows(browser, "#notes li .text", app).await?;
        browser.switch_to_window(first.clone()).await?;
        shows(browser, "#notes li .text", app).await?;
        screenshot(browser, &format!("notes-{app}")).await?;

        // Longer than a token lives: the user notices nothing.
        tokio::time::sleep(world.options.at_ttl + Duration::from_secs(1)).await;
        write(browser, "later").await?;
        shows(browser, "#notes", "later").await?;

        // Where the tokens are, and what a script can see of them.
        find(browser, "#pattern").await?.click().await?;
        shows(browser, "#token", token).await?;
        shows(browser, "#person", "Ann").await?;
        let seen = find(browser, "#cookies").await?.text().await?;
        assert_eq!(seen, "nothing: document.cookie is empty");
        let (stored, key) = match app {
            "bff" => ("nothing", "none"),
            _ => ("the key of this browser", "in IndexedDB"),
        };
        assert_eq!(find(browser, "#storage").await?.text().await?, stored);
        shows(browser, "#key", key).await?;
        screenshot(browser, &format!("where-{app}")).await?;

        // Signed out in one tab, and so in the other; what the back button brings up is signed out too.
        browser.goto(home.as_str()).await?;
        find(browser, "#notes li").await?;
        find(browser, "#sign-out").await?.click().await?;
        shows(browser, "#why", "You are signed out of Notes.").await?;
        browser.switch_to_window(second).await?;
        shows(browser, "#why", "You are signed out of Notes.").await?;
        assert!(browser.find(By::Css("#notes li")).await.is_err(), "and nothing is left");
        browser.close_window().await?;
        browser.switch_to_window(first).await?;
        browser.back().await?;
        browser.forward().await?;
        shows(browser, "#why", "Sign").await?;
        // Signed in at the authority still: one click, no password.
        find(browser, "#sign-in").await?.click().await?;
        shows(browser, "#name", "Ann").await?;
    }
    Ok(())
}

async fn signing_out_everywhere(browser: &WebDriver, world: &World) -> WebDriverResult<()> {
    let authority = world.options.url(0);
    let apps = [2, 3, 4].map(|place| world.options.url(place));
    for home in &apps {
        browser.goto(format!("{home}/")).await?;
        shows(browser, "#name", "Ann").await?;
        find(browser, "#sign-out-all").await?.click().await?;
        // By way of the authority, and back.
        at(browser, &format!("{home}/")).await?;
        shows(browser, "#why", "Sign in to see").await?;
        // The way back may still be under way, and then takes the place of this page.
        for _ in 0..50 {
            browser.goto(format!("{authority}/apps")).await?;
            if browser.current_url().await?.as_str().starts_with(&authority) {
                break;
            }
        }
        at(browser, &format!("{authority}/login")).await?;
        // The others are signed out with it.
        for other in &apps {
            browser.goto(format!("{other}/")).await?;
            find(browser, "#sign-in").await?;
        }
        for other in &apps {
            browser.goto(format!("{other}/auth/login")).await?;
            if browser.current_url().await?.as_str().starts_with(&authority) {
                sign_in(browser, USERS[0].email, USERS[0].password).await?;
            }
            shows(browser, "#name", "Ann").await?;
        }
    }
    // Narrow, and without JavaScript's help: the page says so.
    browser.set_window_rect(0, 0, 500, 800).await?;
    for home in &apps {
        for path in ["/", "/where"] {
            browser.goto(format!("{home}{path}")).await?;
            shows(browser, "body", "Ann").await?;
            let fits =
                run(browser, "return document.documentElement.scrollWidth <= window.innerWidth");
            assert_eq!(fits.await?, true, "{home}{path}");
            assert!(find(browser, "#launcher").await?.is_displayed().await?, "{home}{path}");
        }
        screenshot(browser, &format!("where-narrow-{}", home.rsplit(':').next().unwrap())).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_three_patterns_side_by_side() -> Result<(), Failure> {
    let Some(driver) = driver() else { return Ok(()) };
    let world = world_with_dpop(Duration::from_secs(3)).await;
    let profile = tempfile::tempdir()?;
    let browser = browser(&driver, profile.path().to_owned(), &world.options.url(0)).await?;
    browser.set_script_timeout(Duration::from_secs(30)).await?;
    let mut outcome = each_pattern(&browser, &world).await;
    if outcome.is_ok() {
        outcome = signing_out_everywhere(&browser, &world).await;
    }
    if outcome.is_err() {
        eprintln!("at {}", browser.current_url().await?);
        screenshot(&browser, "patterns-failed").await?;
    }
    browser.quit().await?;
    Ok(outcome?)
}
