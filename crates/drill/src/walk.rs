//! A user's session: sign in, open each app, write, look at the sessions, end one, sign out.

use service::run::Failure;
use testing::chromium::{at, browser, driver, find, screenshot, shows, sign_in};
use thirtyfour::prelude::*;

use crate::Urls;

const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "tangerine-lamp";

pub async fn persons_way(urls: &Urls) -> Result<(), Failure> {
    let Some(driver) = driver() else { return Err("a browser is needed".into()) };
    let profile = tempfile::tempdir()?;
    let browser = browser(&driver, profile.path().to_owned(), &urls.authority).await?;
    let outcome = walk(&browser, urls).await;
    if outcome.is_err() {
        eprintln!("at {}", browser.current_url().await?);
        screenshot(&browser, "drill-failed").await?;
    }
    browser.quit().await?;
    outcome?;
    println!("a user signs in, opens three apps, writes, ends one session, and signs out");
    Ok(())
}

async fn walk(browser: &WebDriver, urls: &Urls) -> WebDriverResult<()> {
    let Urls { authority, bff, tmb, spa } = urls;
    browser.goto(authority).await?;
    sign_in(browser, EMAIL, PASSWORD).await?;
    at(browser, &format!("{authority}/apps")).await?;
    for (id, url) in [("bff", bff), ("tmb", tmb), ("spa", spa)] {
        browser.goto(format!("{authority}/apps")).await?;
        find(browser, &format!("a[href='/open/{id}']")).await?.click().await?;
        at(browser, url).await?;
        shows(browser, "#name", "Ann").await?;
        find(browser, "#text").await?.send_keys(format!("by way of {id}")).await?;
        find(browser, "#new button").await?.click().await?;
        shows(browser, "#notes", &format!("by way of {id}")).await?;
    }
    screenshot(browser, "drill-notes").await?;
    if authority.starts_with("https://") {
        let cookies = browser.get_all_cookies().await?;
        let names: Vec<&str> = cookies.iter().map(|cookie| cookie.name.as_str()).collect();
        assert!(names.contains(&"__Host-spa_session"), "{names:?}");
        assert!(cookies.iter().all(|cookie| cookie.secure == Some(true)));
    }

    browser.goto(format!("{authority}/sessions")).await?;
    let before = browser.find_all(By::Css("[data-family]")).await?.len();
    assert!(before >= 3, "{before} sessions");
    find(browser, "[data-family] button").await?.click().await?;
    shows(browser, "main", "You signed it out.").await?;
    assert_eq!(browser.find_all(By::Css("[data-family]")).await?.len(), before - 1);
    screenshot(browser, "drill-sessions").await?;

    browser.goto(format!("{authority}/apps")).await?;
    find(browser, "#sign-out").await?.click().await?;
    at(browser, &format!("{authority}/login")).await
}
