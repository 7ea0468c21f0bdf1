//! Ending a session on the authority's page is felt where it is open: in another browser, within a second.

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::ops::tokens::revoke::revoke_by_operator;
use demo::USERS;
use reqwest::Method;
use service::run::Failure;
use testing::chromium::{at, browser, driver, find, screenshot, sign_in};
use thirtyfour::prelude::*;
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::support::{Browser, World, world};

const SECOND: Duration = Duration::from_secs(1);
const WORDS: &str = "Your session has ended. You ended it";

/// Ends the session of the app with this name, in the browser of a user who looks after their sessions.
async fn end_on_the_page(world: &World, name: &str) {
    let elsewhere = Browser::new();
    elsewhere.sign_in(&world.authority(), &USERS[0]).await;
    let page =
        elsewhere.get(&format!("{}/sessions", world.authority())).await.text().await.unwrap();
    let row = page.split("data-family=\"").skip(1).find(|row| row.contains(&format!(">{name}<")));
    let family =
        row.unwrap_or_else(|| panic!("{name} in {page}")).split('"').next().unwrap().to_owned();
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let url = format!("{}/sessions/{family}/revoke", world.authority());
    let request = elsewhere.request(Method::POST, &url).form(&[("csrf", csrf)]);
    assert_eq!(elsewhere.send(request).await.status(), 303);
}

async fn an_open_tab_says_so(world: &World, browser: &WebDriver) -> WebDriverResult<()> {
    browser.goto(world.authority()).await?;
    sign_in(browser, USERS[0].email, USERS[0].password).await?;
    at(browser, &format!("{}/apps", world.authority())).await?;
    for (place, name) in
        [(2, "Notes"), (3, "Notes (token-mediating)"), (4, "Notes (refresh cookie)")]
    {
        let url = world.options.url(place);
        browser.goto(format!("{url}/auth/login")).await?;
        at(browser, &url).await?;
        assert_eq!(find(browser, "#name").await?.text().await?, "Ann");
        // The stream of the tab is there once the page has loaded its notes.
        find(browser, "#empty").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        find(browser, "#text").await?.send_keys("half a thought").await?;
        end_on_the_page(world, name).await;
        let told = async {
            while !find(browser, "#why").await?.text().await?.contains(WORDS) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, WebDriverError>(())
        };
        timeout(SECOND, told).await.unwrap_or_else(|_| panic!("{name} is not told"))?;
        screenshot(browser, &format!("ended-elsewhere-{place}")).await?;
        // One click, no password, and what was being written is there.
        find(browser, "#sign-in").await?.click().await?;
        at(browser, &url).await?;
        find(browser, "#empty").await?;
        let draft = find(browser, "#text").await?.prop("value").await?;
        assert_eq!(draft.as_deref(), Some("half a thought"), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_open_tab_is_told_when_its_session_is_ended_elsewhere() -> Result<(), Failure> {
    let Some(driver) = driver() else { return Ok(()) };
    let world = world(Duration::from_mins(5)).await;
    let profile = tempfile::tempdir()?;
    let browser = browser(&driver, profile.path().to_owned(), &world.authority()).await?;
    let outcome = an_open_tab_says_so(&world, &browser).await;
    if outcome.is_err() {
        screenshot(&browser, "failed").await?;
    }
    browser.quit().await?;
    Ok(outcome?)
}

/// The calls that were possible a moment ago are refused: through the backend, and by the API itself, which calls no one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_calls_of_an_ended_session_are_refused_within_a_second() {
    let world = world(Duration::from_mins(5)).await;
    let (bff, tmb) = (world.ann_at(&world.bff("")).await, world.ann_at(&world.tmb("")).await);
    let through = async || bff.api(Method::GET, &world.bff("/api/notes")).await.status();
    let session = tmb.api(Method::GET, &world.tmb("/auth/session")).await;
    let session: serde_json::Value = session.json().await.unwrap();
    let token = session["access_token"].as_str().unwrap().to_owned();
    let notes = format!("{}/notes", world.options.url(1));
    let direct = async || {
        let call = reqwest::Client::new().get(&notes).bearer_auth(&token).send();
        call.await.unwrap().status()
    };
    assert_eq!((through().await.as_u16(), direct().await.as_u16()), (200, 200));
    let stream = reqwest::Client::new().get(format!("{notes}/stream")).bearer_auth(&token);
    let streams =
        [stream.send().await.unwrap(), bff.api(Method::GET, &world.bff("/api/notes/stream")).await];
    for name in ["Notes", "Notes (token-mediating)"] {
        end_on_the_page(&world, name).await;
    }
    let refused = async {
        while (through().await.as_u16(), direct().await.as_u16()) != (401, 401) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SECOND, refused).await.expect("they are answered still");
    for mut stream in streams {
        assert_eq!(stream.status(), 200);
        let to_its_end = async { while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
        timeout(SECOND, to_its_end).await.expect("the stream goes on");
    }
}

/// A backend that does not follow the feed, as with any other provider, is told by back-channel logout: its sessions end, in
/// a store that all its replicas share, and open tabs are told. A token that is sent again ends nothing new.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn back_channel_logout_ends_the_sessions_of_a_backend() {
    let proxy = Proxy::with_registration(&[("revocation", "ignore")], |url, registration| {
        registration.backchannel_logout_uri = Some(format!("{url}/auth/backchannel-logout"));
    })
    .await;
    let mut events = proxy.get("/auth/events").await;
    assert_eq!(events.status(), 200);
    let other = proxy.world.ann_at(&proxy.url).await;
    let family = proxy.world.generations().await[1].0;
    let authority = proxy.world.demo.authority();
    revoke_by_operator(&authority, family, &Caller::operator()).await.unwrap();
    let mut told = String::new();
    let reading = async {
        while let Some(chunk) = events.chunk().await.unwrap() {
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    timeout(Duration::from_secs(10), reading).await.expect("the tab is not told");
    assert!(told.contains("logged_out_by_provider"), "{told}");
    let me =
        |browser: &Browser| browser.request(Method::GET, &format!("{}/auth/me", proxy.url)).send();
    assert_eq!(me(&proxy.browser).await.unwrap().status(), 401);
    assert_eq!(me(&other).await.unwrap().status(), 200, "another session of the same user lives");

    let send = async |token: &str| {
        let url = format!("{}/auth/backchannel-logout", proxy.url);
        let request = reqwest::Client::new().post(url).form(&[("logout_token", token)]);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send("forged").await, 400);
    assert_eq!(send("eyJhbGciOiJub25lIn0.e30.e30").await, 400);
    assert_eq!(me(&other).await.unwrap().status(), 200);
}
