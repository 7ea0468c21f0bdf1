//! Deployment shapes: who serves the front end, and where the cookie goes. What docs/deployment-shapes.md promises.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use service::run::StopHandle;

use crate::support::{Browser, Shop, World, world};

/// A BFF of its own, with these settings besides.
struct Shape {
    world: World,
    /// What browsers use.
    url: String,
    port: u16,
    _stop: StopHandle,
}

async fn shape(public_url: Option<&str>, given: &[(&'static str, &str)]) -> Shape {
    let world = world(Duration::from_hours(1)).await;
    let port = testing::free_ports(1);
    let url = public_url.map_or_else(|| format!("http://localhost:{port}"), str::to_owned);
    let mut shop = Shop::new(&world, &url);
    for (name, value) in given {
        shop.settings.set(name, *value);
    }
    let handle = shop.start(&[port]).await;
    Shape { world, url, port, _stop: handle }
}

fn front_end(folder: &Path) {
    std::fs::create_dir(folder.join("assets")).unwrap();
    std::fs::write(folder.join("index.html"), "<!doctype html><title>Shop</title>").unwrap();
    std::fs::write(folder.join("assets/app-3f2a9c.js"), "x".repeat(4_000)).unwrap();
    std::fs::write(folder.join(".secret"), "hush").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_is_served_with_caching_and_a_strict_policy() {
    let folder = tempfile::tempdir().unwrap();
    front_end(folder.path());
    let shape = shape(None, &[("static_dir", folder.path().to_str().unwrap())]).await;
    let browser = Browser::new();
    let get = |path: &str, accept: &'static str| {
        browser
            .request(Method::GET, &format!("{}{path}", shape.url))
            .header("accept", accept)
            .send()
    };
    for path in ["/", "/orders/7"] {
        let page = get(path, "text/html").await.unwrap();
        assert_eq!(page.headers()["cache-control"], "no-cache", "{path}");
        let csp = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(csp.contains("default-src 'none'; script-src 'self';") && !csp.contains("unsafe"));
        assert!(page.text().await.unwrap().contains("<title>Shop"), "the front end's own router");
    }
    let script = get("/assets/app-3f2a9c.js", "*/*").await.unwrap();
    assert_eq!(script.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(script.headers()["x-content-type-options"], "nosniff");
    assert!(script.headers()["content-type"].to_str().unwrap().starts_with("text/javascript"));
    let tag = script.headers()["etag"].to_str().unwrap().to_owned();
    let request = browser.request(Method::GET, &format!("{}/assets/app-3f2a9c.js", shape.url));
    let again = request.header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let request = browser.request(Method::GET, &format!("{}/assets/app-3f2a9c.js", shape.url));
    let packed = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    for path in ["/.secret", "/assets/gone.js", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/"]
    {
        let missing = get(path, "*/*").await.unwrap();
        assert!(missing.status().is_client_error(), "{path}: {}", missing.status());
    }
    // The front end is there, and so is the rest.
    assert_eq!(get("/auth/me", "*/*").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(get("/livez", "*/*").await.unwrap().status(), StatusCode::OK);
    let posted = browser.api(Method::POST, &format!("{}/orders", shape.url)).await;
    assert!(posted.status().is_client_error());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_front_end_elsewhere_may_call_if_it_is_listed_exactly() {
    let front = "http://shop.localhost:5173";
    let shape =
        shape(None, &[("front_url", front), ("cors_origins", "http://beta.localhost:5173")]).await;
    let browser = Browser::new();
    browser.sign_in(&shape.world.authority(), &demo::USERS[0]).await;
    // After signing in, the browser is at the front end again.
    let mut url = format!("{}/auth/login?return_to=/orders", shape.url);
    while !url.starts_with(front) {
        let answer = browser.get(&url).await;
        url = answer.headers()["location"].to_str().unwrap().to_owned();
    }
    assert_eq!(url, format!("{front}/orders"));
    let me = format!("{}/auth/me", shape.url);
    for origin in [front, "http://beta.localhost:5173"] {
        let request = browser.request(Method::GET, &me).header("origin", origin);
        let answer = request.header("sec-fetch-site", "same-site").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{origin}");
        assert_eq!(answer.headers()["access-control-allow-origin"], origin);
        assert_eq!(answer.headers()["access-control-allow-credentials"], "true");
        assert!(answer.headers()["vary"].to_str().unwrap().to_ascii_lowercase().contains("origin"));
        let preflight = browser
            .request(Method::OPTIONS, &format!("{}/auth/logout", shape.url))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-csrf");
        let allowed = preflight.send().await.unwrap();
        assert_eq!(allowed.status(), StatusCode::OK);
        assert_eq!(allowed.headers()["access-control-allow-origin"], origin);
    }
    for origin in [
        "http://shop.localhost:5174",
        "https://shop.localhost:5173",
        "http://evil.shop.localhost:5173",
        "http://shop.localhost:5173.evil.example",
        "null",
    ] {
        let request = browser.request(Method::GET, &me).header("origin", origin);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(answer.headers().get("access-control-allow-origin").is_none(), "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cookies_are_of_one_host_unless_a_domain_is_set_on_purpose() {
    for (public_url, domain, cookie) in [
        (
            "https://app.shop.example",
            None,
            "__Host-bff_session=…; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=7776000",
        ),
        (
            "https://app.shop.example",
            Some("shop.example"),
            "__Secure-bff_session=…; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=shop.example; Max-Age=7776000",
        ),
    ] {
        let given: Vec<_> = domain.map(|domain| ("cookie_domain", domain)).into_iter().collect();
        let shape = shape(Some(public_url), &given).await;
        let browser = Browser::new();
        browser.sign_in(&shape.world.authority(), &demo::USERS[0]).await;
        // What a proxy with TLS in front would pass on.
        let behind =
            |url: &str| url.replace(public_url, &format!("http://127.0.0.1:{}", shape.port));
        let mut url = behind(&format!("{public_url}/auth/login"));
        while url != "/" {
            let answer = browser.get(&url).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{url}");
            url = behind(answer.headers()["location"].to_str().unwrap());
        }
        let seen = browser.seen.lock().unwrap().clone();
        let session = seen.iter().find(|cookie| cookie.contains("bff_session=")).unwrap();
        let (name, rest) = session.split_once('=').unwrap();
        let (value, attributes) = rest.split_once(';').unwrap();
        assert_eq!(format!("{name}=…;{attributes}"), cookie);
        let attempt = seen.iter().find(|cookie| cookie.contains("bff_attempt")).unwrap();
        assert!(attempt.starts_with("__Host-") && !attempt.contains("Domain"), "{attempt}");
        // It is signed in under that name alone, and browsers are told to insist on https.
        let me = |cookie: String| {
            let url = format!("http://127.0.0.1:{}/auth/me", shape.port);
            reqwest::Client::new().get(url).header("cookie", cookie).send()
        };
        let answer = me(format!("{name}={value}")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().contains_key("strict-transport-security"));
        let bare = me(format!("bff_session={value}")).await.unwrap();
        assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
        let twice = me(format!("{name}={value}; {name}=x")).await.unwrap();
        assert_eq!(twice.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_behind_a_load_balancer_need_no_stickiness() {
    // Two replicas with one store and one secret: signing in begins at one, ends at the other, and goes on at both.
    let world = world(Duration::from_secs(6)).await;
    let store = format!("sqlite://{}", world.options.data_dir.join("shared.db").display());
    let ports = testing::free_ports(2);
    let public_url = format!("http://localhost:{ports}");
    let mut shop = Shop::new(&world, &public_url);
    shop.registration.lifetimes.at_ttl = Some(Duration::from_secs(6));
    shop.settings.set("session_store", store);
    shop.settings.set("verify_secret", "the proxy's secret, which replicas share");
    let _handle = shop.start(&[ports, ports + 1]).await;
    let browser = Browser::new();
    browser.sign_in(&world.authority(), &demo::USERS[0]).await;
    let mut url = format!("{public_url}/auth/login");
    for _ in 0..2 {
        let answer = browser.get(&url).await;
        url = answer.headers()["location"].to_str().unwrap().to_owned();
    }
    let other = url.replace(&format!(":{ports}/"), &format!(":{}/", ports + 1));
    assert_eq!(browser.get(&other).await.headers()["location"], "/");
    // Past four fifths of the token's life: 40 questions at both, one refresh.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asking = (0..40).map(|at| {
        let url = format!("http://localhost:{}/auth/verify", ports + at % 2);
        browser
            .request(Method::GET, &url)
            .header("x-verify-secret", "the proxy's secret, which replicas share")
            .send()
    });
    for answer in futures_util::future::join_all(asking).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().contains_key("authorization"));
    }
    assert_eq!(world.generations().await[0].1, 2, "the redemption, and one refresh");
    // Signing out at one is signing out at both.
    let session = browser.cookie("bff_session").unwrap();
    browser.api(Method::POST, &format!("{public_url}/auth/logout")).await;
    browser.set_cookie("bff_session", &session);
    let me = browser.get(&format!("http://localhost:{}/auth/me", ports + 1)).await;
    assert_eq!(me.status(), StatusCode::UNAUTHORIZED);
}
