//! What every route has (contract §7). These tests walk the route table, so a new route is covered by being added.

use aa_server::domain::caller::Caller;
use aa_server::http::{Kind, ROUTES};
use aa_server::ops::keys;
use reqwest::{Method, StatusCode};

use crate::support::{Browser, PASSWORD, TestApp, client};

/// A path that a pattern matches.
fn path_of(pattern: &str) -> String {
    let mut path = pattern.to_owned();
    while let Some((before, rest)) = path.split_once('{') {
        path = format!("{before}x{}", rest.split_once('}').unwrap().1);
    }
    path
}

fn method_of(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let cookie = format!("aa_identity={}", browser.cookie("aa_identity").unwrap());
    let mut nonces = std::collections::HashSet::new();
    for route in ROUTES {
        for signed_in in [false, true] {
            let url = format!("{}{}", t.url, path_of(route.path));
            let mut request = client().request(method_of(route.method), &url);
            if signed_in {
                request = request.header("cookie", &cookie);
            }
            let answer = request.send().await.unwrap();
            let at = format!("{} {} {}", route.method, route.path, answer.status());
            assert!(answer.status().as_u16() < 500, "{at}");
            let header = |name: &str| {
                answer
                    .headers()
                    .get(name)
                    .unwrap_or_else(|| panic!("{at}: {name}"))
                    .to_str()
                    .unwrap()
            };
            let csp = header("content-security-policy");
            for part in [
                "default-src 'none'",
                "object-src 'none'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ] {
                assert!(csp.contains(part), "{at}: {csp}");
            }
            assert!(!csp.contains("unsafe"), "{at}");
            let nonce = csp.split("'nonce-").nth(1).map(|rest| rest.split('\'').next().unwrap());
            let nonce = nonce.map(str::to_owned);
            if let Some(nonce) = &nonce {
                assert!(nonce.len() >= 22 && nonces.insert(nonce.clone()), "{at}: a fresh nonce");
            }
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("cross-origin-opener-policy"), "same-origin");
            assert_eq!(header("x-frame-options"), "DENY");
            assert!(!header("x-request-id").is_empty());
            let public =
                matches!(route.kind, Kind::Machine | Kind::Asset) && answer.status().is_success();
            if !public {
                assert_eq!(header("cache-control"), "no-store", "{at}");
            }
            assert!(answer.headers().get("strict-transport-security").is_none(), "this is http");
            let body = answer.text().await.unwrap();
            let has_nonce = |nonce: &String| body.contains(&format!(" nonce=\"{nonce}\""));
            assert_eq!(nonce.is_some(), body.contains(" nonce="), "{at}: one for each page");
            assert!(nonce.iter().all(has_nonce), "{at}: its own");
            let handler = |word: &str| word.starts_with("on") && word.contains('=');
            let inline = body.contains(" style=")
                || body.contains("<style")
                || body.split_whitespace().any(handler);
            let scripts = body.split("<script").skip(1);
            let ours =
                |tag: &str| tag.starts_with(" nonce=\"") && tag.contains("src=\"/assets/aa-");
            assert!(!inline && scripts.into_iter().all(ours), "{at}: nothing inline");
        }
    }
}

#[tokio::test]
async fn over_https_cookies_are_host_bound_and_browsers_insist() {
    let t = TestApp::with(None, &[("public_url", "https://aa.example")]).await;
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    let answer = browser.sign_in("ann@example.com", PASSWORD).await;
    for value in answer.headers().get_all("set-cookie") {
        let value = value.to_str().unwrap();
        assert!(
            value.starts_with("__Host-aa_")
                && value.contains("; Secure")
                && value.contains("; Path=/")
        );
        assert!(!value.contains("Domain"));
    }
    assert!(
        answer.headers()["strict-transport-security"].to_str().unwrap().starts_with("max-age=")
    );
    assert!(
        browser.cookie("__Host-aa_identity").is_some()
            && browser.cookie("__Host-aa_device").is_some()
    );
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
    // A planted second cookie is not chosen from: no user is signed in.
    let twice = format!(
        "__Host-aa_identity={0}; __Host-aa_identity=x",
        browser.cookie("__Host-aa_identity").unwrap()
    );
    let answer =
        client().get(format!("{}/apps", t.url)).header("cookie", twice).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn subdomains_are_made_to_use_https_only_where_that_is_set() {
    for (set, value) in
        [("false", "max-age=63072000"), ("true", "max-age=63072000; includeSubDomains")]
    {
        let settings = [("public_url", "https://aa.example"), ("hsts_subdomains", set)];
        let t = TestApp::with(None, &settings).await;
        let answer = client().get(format!("{}/login", t.url)).send().await.unwrap();
        assert_eq!(answer.headers()["strict-transport-security"], value);
    }
}

#[tokio::test]
async fn every_form_wants_its_csrf_token_and_its_own_origin() {
    let t = TestApp::with(None, &[("sign_in_code", "true")]).await;
    let browser = t.signed_in("ann@example.com").await;
    let csrf = browser.csrf("/account").await;
    let foreign = Browser::new(&t.url).csrf("/login").await;
    for route in ROUTES.iter().filter(|route| route.kind == Kind::Form) {
        let path = path_of(route.path);
        let refused = |form: Vec<(&'static str, String)>,
                       headers: Vec<(&'static str, &'static str)>| {
            let (browser, path) = (&browser, path.clone());
            async move {
                let form: Vec<(&str, &str)> =
                    form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let answer = browser.post(&path, &form, &headers).await;
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {form:?} {headers:?}");
            }
        };
        refused(vec![], vec![]).await;
        refused(vec![("csrf", String::new())], vec![]).await;
        refused(vec![("csrf", "x".into())], vec![]).await;
        refused(vec![("csrf", foreign.clone())], vec![]).await;
        let good = || vec![("csrf", csrf.clone())];
        refused(good(), vec![("origin", "https://evil.example")]).await;
        refused(good(), vec![("origin", "null")]).await;
        refused(good(), vec![("origin", "null"), ("sec-fetch-site", "cross-site")]).await;
        refused(good(), vec![("sec-fetch-site", "cross-site")]).await;
        refused(good(), vec![("sec-fetch-site", "same-site")]).await;
        let json = client()
            .post(format!("{}{path}", t.url))
            .json(&serde_json::json!({}))
            .send()
            .await
            .unwrap();
        assert_eq!(json.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
    }
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK, "nothing was done");
    // What browsers really send from our own pages, which have no referrer.
    let form = [("csrf", csrf.as_str())];
    let headers = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    let left = browser.post("/logout", &form, &headers).await;
    assert_eq!(left.status(), StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn pages_for_people_are_shown_to_nobody_else() {
    let t = TestApp::sqlite().await;
    let anonymous = Browser::new(&t.url);
    let public = [
        "/",
        "/login",
        "/login/verify",
        "/login/enrol",
        "/login/code",
        "/password/forgot",
        "/password/reset",
        "/register",
        "/register/confirm",
        "/account/email/confirm",
        "/account/email/change",
        "/demo/mail",
        "/oauth/authorize",
        "/oauth/logout",
        "/.well-known/change-password",
    ];
    for route in ROUTES.iter().filter(|route| route.kind == Kind::Page && route.method == "GET") {
        if !public.contains(&route.path) {
            let answer = anonymous.get(&path_of(route.path)).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", route.path);
            assert!(
                answer.headers()["location"].to_str().unwrap().starts_with("/login?return_to=%2F")
            );
        }
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_their_terms() {
    let t = TestApp::sqlite().await;
    for route in ROUTES {
        let url = format!("{}{}", t.url, path_of(route.path));
        let answer = client().patch(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{}", route.path);
        assert!(answer.headers()["allow"].to_str().unwrap().contains(route.method));
        if route.method == "GET" {
            let head = client().head(&url).send().await.unwrap();
            // Links of mails have expired without a token.
            let status = head.status().as_u16();
            assert!(status < 405 || status == 410, "HEAD {} {}", route.path, head.status());
            assert!(head.text().await.unwrap().is_empty());
        }
    }
    for (path, accept) in [("/oauth/nothing", "*/*"), ("/nothing", "application/json")] {
        let request = client().get(format!("{}{path}", t.url)).header("accept", accept);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
    }
    for path in [
        "/nothing",
        "/sessions/x",
        "/assets/x.css",
        "/assets/../Cargo.toml",
        "/.env",
        "/%00",
        "/login/",
    ] {
        let answer = client().get(format!("{}{path}", t.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_stylesheet_is_kept_for_ever_and_comes_packed() {
    let t = TestApp::sqlite().await;
    let page = client().get(format!("{}/login", t.url)).send().await.unwrap().text().await.unwrap();
    let path = page.split("href=\"/assets/aa-").nth(1).unwrap().split('"').next().unwrap();
    let request = client().get(format!("{}/assets/aa-{path}", t.url));
    let answer = request.header("accept-encoding", "gzip, br").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "accept-encoding");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(answer.headers()["content-type"], "text/css; charset=utf-8");
}

#[tokio::test]
async fn made_up_methods_make_no_time_series() {
    let address = format!("127.0.0.1:{}", crate::support::free_port());
    let t = TestApp::with(None, &[("metrics_listen", address.as_str())]).await;
    let method = reqwest::Method::from_bytes(b"MADEUP").unwrap();
    client().request(method, format!("{}/login", t.url)).send().await.unwrap();
    let public = client().get(format!("{}/metrics", t.url)).send().await.unwrap();
    assert_eq!(public.status(), StatusCode::NOT_FOUND, "what they tell is not for the public");
    let metrics = client().get(format!("http://{address}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("method=\"other\"") && !metrics.contains("MADEUP"), "{metrics}");
}

#[tokio::test]
async fn too_much_is_refused_with_the_status_that_says_so() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    for route in ROUTES {
        let url = format!("{}{}", t.url, path_of(route.path));
        let long =
            client().request(method_of(route.method), format!("{url}?{}", "x".repeat(9_000)));
        assert_eq!(long.send().await.unwrap().status(), StatusCode::URI_TOO_LONG, "{}", route.path);
        let wide =
            client().request(method_of(route.method), &url).header("x-wide", "x".repeat(17_000));
        assert_eq!(
            wide.send().await.unwrap().status(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "{}",
            route.path
        );
        if route.method == "POST" && route.path != "/oauth/userinfo" {
            let body = format!("a={}", "x".repeat(70_000));
            let answer = client()
                .post(&url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{}", route.path);
        }
    }
    let csrf = browser.csrf("/account").await;
    for (name, value) in
        [("name", "\0".to_owned()), ("name", "x".repeat(9_000)), ("csrf", csrf.clone())]
    {
        let form = [("csrf", csrf.as_str()), (name, &value)];
        let answer = browser.post("/sessions/devices/x/rename", &form, &[]).await;
        assert!(matches!(answer.status(), StatusCode::BAD_REQUEST), "{name}: {}", answer.status());
    }
}

#[tokio::test]
async fn only_trusted_proxies_are_believed() {
    let with = |networks: &'static str| async move {
        let given: &[(&'static str, &str)] =
            if networks.is_empty() { &[] } else { &[("trusted_proxies", networks)] };
        let t = TestApp::with(None, given).await;
        t.add_user("ann@example.com").await;
        let browser = Browser::new(&t.url);
        let csrf = browser.csrf("/login").await;
        (t, browser, csrf)
    };
    let seen = |networks: &'static str, forwarded: &'static str| async move {
        let (t, browser, csrf) = with(networks).await;
        let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD)];
        let answer = browser.post("/login", &form, &[("x-forwarded-for", forwarded)]).await;
        let ip = t.events("identity.started").await.first().map(|event| event.ip.clone());
        (answer.status(), ip)
    };
    let ok = |ip: &str| (StatusCode::SEE_OTHER, Some(ip.to_owned()));
    assert_eq!(seen("", "198.51.100.7").await, ok("127.0.0.1"), "no proxy is trusted by default");
    assert_eq!(seen("10.0.0.0/8", "198.51.100.7").await, ok("127.0.0.1"));
    assert_eq!(seen("127.0.0.0/8", "198.51.100.7").await, ok("198.51.100.7"));
    assert_eq!(
        seen("127.0.0.1,10.0.0.0/8", "203.0.113.9, 198.51.100.7, 10.1.2.3").await,
        ok("198.51.100.7")
    );
    // Some proxies add a port.
    assert_eq!(seen("127.0.0.1", "198.51.100.7:5678").await, ok("198.51.100.7"));
    assert_eq!(seen("127.0.0.1", "[2001:db8::1]:443").await, ok("2001:db8::1"));
    assert_eq!(seen("127.0.0.1", "198.51.100.7, nonsense").await, (StatusCode::BAD_REQUEST, None));
}

#[tokio::test]
async fn request_ids_come_back_if_they_are_well_formed() {
    let t = TestApp::sqlite().await;
    let url = format!("{}/livez", t.url);
    for (given, kept) in
        [("abc-123_x.y", true), ("a b", false), ("<script>", false), (&"x".repeat(65), false)]
    {
        let answer = client().get(&url).header("x-request-id", given).send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"] == given, kept, "{given}");
    }
}

#[tokio::test]
async fn errors_tell_a_stranger_nothing() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    t.authority.store.db().close().await;
    for path in ["/apps", "/sessions", "/account"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.headers()["retry-after"], "1");
        let body = answer.text().await.unwrap().to_lowercase();
        for word in ["sql", "pool", "database", "panic", "src/"] {
            assert!(!body.contains(word), "{path}: {word}");
        }
    }
    let ready = client().get(format!("{}/readyz", t.url)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let live = client().get(format!("{}/livez", t.url)).send().await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_has_the_keys_is_not_sent_them_again() {
    let t = TestApp::sqlite().await;
    for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration"] {
        let url = format!("{}{path}", t.url);
        let first = client().get(&url).send().await.unwrap();
        let tag = first.headers()["etag"].clone();
        let known = || client().get(&url).header("if-none-match", tag.clone());
        let second = known().send().await.unwrap();
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(second.headers()["etag"], tag);
        assert!(second.text().await.unwrap().is_empty());
        let other = client().get(&url).header("if-none-match", "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), StatusCode::OK);
        if path.ends_with("jwks.json") {
            keys::rotate(&t.authority, &Caller::operator()).await.unwrap();
            assert_eq!(
                known().send().await.unwrap().status(),
                StatusCode::OK,
                "there are new ones"
            );
        }
    }
}

/// The value of a series, by an exposition that is read as its format says (Prometheus text format 0.0.4).
fn series(exposition: &str, wanted: &str) -> Option<f64> {
    let mut described = std::collections::HashSet::new();
    let mut found = None;
    for line in exposition.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next());
            assert!(["HELP", "TYPE"].contains(&kind) && rest.is_some(), "{line}");
            described.insert(format!("{kind} {name}"));
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let base = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| base.strip_suffix(end));
        let family = family.unwrap_or(base);
        assert!(described.contains(&format!("TYPE {family}")), "{line}");
        assert!(described.contains(&format!("HELP {family}")), "{line} has no HELP");
        if name == wanted {
            found = Some(value);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_happens_is_counted() {
    let address = format!("127.0.0.1:{}", crate::support::free_port());
    let t = TestApp::with(None, &[("metrics_listen", address.as_str())]).await;
    let read = async |wanted: &str| {
        let answer = client().get(format!("http://{address}/metrics")).send().await.unwrap();
        series(&answer.text().await.unwrap(), wanted)
    };
    // Other tests of this process count too, so each is read before and after.
    let counters = [
        "aa_events_total{kind=\"identity.started\"}",
        "aa_events_total{kind=\"identity.refused\"}",
        "aa_events_total{kind=\"family.reuse\"}",
        "aa_refreshes_total{outcome=\"answered\"}",
        "aa_refreshes_total{outcome=\"reused\"}",
        "aa_refreshes_total{outcome=\"refused\"}",
        "aa_refreshes_within_grace_total",
        "aa_throttled_total",
        "http_request_duration_seconds_bucket{method=\"POST\",route=\"/oauth/token\",le=\"+Inf\"}",
        "http_requests_total{method=\"POST\",route=\"/oauth/token\",status=\"200\"}",
    ];
    let mut before = Vec::new();
    for counter in counters {
        before.push(read(counter).await.unwrap_or(0.0));
    }
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    app.refresh(first.refresh_token()).await.ok();
    app.refresh(first.refresh_token()).await.ok();
    t.advance(60);
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    app.refresh("rt_nonsense").await.refused("invalid_grant");
    let attacker = Browser::new(&t.url);
    for _ in 0..12 {
        attacker.sign_in("ann@example.com", "wrong password").await;
    }
    for (counter, before) in counters.into_iter().zip(before) {
        let after = read(counter).await;
        assert!(after.is_some_and(|after| after > before), "{counter}: {before}, then {after:?}");
    }
    for gauge in ["aa_waiting_rotations", "aa_waiting_deliveries", "aa_clock_offset_seconds"] {
        for _ in 0..100 {
            if read(gauge).await.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(read(gauge).await.is_some(), "{gauge}");
    }
    let build = format!("aa_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(read(&build).await, Some(1.0));
}
