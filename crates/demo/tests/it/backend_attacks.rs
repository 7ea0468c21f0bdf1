//! Attacks on the backends of browser apps, each of which was possible once.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::proxy::{Proxy, header};
use crate::support::{Browser, Shop, world};

const HOUR: Duration = Duration::from_hours(1);

/// Headers by which a browser could pass for another user, another method, another address or another path.
const MISLEADING: [&str; 33] = [
    "x-auth-subject",
    "x-auth-email",
    "x_auth_subject",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-cluster-client-ip",
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-forwarded-for",
    "x_forwarded_for",
    "x-forwarded",
    "forwarded",
    "x-real-ip",
    "proxy",
    "via",
    "x-verify-secret",
    "x-user",
    "x-ssl-client-cert",
    "x-amzn-oidc-identity",
    "sec-fetch-site",
    "referer",
    "x-anything",
    "content_type",
    "accept_language",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_listed_headers_of_a_browser_reach_an_upstream() {
    let proxy = Proxy::start().await;
    let mut request = proxy.request(Method::POST, "/api/shop/echo").body("body");
    for name in MISLEADING {
        request = request.header(name, if name == "sec-fetch-site" { "none" } else { "admin" });
    }
    let listed = [
        ("accept", "application/json"),
        ("accept-language", "de"),
        ("content-type", "text/x-notes"),
        ("content-language", "de"),
        ("if-match", "\"1\""),
        ("if-none-match", "\"2\""),
        ("range", "bytes=0-1"),
        ("last-event-id", "7"),
        ("idempotency-key", "k"),
        ("prefer", "return=minimal"),
        ("user-agent", "a browser"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=b"),
        ("x-tenant", "the one that the route names"),
    ];
    for (name, value) in listed {
        request = request.header(name, value);
    }
    let echoed: Value = request.send().await.unwrap().json().await.unwrap();
    for (name, value) in listed {
        assert_eq!(header(&echoed, name), Some(value), "{name}");
    }
    for name in MISLEADING {
        assert_eq!(header(&echoed, name), None, "{name}");
    }
    // A listed header that concerns this connection alone (RFC 9110 §7.6.1) stays here, and takes nothing of ours along.
    let request = proxy
        .request(Method::GET, "/api/shop/echo")
        .header("connection", "range, X-Tenant, authorization, x-request-id")
        .header("range", "bytes=0-1")
        .header("x-tenant", "7");
    let echoed: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!((header(&echoed, "range"), header(&echoed, "x-tenant")), (None, None));
    assert!(header(&echoed, "authorization").is_some_and(|token| token.starts_with("Bearer ey")));
    assert!(header(&echoed, "x-request-id").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_front_end_elsewhere_may_send_what_goes_on_to_an_api() {
    let proxy = Proxy::with(&[("cors_origins", "https://www.shop.example")]).await;
    let asks = async |origin: &str, name: &str| {
        let request = proxy.request(Method::OPTIONS, "/api/shop/echo").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let answer = request.header("access-control-request-headers", name).send().await.unwrap();
        answer.headers().contains_key("access-control-allow-origin")
    };
    let front_end = "https://www.shop.example";
    for name in ["x-csrf", "x-tenant", "idempotency-key", "if-none-match", "range", "prefer"] {
        assert!(asks(front_end, name).await, "{name}");
        assert!(!asks("https://evil.example", name).await, "{name}");
    }
    for name in ["x-auth-subject", "x-http-method-override", "x-anything"] {
        assert!(!asks(front_end, name).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_is_for_one_person_and_changes_nothing_of_the_site() {
    let proxy = Proxy::start().await;
    for (query, cache_control, vary) in [
        ("cache-control=max-age%3D600", "private, max-age=600", "Cookie"),
        (
            "cache-control=public,+s-maxage%3D9,+max-age%3D600&vary=Accept",
            "private, max-age=600",
            "Accept, Cookie",
        ),
        ("cache-control=Public&cache-control=immutable", "private, immutable", "Cookie"),
        (
            "cache-control=private%3D%22set-cookie,+x%22,+max-age%3D1",
            "private, max-age=1",
            "Cookie",
        ),
        ("cache-control=no-store", "no-store", "Cookie"),
        ("cache-control=max-age%3D9,+No-Store&vary=cookie", "no-store", "cookie"),
        ("", "private, no-store", "Cookie"),
        ("vary=*", "private, no-store", "*"),
    ] {
        let answer = proxy.get(&format!("/api/shop/answer?{query}")).await;
        assert_eq!(answer.status(), 200, "{query}");
        let of = |name: &str| {
            let values = answer.headers().get_all(name).iter();
            values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(of("cache-control"), cache_control, "{query}");
        // The CORS middleware adds names of its own.
        let expected = vary.split(", ").map(str::to_ascii_lowercase);
        let found = of("vary").to_ascii_lowercase();
        for name in expected {
            assert!(found.split(", ").any(|one| one == name), "{query}: {found}");
        }
    }
    for name in [
        "clear-site-data",
        "service-worker-allowed",
        "refresh",
        "alt-svc",
        "report-to",
        "reporting-endpoints",
        "nel",
        "set-cookie",
        "x-accel-redirect",
        "x-accel-expires",
        "x-sendfile",
        "surrogate-control",
        "cdn-cache-control",
        "x-auth-subject",
    ] {
        let answer = proxy.get(&format!("/api/shop/answer?{name}=x&x-kept=x")).await;
        assert_eq!(answer.headers().get(name), None, "{name}");
        assert_eq!(answer.headers()["x-kept"], "x");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_looks_at_the_route_and_not_at_the_spelling_of_its_path() {
    let world = world(HOUR).await;
    for (app, paths) in [
        (world.bff(""), ["/auth/me", "/%61uth/me", "/auth/%6de", "/%61%75%74%68/me"]),
        (world.tmb(""), ["/auth/session", "/%61uth/session", "/%61uth/token", "/auth/%74oken"]),
        (world.spa(""), ["/auth/me", "/%61uth/me", "/auth/m%65", "/a%75th/me"]),
    ] {
        let browser = world.ann_at(&app).await;
        assert_eq!(browser.get(&format!("{app}{}", paths[0])).await.status(), 200);
        for path in paths {
            for (name, value) in [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
                ("origin", "https://evil.example"),
                ("origin", "null"),
            ] {
                let request = browser.request(Method::GET, &format!("{app}{path}"));
                let answer = browser.send(request.header(name, value)).await;
                assert_eq!(answer.status(), 403, "{app}{path} {name}: {value}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn trace_and_connect_are_answered_here() {
    let proxy = Proxy::start().await;
    for method in [Method::TRACE, Method::CONNECT] {
        for path in ["/api/shop/echo", "/auth/me", "/", "/livez"] {
            let address =
                proxy.url.strip_prefix("http://").unwrap().replace("localhost", "127.0.0.1");
            let session = proxy.browser.cookie("bff_session").unwrap();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {address}\r\nX-CSRF: 1\r\nConnection: close\r\nCookie: bff_session={session}\r\n\r\n"
            );
            let answer = exchange(&address, &head).await;
            assert!(answer.starts_with("HTTP/1.1 405"), "{method} {path}: {answer}");
            assert!(answer.to_ascii_lowercase().contains("\nallow: "), "{answer}");
            assert!(!answer.contains("Bearer"), "{answer}");
        }
    }
}

/// Sends a request as it is, and returns the answer as it is.
async fn exchange(address: &str, head: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attempts_do_not_fill_the_cookie_jar() {
    let world = world(HOUR).await;
    for app in [world.bff(""), world.tmb(""), world.spa("")] {
        let browser = Browser::new();
        for length in [400, 500, 511, 512, 1_000, 5_000, 511, 511, 511, 511, 511] {
            let long = format!("/{}", "a".repeat(length));
            let begun = browser.get(&format!("{app}/auth/login?return_to={long}")).await;
            assert_eq!(begun.status(), 303);
        }
        let begun = browser.get(&format!("{app}/auth/login")).await;
        let newest = begun.headers()["location"].to_str().unwrap().to_owned();
        let (count, bytes) = {
            let cookies = browser.cookies.lock().unwrap();
            let attempts = cookies.iter().filter(|(name, _)| name.contains("_attempt_"));
            attempts.fold((0, 0), |(count, bytes), (name, value)| {
                (count + 1, bytes + name.len() + value.len())
            })
        };
        assert_eq!(count, 5, "{app}");
        assert!(bytes < 6 * 1024, "{app}: {bytes}");
        // The newest one still works.
        browser.sign_in(&world.authority(), &demo::USERS[0]).await;
        let (url, page) = browser.follow(&newest, &app).await;
        assert_eq!((url, page.status().as_u16()), (format!("{app}/"), 200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_that_nobody_verified_is_not_told() {
    let proxy = Proxy::start().await;
    let verify = format!("{}/auth/verify", proxy.url);
    let answer = proxy.browser.get(&verify).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("x-auth-subject"));
    assert_eq!(answer.headers().get("x-auth-email"), None);
    let me = proxy.world.ann_at(&proxy.world.tmb("")).await;
    let userinfo: Value = me.get(&proxy.world.tmb("/auth/userinfo")).await.json().await.unwrap();
    let bff: Value = proxy.get("/auth/me").await.json().await.unwrap();
    let me = proxy.world.ann_at(&proxy.world.spa("")).await;
    let spa: Value = me.get(&proxy.world.spa("/auth/me")).await.json().await.unwrap();
    for user in [userinfo, bff, spa] {
        assert_eq!(user.get("email"), None, "{user}");
        assert!(user["sub"].is_string(), "{user}");
    }
    // Where the provider's addresses are known to be right, the operator says so.
    let proxy = Proxy::with(&[("email_trust", "always")]).await;
    let answer = proxy.browser.get(&format!("{}/auth/verify", proxy.url)).await;
    assert_eq!(answer.headers()["x-auth-email"], "ann@example.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_form_is_no_call_of_a_script() {
    let world = world(HOUR).await;
    let browser = world.ann_at(&world.spa("")).await;
    let me: Value = browser.get(&world.spa("/auth/me")).await.json().await.unwrap();
    let csrf = me["csrf_token"].as_str().unwrap();
    for content_type in
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
    {
        for (url, header) in [
            (world.spa("/auth/refresh"), ("x-csrf-token", csrf)),
            (world.spa("/auth/logout"), ("x-csrf-token", csrf)),
            (world.tmb("/auth/logout"), ("x-csrf", "1")),
            (world.bff("/auth/logout"), ("x-csrf", "1")),
        ] {
            let request = browser.request(Method::POST, &url).header(header.0, header.1);
            let request = request.header("content-type", content_type).body("a=b");
            assert_eq!(browser.send(request).await.status(), 415, "{url} {content_type}");
        }
    }
    let request = browser.request(Method::POST, &world.spa("/auth/refresh"));
    let request = request.header("x-csrf-token", csrf).json(&json!({}));
    assert_eq!(browser.send(request).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_session_page_names_the_browser_and_not_the_backend() {
    let world = world(HOUR).await;
    let port = testing::free_ports(1);
    let url = format!("http://localhost:{port}");
    let mut shop = Shop::new(&world, &url);
    shop.registration.lifetimes.at_ttl = Some(Duration::from_secs(2));
    shop.settings.set("trusted_proxies", "127.0.0.1, ::1");
    let _stop = shop.start(&[port]).await;
    let browser = Browser::new();
    browser.sign_in(&world.authority(), &demo::USERS[0]).await;
    let from = |request: reqwest::RequestBuilder, address: &str, agent: &'static str| {
        request
            .header("x-forwarded-for", format!("198.51.100.9, {address}"))
            .header("user-agent", agent)
    };
    let begun = browser.get(&format!("{url}/auth/login")).await;
    let answered = browser.get(begun.headers()["location"].to_str().unwrap()).await;
    let callback = answered.headers()["location"].to_str().unwrap().to_owned();
    let request = from(browser.request(Method::GET, &callback), "203.0.113.7", "Firefox/130.0 one");
    assert_eq!(browser.send(request).await.status(), 303);
    let family = world.generations().await[0].0;
    let last_used = async || {
        let authority = world.demo.authority();
        let family = authority.store.family(family).await.unwrap().unwrap();
        (family.rotated_ip, family.rotated_user_agent)
    };
    assert_eq!(last_used().await, ("203.0.113.7".to_owned(), "Firefox/130.0 one".to_owned()));
    // A refresh too, once it is due; what is no ASCII does not break the request.
    for _ in 0..100 {
        let request = browser.request(Method::GET, &format!("{url}/auth/verify"));
        let request = from(request, "2001:db8::7", "Fire\u{f6}x two");
        assert_eq!(browser.send(request).await.status(), 200);
        if last_used().await.0 != "203.0.113.7" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(last_used().await, ("2001:db8::7".to_owned(), "Fire??x two".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_secret_is_noticed_before_anybody_signs_in() {
    for secret in [Some("no secret of this app, though a long one"), None] {
        let world = world(HOUR).await;
        let port = testing::free_ports(1);
        let url = format!("http://localhost:{port}");
        let mut shop = Shop::new(&world, &url);
        shop.knows_secret = false;
        if let Some(secret) = secret {
            shop.settings.set("client_secret", secret);
        }
        let _stop = shop.start(&[port]).await;
        assert!(is_noticed(&url).await, "{secret:?}");
        // The program goes on, and a user is told who can help.
        assert_eq!(reqwest::get(format!("{url}/livez")).await.unwrap().status(), 200);
        let browser = Browser::new();
        browser.sign_in(&world.authority(), &demo::USERS[0]).await;
        let (_, page) = browser.follow(&format!("{url}/auth/login"), &url).await;
        assert_eq!(page.status(), 503);
        assert!(page.text().await.unwrap().contains("tell its operator"));
    }
}

/// Whether a backend says within ten seconds that its secret is not right.
async fn is_noticed(url: &str) -> bool {
    for _ in 0..100 {
        let ready = reqwest::get(format!("{url}/readyz")).await.unwrap();
        let status = ready.status();
        let missing = ready.json::<Value>().await.unwrap()["missing"].clone();
        if status == 503 && missing == json!(["client secret"]) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn metrics_are_not_for_the_public() {
    let world = world(HOUR).await;
    for place in 1..=4 {
        let answer = reqwest::get(format!("{}/metrics", world.options.url(place))).await.unwrap();
        assert_eq!(answer.status(), 404, "{place}");
        assert!(!answer.text().await.unwrap().contains("http_requests_total"), "{place}");
    }
    let ports = testing::free_ports(2);
    let url = format!("http://localhost:{ports}");
    let mut shop = Shop::new(&world, &url);
    shop.settings.set("metrics_listen", format!("127.0.0.1:{}", ports + 1));
    let _stop = shop.start(&[ports]).await;
    assert_eq!(reqwest::get(format!("{url}/metrics")).await.unwrap().status(), 404);
    let answer = reqwest::get(format!("http://127.0.0.1:{}/metrics", ports + 1)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("http_requests_total"));
    let other = reqwest::get(format!("http://127.0.0.1:{}/auth/me", ports + 1)).await.unwrap();
    assert_eq!(other.status(), 404, "nothing else is there");
}
