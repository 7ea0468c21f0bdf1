//! The launcher opens an app by third-party initiated login (OpenID Connect Core §4).

use std::time::Duration;

use crate::support::{Browser, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_app_is_opened_from_the_launcher_and_by_no_other_issuer() {
    let world = world(Duration::from_hours(1)).await;
    let browser = Browser::new();
    browser.sign_in(&world.authority(), &demo::USERS[0]).await;
    for (id, app) in [("bff", world.bff("")), ("tmb", world.tmb("")), ("spa", world.spa(""))] {
        let opened = browser.get(&format!("{}/open/{id}", world.authority())).await;
        let to = opened.headers()["location"].to_str().unwrap().to_owned();
        assert!(to.starts_with(&format!("{app}/auth/login?iss=http")), "{to}");
        let (url, page) = browser.follow(&to, &app).await;
        assert_eq!((url, page.status().as_u16()), (format!("{app}/"), 200));

        let other = format!("{app}/auth/login?iss=https%3A%2F%2Faa.example");
        let refused = browser.get(&other).await;
        assert_eq!(refused.status(), 400, "{id}");
        assert!(!refused.headers().contains_key("location"));
    }
}
