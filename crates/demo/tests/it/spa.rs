//! The refresh cookie, with a real authority and a real API.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Browser, World, world};

const HOUR: Duration = Duration::from_hours(1);

async fn csrf_token(world: &World, browser: &Browser) -> String {
    let me: Value = browser.get(&world.spa("/auth/me")).await.json().await.unwrap();
    me["csrf_token"].as_str().unwrap_or_else(|| panic!("{me}")).to_owned()
}

async fn post(world: &World, browser: &Browser, path: &str, csrf: &str) -> Response {
    let request = browser.request(Method::POST, &world.spa(path)).header("x-csrf-token", csrf);
    browser.send(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_refresh_token_is_in_a_cookie_that_goes_to_one_address() {
    let world = world(HOUR).await;
    let signed_out = Browser::new().get(&world.spa("/auth/me")).await;
    assert_eq!(signed_out.status(), 401);
    let browser = world.ann_at(&world.spa("")).await;
    let me: Value = browser.get(&world.spa("/auth/me")).await.json().await.unwrap();
    assert_eq!((&me["name"], me.as_object().unwrap().len()), (&json!("Ann"), 3), "{me}");
    let seen = browser.seen.lock().unwrap().clone();
    let cookie = |name: &str| {
        let found = seen.iter().find(|cookie| cookie.starts_with(&format!("{name}=")));
        found.unwrap().split_once(';').unwrap()
    };
    let (value, attributes) = cookie("spa_rt");
    assert!(attributes.starts_with(" HttpOnly; SameSite=Strict; Path=/auth/refresh; Max-Age="));
    assert!(!value.contains("rt_") && value.len() < 4_000);
    assert!(cookie("spa_session").1.starts_with(" HttpOnly; SameSite=Strict; Path=/; Max-Age="));
    // A refresh gives a token, and the next cookie.
    let csrf = csrf_token(&world, &browser).await;
    let before = browser.cookie("spa_rt");
    let answer = post(&world, &browser, "/auth/refresh", &csrf).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let answer: Value = answer.json().await.unwrap();
    assert_ne!(browser.cookie("spa_rt"), before);
    assert!(!answer.to_string().contains("rt_"), "{answer}");
    let call = reqwest::Client::new().get(format!("{}/notes", world.options.url(1)));
    let call = call.bearer_auth(answer["access_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(call.status(), 200);
    assert_eq!(world.generations().await[0].1, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_its_own_script_can_refresh() {
    let world = world(HOUR).await;
    let browser = world.ann_at(&world.spa("")).await;
    let csrf = csrf_token(&world, &browser).await;
    let others = csrf_token(&world, &world.ann_at(&world.spa("")).await).await;
    let url = world.spa("/auth/refresh");
    let generations = world.generations().await;
    for path in ["/auth/refresh", "/auth/logout", "/auth/logout-all", "/auth/refresh/end"] {
        for wrong in ["", "x", &others, &csrf[1..]] {
            assert_eq!(post(&world, &browser, path, wrong).await.status(), 403, "{path} {wrong}");
        }
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "same-site"),
        ] {
            let request = browser.request(Method::POST, &world.spa(path)).header(name, value);
            let request = request.header("x-csrf-token", &csrf);
            assert_eq!(browser.send(request).await.status(), 403, "{path} {name} {value}");
        }
    }
    assert_eq!(browser.get(&url).await.status(), 404, "a link does nothing");
    // A planted second cookie is not chosen from; another session's is not this one's.
    let jar = |name: &str, value: &str| {
        let (session, refresh) =
            (browser.cookie("spa_session").unwrap(), browser.cookie("spa_rt").unwrap());
        format!("spa_session={session}; spa_rt={refresh}; {name}={value}")
    };
    let foreign = world.ann_at(&world.spa("")).await.cookie("spa_rt").unwrap();
    let session = browser.cookie("spa_session").unwrap();
    for (cookies, status) in [
        (jar("spa_rt", "x"), 401),
        (jar("spa_session", "x"), 401),
        (format!("spa_session={session}; spa_rt={foreign}"), 401),
        (format!("spa_session={session}; spa_rt={}", &foreign[1..]), 401),
        (format!("spa_session={session}"), 401),
    ] {
        let request = reqwest::Client::new().post(&url).header("cookie", cookies);
        let answer = request.header("x-csrf-token", &csrf).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
    let now = world.generations().await;
    assert!(generations.iter().all(|known| now.contains(known)), "nothing was rotated or ended");
    assert_eq!(post(&world, &browser, "/auth/refresh", &csrf).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tabs_that_refresh_at_once_all_stay_signed_in() {
    let world = world(HOUR).await;
    let browser = world.ann_at(&world.spa("")).await;
    let csrf = csrf_token(&world, &browser).await;
    for round in 1..=3 {
        let answers = join_all((0..10).map(|_| post(&world, &browser, "/auth/refresh", &csrf)));
        for answer in answers.await {
            assert_eq!(answer.status(), 200);
        }
        let moved = world.generations().await[0].1;
        assert!(moved > round, "a refresh after the next cookie rotates once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn signing_out_gives_the_refresh_token_back() {
    let world = world(HOUR).await;
    let browser = world.ann_at(&world.spa("")).await;
    let csrf = csrf_token(&world, &browser).await;
    let (session, refresh) =
        (browser.cookie("spa_session").unwrap(), browser.cookie("spa_rt").unwrap());
    // The refresh cookie does not come here, so it is sent for.
    let answer = post(&world, &browser, "/auth/logout", &csrf).await;
    assert_eq!(answer.status(), 307);
    let to = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(to.starts_with("/auth/refresh/"));
    let answer = post(&world, &browser, &to, &csrf).await;
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({ "signed_out": true, "revoked": true })
    );
    assert_eq!((browser.cookie("spa_session"), browser.cookie("spa_rt")), (None, None));
    assert!(world.generations().await.is_empty(), "the family has ended at the authority");
    assert_eq!(browser.get(&format!("{}/apps", world.authority())).await.status(), 200);
    browser.set_cookie("spa_session", &session);
    browser.set_cookie("spa_rt", &refresh);
    let again = post(&world, &browser, "/auth/refresh", &csrf).await;
    assert_eq!(again.status(), 401);
    assert_eq!(again.json::<Value>().await.unwrap(), json!({ "error": "session_expired" }));
    assert_eq!(browser.cookie("spa_rt"), None);
    // Everywhere: on to the authority, which ends the sign-in.
    let browser = world.ann_at(&world.spa("")).await;
    let csrf = csrf_token(&world, &browser).await;
    let answer = post(&world, &browser, "/auth/logout-all", &csrf).await;
    let to = answer.headers()["location"].to_str().unwrap().to_owned();
    let answer: Value = post(&world, &browser, &to, &csrf).await.json().await.unwrap();
    let (url, page) = browser.follow(answer["logout_url"].as_str().unwrap(), &world.spa("")).await;
    assert_eq!((url, page.status().as_u16()), (world.spa("/"), 200));
    assert_eq!(browser.get(&format!("{}/apps", world.authority())).await.status(), 303);
}
