//! Many tabs of each app, over many lives of a token, with the network cut: no tab is signed out, nothing is refreshed
//! twice, and no token is where it does not belong.

use std::time::Duration;

use demo::USERS;
use foundation::time::{Clock as _, SystemClock};
use serde_json::{Value, json};
use service::run::Failure;
use thirtyfour::prelude::*;

use crate::support::{World, world_with_dpop};
use testing::chromium::{Driver, at, browser, driver, find, run, screenshot, sign_in};

/// Tabs of each app.
const TABS: usize = 10;
const AT_TTL: Duration = Duration::from_secs(10);
/// How long the network is away, twice: longer than what is left of a token when it is refreshed.
const CUT: Duration = Duration::from_secs(5);

/// How long it goes on: `TABS_SECONDS`, or less than the whole two minutes.
fn duration() -> Duration {
    let given = std::env::var_os("TABS_SECONDS").and_then(|text| text.to_str()?.parse().ok());
    Duration::from_secs(given.unwrap_or(40))
}

/// Calls the API again and again, and counts what comes of it.
const WORK: &str = r#"
    const { api, client } = await import("/page.js");
    window.work = { good: 0, offline: 0, changes: [], bad: [] };
    client.onChange((change) => window.work.changes.push(change));
    const once = async () => {
        try {
            const answer = await client.fetch(api);
            if (answer.ok) window.work.good++; else window.work.bad.push(answer.status);
        } catch (error) {
            if (["TypeError", "TimeoutError"].includes(error.name)) window.work.offline++;
            else window.work.bad.push(String(error));
        }
        window.timer = setTimeout(once, 700);
    };
    once();
    return (await client.session()).name;
"#;

/// Looks for tokens everywhere a script can look, and answers where it found one.
const LOOK: &str = r#"
    const token = /\b(rt|dt)_[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+/;
    const found = [], seen = new Set();
    let looked = 0;
    const look = (value, where, depth = 0) => {
        if (typeof value === "string") { looked++; if (token.test(value)) found.push(where); return; }
        if (!value || !["object", "function"].includes(typeof value) || seen.has(value) || depth > 8 || looked > 300000) return;
        seen.add(value);
        for (const key of Reflect.ownKeys(value)) {
            try { look(value[key], `${where}.${String(key)}`, depth + 1); } catch {}
        }
    };
    look(document.cookie, "cookies");
    look({ ...localStorage }, "localStorage");
    look({ ...sessionStorage }, "sessionStorage");
    look(window, "window");
    look(history.state, "history.state");
    look(window.name, "window.name");
    look(document.documentElement.outerHTML, "document");
    look(performance.getEntries().map((entry) => entry.name), "performance");
    look(location.href + document.referrer, "location");
    for (const { name } of await indexedDB.databases()) {
        const open = indexedDB.open(name);
        await new Promise((done) => (open.onsuccess = done));
        for (const store of open.result.objectStoreNames) {
            const all = open.result.transaction(store).objectStore(store).getAll();
            await new Promise((done) => (all.onsuccess = done));
            look(all.result, `indexedDB.${name}.${store}`);
        }
    }
    for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        for (const request of await cache.keys()) look(await (await cache.match(request)).text(), `caches.${request.url}`);
    }
    look((await navigator.serviceWorker.getRegistrations()).map(({ scope }) => scope), "serviceWorker");
    const paths = ["/", "/where", "/client.js", "/auth/me", "/auth/verify", "/auth/session", "/auth/token", "/auth/refresh",
        "/auth/login", "/auth/callback", "/api/notes", "/readyz", "/version"];
    for (const path of paths) {
        for (const method of ["GET", "POST", "TRACE", "OPTIONS"]) {
            const answer = await fetch(path, { method, headers: { "X-CSRF": "1" }, redirect: "manual" }).catch(() => null);
            if (!answer || (method === "POST" && path === "/api/notes")) continue;
            look([...answer.headers].flat().join(" "), `headers of ${method} ${path}`);
            look(await answer.text(), `body of ${method} ${path}`);
        }
    }
    return { found, looked };
"#;

struct Tab {
    window: WindowHandle,
    app: &'static str,
}

async fn open_tabs(browser: &WebDriver, world: &World) -> WebDriverResult<Vec<Tab>> {
    let mut tabs = Vec::new();
    for (app, place) in [("bff", 2), ("tmb", 3), ("spa", 4)] {
        let url = world.options.url(place);
        let first = browser.new_tab().await?;
        browser.switch_to_window(first).await?;
        browser.goto(format!("{}/open/{app}", world.options.url(0))).await?;
        at(browser, &url).await?;
        find(browser, "#signed-in").await?;
        for _ in 0..TABS {
            let window = browser.new_tab().await?;
            browser.switch_to_window(window.clone()).await?;
            browser.goto(&url).await?;
            find(browser, "#signed-in").await?;
            assert_eq!(run(browser, WORK).await?, USERS[0].name);
            tabs.push(Tab { window, app });
        }
    }
    Ok(tabs)
}

async fn work_in_tabs(driver: &Driver, browser: &WebDriver, world: &World) -> WebDriverResult<()> {
    let clock = SystemClock;
    let authority = world.options.url(0);
    browser.goto(&authority).await?;
    sign_in(browser, USERS[0].email, USERS[0].password).await?;
    at(browser, &format!("{authority}/apps")).await?;
    let started = clock.now();
    let tabs = open_tabs(browser, world).await?;
    let working = duration();
    let began = clock.now();
    let mut cuts = 0;
    while clock.now().since(began) < working {
        tokio::time::sleep((working / 3).saturating_sub(CUT)).await;
        if cuts < 2 {
            cuts += 1;
            for offline in [true, false] {
                for tab in &tabs {
                    browser.switch_to_window(tab.window.clone()).await?;
                    driver.cut(browser, offline).await;
                }
                if offline {
                    tokio::time::sleep(CUT).await;
                }
            }
        }
    }
    // Let everyone find back, then look at what each of them saw.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for tab in &tabs {
        browser.switch_to_window(tab.window.clone()).await?;
        let work = run(browser, "clearTimeout(window.timer); return window.work").await?;
        assert_eq!(
            (&work["changes"], &work["bad"]),
            (&Value::Array(vec![]), &Value::Array(vec![])),
            "{}",
            tab.app
        );
        let (good, offline) = (work["good"].as_u64().unwrap(), work["offline"].as_u64().unwrap());
        assert!(good > working.as_secs() / 4, "{}: {work}", tab.app);
        assert!(offline > 0, "{}: the network was cut", tab.app);
        assert!(browser.find(By::Css("#signed-in")).await?.is_displayed().await?, "{}", tab.app);
    }
    // One refresh for each life of a token: due after four fifths of it, and counted at the authority.
    let elapsed = clock.now().since(started);
    let most = elapsed.as_secs() / (AT_TTL.as_secs() * 4 / 5) + 1;
    let least = working.as_secs().saturating_sub(2 * CUT.as_secs() + 10) / AT_TTL.as_secs();
    let families = world.generations().await;
    assert_eq!(families.len(), 3);
    for (family, generation) in families {
        let refreshes = u64::from(generation) - 1;
        let client = world.demo.authority().store.family(family).await.unwrap().unwrap().client_id;
        eprintln!("{client}: {refreshes} refreshes in {} s, {TABS} tabs", elapsed.as_secs());
        assert!(
            (least..=most).contains(&refreshes),
            "{client}: {refreshes}, expected {least} to {most}"
        );
    }
    // No token where a script finds it without the client's help; that the look finds what there is, a token shows that is
    // put there.
    for tab in [&tabs[0], &tabs[TABS], &tabs[2 * TABS]] {
        browser.switch_to_window(tab.window.clone()).await?;
        let look = run(browser, LOOK).await?;
        assert!(look["looked"].as_u64().unwrap() > 1_000, "{look}");
        assert_eq!(look["found"], json!([]), "{}", tab.app);
    }
    run(browser, r#"window.planted = await (await import("/page.js")).client.token()"#).await?;
    let found = run(browser, LOOK).await?["found"].clone();
    assert!(found.as_array().unwrap().contains(&json!("window.planted")), "{found}");
    // Signing out in one tab signs out all of that app, and no other.
    browser.switch_to_window(tabs[0].window.clone()).await?;
    find(browser, "#sign-out").await?.click().await?;
    for tab in &tabs {
        browser.switch_to_window(tab.window.clone()).await?;
        let shown = if tab.app == "bff" { "#signed-out" } else { "#signed-in" };
        find(browser, shown).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_tabs_of_each_app_outlive_many_tokens_and_two_cuts() -> Result<(), Failure> {
    let Some(driver) = driver() else { return Ok(()) };
    let world = world_with_dpop(AT_TTL).await;
    let profile = tempfile::tempdir()?;
    let browser = browser(&driver, profile.path().to_owned(), &world.options.url(0)).await?;
    browser.set_script_timeout(Duration::from_mins(1)).await?;
    let outcome = work_in_tabs(&driver, &browser, &world).await;
    if outcome.is_err() {
        screenshot(&browser, "tabs-failed").await?;
    }
    browser.quit().await?;
    Ok(outcome?)
}
