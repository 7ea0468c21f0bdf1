//! The token-mediating backend, with a real authority and a real API.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, world};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_page_gets_application_tokens_and_nothing_else() {
    let world = world(HOUR).await;
    let signed_out = Browser::new().get(&world.tmb("/auth/session")).await;
    assert_eq!(signed_out.status(), 200);
    assert_eq!(
        signed_out.json::<Value>().await.unwrap(),
        json!({ "logged_in": false, "user": null, "access_token": null, "expires_at": null })
    );
    for path in ["/auth/token", "/auth/userinfo"] {
        assert_eq!(Browser::new().get(&world.tmb(path)).await.status(), 401, "{path}");
    }
    let browser = world.ann_at(&world.tmb("")).await;
    let session: Value = browser.get(&world.tmb("/auth/session")).await.json().await.unwrap();
    assert_eq!((&session["logged_in"], &session["user"]["name"]), (&json!(true), &json!("Ann")));
    let expires_in = session["expires_in"].as_u64().unwrap();
    assert!((3_590..=3_600).contains(&expires_in) && session["expires_at"].is_i64(), "{session}");
    let token: Value = browser.get(&world.tmb("/auth/token")).await.json().await.unwrap();
    assert_eq!(token["access_token"], session["access_token"], "one that is good is kept");
    assert!(!session.to_string().contains("rt_") && !token.to_string().contains("rt_"));
    let user: Value = browser.get(&world.tmb("/auth/userinfo")).await.json().await.unwrap();
    assert_eq!(user, session["user"]);
    // The page calls the API itself.
    let http = reqwest::Client::new();
    let call = http.get(format!("{}/notes", world.options.url(1)));
    let call = call.bearer_auth(token["access_token"].as_str().unwrap());
    let answer = call.header("origin", world.tmb("")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], world.tmb("").as_str());
    assert!(browser.seen.lock().unwrap().iter().any(|cookie| cookie.starts_with("tmb_session=")
        && cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=7776000")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_sites_get_nothing() {
    let world = world(HOUR).await;
    let browser = world.ann_at(&world.tmb("")).await;
    for path in ["/auth/session", "/auth/token", "/auth/userinfo"] {
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let request = browser.request(Method::GET, &world.tmb(path)).header(name, value);
            assert_eq!(browser.send(request).await.status(), 403, "{path} {name} {value}");
        }
    }
    let logout = world.tmb("/auth/logout");
    let bare = browser.send(browser.request(Method::POST, &logout)).await;
    assert_eq!(bare.status(), 403);
    assert_eq!(browser.get(&world.tmb("/auth/token")).await.status(), 200, "nothing was done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_ask_it_refreshes_once_and_again_when_an_api_has_refused() {
    let world = world(Duration::from_secs(6)).await;
    let browser = world.ann_at(&world.tmb("")).await;
    let url = world.tmb("/auth/token");
    tokio::time::sleep(Duration::from_secs(5)).await;
    for answer in join_all((0..50).map(|_| browser.get(&url))).await {
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(world.generations().await[0].1, 2, "the redemption, and one refresh");
    let token = browser.get(&url).await.json::<Value>().await.unwrap()["access_token"].clone();
    let refused =
        |token: &Value| browser.request(Method::GET, &url).bearer_auth(token.as_str().unwrap());
    let next: Value = browser.send(refused(&token)).await.json().await.unwrap();
    assert_ne!(next["access_token"], token);
    let same: Value = browser.send(refused(&token)).await.json().await.unwrap();
    assert_eq!(same["access_token"], next["access_token"], "of an old one it is known already");
    assert_eq!(world.generations().await[0].1, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn signing_out_ends_it_here_and_the_way_to_the_provider_ends_the_sign_in() {
    let world = world(HOUR).await;
    let browser = world.ann_at(&world.tmb("")).await;
    let session = browser.cookie("tmb_session").unwrap();
    let answer = browser.api(Method::POST, &world.tmb("/auth/logout")).await;
    let answer: Value = answer.json().await.unwrap();
    assert!(world.generations().await.is_empty(), "its refresh token is dead");
    browser.set_cookie("tmb_session", &session);
    assert_eq!(browser.get(&world.tmb("/auth/token")).await.status(), 401);
    assert_eq!(browser.get(&format!("{}/apps", world.authority())).await.status(), 200);
    let (url, page) = browser.follow(answer["logout_url"].as_str().unwrap(), &world.tmb("")).await;
    assert_eq!((url, page.status().as_u16()), (world.tmb("/"), 200), "by way of its callback");
    assert_eq!(browser.get(&format!("{}/apps", world.authority())).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_ended_session_is_told() {
    let world = world(Duration::from_secs(2)).await;
    let browser = world.ann_at(&world.tmb("")).await;
    let session = browser.cookie("tmb_session").unwrap();
    let family = world.generations().await[0].0;
    let caller = aa_server::domain::caller::Caller::operator();
    let authority = world.demo.authority();
    aa_server::ops::tokens::revoke::revoke_by_operator(&authority, family, &caller).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let told = browser.get(&world.tmb("/auth/token")).await;
    assert_eq!(told.status(), 401);
    assert_eq!(told.json::<Value>().await.unwrap(), json!({ "error": "session_expired" }));
    assert_eq!(browser.cookie("tmb_session"), None);
    browser.set_cookie("tmb_session", &session);
    let session: Value = browser.get(&world.tmb("/auth/session")).await.json().await.unwrap();
    assert_eq!(session["logged_in"], json!(false));
}
