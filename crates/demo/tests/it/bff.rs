//! The backend for frontend, with a real authority and a real API behind it.

use std::time::Duration;

use crate::support::{Browser, Shop, World, world};
use demo::USERS;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_browser_holds_a_cookie_and_no_token() {
    let world = world(HOUR).await;
    let browser = Browser::new();
    let signed_out = browser.get(&world.bff("/auth/me")).await;
    assert_eq!(
        (signed_out.status().as_u16(), signed_out.json::<Value>().await.unwrap()),
        (401, json!({ "error": "not_signed_in" }))
    );
    let browser = world.in_notes(0).await;
    let me = browser.get(&world.bff("/auth/me")).await;
    assert_eq!(me.headers()["cache-control"], "no-store");
    let me: Value = me.json().await.unwrap();
    assert_eq!((me["name"].as_str(), me["sub"].as_str().map(str::len)), (Some("Ann"), Some(36)));
    assert_eq!(me.as_object().unwrap().len(), 2, "{me}");
    let session = browser.cookies.lock().unwrap()["bff_session"].clone();
    assert_eq!(session.len(), 43);
    assert!(
        !browser.cookies.lock().unwrap().keys().any(|name| name.starts_with("bff_attempt")),
        "attempts are tidied up"
    );
    // A copy of the session store lets no attacker sign in, and has no token in the clear.
    let stored = std::fs::read(world.options.data_dir.join("bff.db")).unwrap();
    let wal = std::fs::read(world.options.data_dir.join("bff.db-wal")).unwrap();
    for needle in [session.as_str(), "rt_", "eyJ", USERS[0].email] {
        let within =
            |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!within(&stored) && !within(&wal), "{needle}");
    }
    // New at every sign-in, and the one before is gone.
    world.open(&browser).await;
    assert_ne!(browser.cookies.lock().unwrap()["bff_session"], session);
    let before = Browser::new();
    before.cookies.lock().unwrap().insert("bff_session".into(), session);
    assert_eq!(before.get(&world.bff("/auth/me")).await.status(), 401);
    assert_eq!(world.generations().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn notes_are_read_and_written_through_the_proxy() {
    let world = world(HOUR).await;
    let (ann, ben) = (world.in_notes(0).await, world.in_notes(1).await);
    let url = world.bff("/api/notes");
    let post = |browser: &Browser, body: Value| {
        browser.request(Method::POST, &url).header("x-csrf", "1").json(&body)
    };
    let added = ann.send(post(&ann, json!({ "text": "Ann's" }))).await;
    assert_eq!(
        (added.status().as_u16(), added.headers()["etag"].to_str().unwrap()),
        (201, "\"1\"")
    );
    assert!(added.headers()["location"].to_str().unwrap().starts_with("/notes/"));
    let note: Value = added.json().await.unwrap();
    let one = format!("{url}/{}", note["id"].as_str().unwrap());
    // Each sees their own.
    assert_eq!(ann.api(Method::GET, &one).await.status(), 200);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(ben.api(method, &one).await.status(), 404);
    }
    assert_eq!(
        ben.api(Method::GET, &url).await.json::<Value>().await.unwrap(),
        json!({ "notes": [], "next": null })
    );
    // A change that another request has overtaken is refused, not lost.
    let put = |version: &'static str, text: &'static str| {
        ann.request(Method::PUT, &one)
            .header("x-csrf", "1")
            .header("if-match", version)
            .json(&json!({ "text": text }))
    };
    assert_eq!(ann.send(put("\"1\"", "second")).await.status(), 200);
    assert_eq!(ann.send(put("\"1\"", "third")).await.status(), 412);
    assert_eq!(ann.api(Method::GET, &one).await.json::<Value>().await.unwrap()["text"], "second");
    // Bad input, in the API's own terms.
    let long = "x".repeat(10_001);
    for (body, status) in [
        (json!({ "text": "" }), 400),
        (json!({ "text": "  " }), 400),
        (json!({ "text": "a\u{0}b" }), 400),
        (json!({ "text": long }), 400),
        (json!({ "text": 7 }), 400),
        (json!({}), 400),
        (json!({ "text": "x", "user_id": "another" }), 400),
        (json!([]), 400),
        (json!({ "text": "x".repeat(70_000) }), 413),
    ] {
        let answer = ann.send(post(&ann, body.clone())).await;
        assert_eq!(answer.status(), status, "{body:.80}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let form = ann.request(Method::POST, &url).header("x-csrf", "1").form(&[("text", "x")]);
    assert_eq!(ann.send(form).await.status(), 415);
    for (path, status) in [("?limit=x", 400), ("?before=x", 400), ("/x", 404), ("/x/y", 404)] {
        assert_eq!(ann.api(Method::GET, &format!("{url}{path}")).await.status(), status, "{path}");
    }
    assert_eq!(ann.api(Method::PATCH, &url).await.status(), 405);
    assert_eq!(ann.api(Method::DELETE, &one).await.status(), 204);
    // Pages.
    for number in 0..5 {
        ann.send(post(&ann, json!({ "text": number.to_string() }))).await;
    }
    let first: Value = ann.api(Method::GET, &format!("{url}?limit=3")).await.json().await.unwrap();
    let next = format!("{url}?limit=3&before={}", first["next"].as_str().unwrap());
    let second: Value = ann.api(Method::GET, &next).await.json().await.unwrap();
    let texts = |page: &Value| {
        page["notes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|note| note["text"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (texts(&first), texts(&second), &second["next"]),
        (vec![json!("4"), json!("3"), json!("2")], vec![json!("1"), json!("0")], &Value::Null)
    );
    // Straight to the API, without a token or with the cookie: no.
    let direct = format!("{}/notes", world.options.url(1));
    assert_eq!(ann.get(&direct).await.status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_sites_are_kept_out() {
    let world = world(HOUR).await;
    let browser = world.in_notes(0).await;
    let url = world.bff("/api/notes");
    let own = world.bff("");
    for (headers, status) in [
        (vec![], 403),
        (vec![("x-csrf", "0")], 403),
        (vec![("x-csrf", "1"), ("origin", "https://evil.example")], 403),
        (vec![("x-csrf", "1"), ("origin", "null")], 403),
        (vec![("x-csrf", "1"), ("origin", own.as_str()), ("origin", "https://evil.example")], 403),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "cross-site")], 403),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "same-site")], 403),
        (vec![("x-csrf", "1"), ("origin", own.as_str()), ("sec-fetch-site", "same-origin")], 200),
    ] {
        let mut request = browser.request(Method::GET, &url);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        assert_eq!(browser.send(request).await.status(), status, "{headers:?}");
    }
    let logout = browser.request(Method::POST, &world.bff("/auth/logout"));
    assert_eq!(browser.send(logout).await.status(), 403);
    assert_eq!(browser.get(&world.bff("/auth/me")).await.status(), 200, "nothing was done");
    // Only configured routes, and no trick leaves them.
    for path in [
        "/api/",
        "/api/other",
        "/api/notesx",
        "/api/notes/%2e%2e/readyz",
        "/api/notes/..%2freadyz",
        "/api/notes//x",
        "/api/notes/%5c",
    ] {
        let status = browser.api(Method::GET, &format!("{own}{path}")).await.status();
        assert!(status == 400 || status == 404, "{path}: {status}");
    }
    // What speaks for the browser is said by the backend alone.
    let request = browser
        .request(Method::GET, &url)
        .header("x-csrf", "1")
        .header("authorization", "Bearer x");
    assert_eq!(browser.send(request).await.status(), 200);
    // A planted second cookie is not chosen from.
    let twice =
        format!("bff_session={}; bff_session=x", browser.cookies.lock().unwrap()["bff_session"]);
    let request = reqwest::Client::new().get(world.bff("/auth/me")).header("cookie", twice);
    assert_eq!(request.send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_calls_at_once_refresh_once() {
    let world = world(Duration::from_secs(6)).await;
    let browser = world.in_notes(0).await;
    for round in 1..=2 {
        let url = world.bff("/api/notes");
        for answer in join_all((0..50).map(|_| browser.api(Method::GET, &url))).await {
            assert_eq!(answer.status(), 200);
        }
        assert_eq!(world.generations().await[0].1, round, "one refresh in each life of a token");
        // Past four fifths of its life.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_ended_session_is_told_and_removed() {
    let world = world(Duration::from_secs(2)).await;
    let browser = world.in_notes(0).await;
    let family = world.generations().await[0].0;
    let caller = aa_server::domain::caller::Caller::operator();
    aa_server::ops::tokens::revoke::revoke_by_operator(&world.demo.authority(), family, &caller)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ended = browser.api(Method::GET, &world.bff("/api/notes")).await;
    assert_eq!(ended.status(), 401);
    assert!(ended.headers()["set-cookie"].to_str().unwrap().starts_with("bff_session=; "));
    assert_eq!(ended.json::<Value>().await.unwrap(), json!({ "error": "session_expired" }));
    assert!(!browser.cookies.lock().unwrap().contains_key("bff_session"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn signing_out_gives_the_refresh_token_back() {
    let world = world(HOUR).await;
    let browser = world.in_notes(0).await;
    let session = browser.cookies.lock().unwrap()["bff_session"].clone();
    assert_eq!(browser.api(Method::POST, &world.bff("/auth/logout")).await.status(), 200);
    assert!(world.generations().await.is_empty(), "the family has ended at the authority");
    browser.cookies.lock().unwrap().insert("bff_session".into(), session);
    assert_eq!(browser.get(&world.bff("/auth/me")).await.status(), 401, "and the session here");
    // Without a session it is no error.
    assert_eq!(Browser::new().api(Method::POST, &world.bff("/auth/logout")).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_tabs_can_sign_in_at_once_and_an_attempt_works_once() {
    let world = world(HOUR).await;
    let browser = Browser::new();
    browser.sign_in(&world.authority(), &USERS[0]).await;
    let mut callbacks = Vec::new();
    for _ in 0..5 {
        let begun = browser.get(&world.bff("/auth/login?return_to=/%23x")).await;
        let authorize = begun.headers()["location"].to_str().unwrap().to_owned();
        let answered = browser.get(&authorize).await;
        callbacks.push(answered.headers()["location"].to_str().unwrap().to_owned());
    }
    for callback in &callbacks {
        let finished = browser.get(callback).await;
        assert_eq!(
            (finished.status().as_u16(), finished.headers()["location"].to_str().unwrap()),
            (303, "/#x")
        );
    }
    // Repeated, mixed up, or of another browser: a friendly way on, and nothing is changed.
    let session = browser.cookies.lock().unwrap()["bff_session"].clone();
    let foreign = Browser::new();
    for (browser, url) in [
        (&browser, callbacks[4].clone()),
        (&foreign, callbacks[3].clone()),
        (&browser, world.bff("/auth/callback")),
        (&browser, world.bff("/auth/callback?code=x&state=y")),
        (&browser, world.bff("/auth/callback?error=access_denied&state=y")),
    ] {
        let answer = browser.get(&url).await;
        assert_eq!(answer.status(), 400, "{url}");
        assert!(answer.text().await.unwrap().contains("href=\"/auth/login\""));
    }
    assert_eq!(browser.cookies.lock().unwrap()["bff_session"], session);
    assert_eq!(world.generations().await.len(), 1);
    // An answer of another issuer is not taken (RFC 9207).
    let begun = browser.get(&world.bff("/auth/login?return_to=//evil.example")).await;
    let answered = browser.get(begun.headers()["location"].to_str().unwrap()).await;
    let callback = answered.headers()["location"].to_str().unwrap().to_owned();
    let mixed = callback.replace(
        &format!("iss={}", world.authority().replace(':', "%3A").replace('/', "%2F")),
        "iss=https%3A%2F%2Fevil.example",
    );
    assert_ne!(mixed, callback);
    assert_eq!(browser.get(&mixed).await.status(), 503);
    let finished = browser.get(&callback).await;
    assert_eq!(finished.headers()["location"], "/", "only local paths are led to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_stream_through_the_proxy_as_they_happen() {
    let world = world(HOUR).await;
    let (ann, ben) = (world.in_notes(0).await, world.in_notes(1).await);
    let answer = ann.api(Method::GET, &world.bff("/api/notes/stream")).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut stream = answer.bytes_stream();
    let mut next = async || {
        let chunk = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
        String::from_utf8(chunk.expect("at once").unwrap().unwrap().to_vec()).unwrap()
    };
    assert!(next().await.starts_with("event: ready"));
    for browser in [&ben, &ann] {
        let request = browser.request(Method::POST, &world.bff("/api/notes")).header("x-csrf", "1");
        let note: Value =
            browser.send(request.json(&json!({ "text": "x" }))).await.json().await.unwrap();
        if std::ptr::eq(browser, &raw const ann) {
            let event = next().await;
            assert!(
                event.starts_with("event: added") && event.contains(note["id"].as_str().unwrap()),
                "{event}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_has_the_headers() {
    let world = world(HOUR).await;
    let browser = world.in_notes(0).await;
    for place in [1, 2] {
        for path in [
            "/",
            "/app.js",
            "/nothing",
            "/auth/me",
            "/auth/login",
            "/auth/callback",
            "/api/notes",
            "/notes",
            "/livez",
            "/readyz",
            "/version",
        ] {
            let answer =
                browser.api(Method::GET, &format!("{}{path}", world.options.url(place))).await;
            let header = |name: &str| {
                answer
                    .headers()
                    .get(name)
                    .unwrap_or_else(|| panic!("{place} {path}: {name}"))
                    .to_str()
                    .unwrap()
            };
            assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
            assert!(!header("content-security-policy").contains("unsafe"), "{path}");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert!(["no-store", "no-cache"].contains(&header("cache-control")), "{path}");
            assert!(!header("x-request-id").is_empty());
        }
    }
    let page = browser.get(&world.bff("/")).await;
    let tag = page.headers()["etag"].to_str().unwrap().to_owned();
    let again = browser
        .send(browser.request(Method::GET, &world.bff("/")).header("if-none-match", tag))
        .await;
    assert_eq!(again.status(), 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_start_finds_everything_again() {
    let first = world(HOUR).await;
    let browser = first.in_notes(0).await;
    let options = first.options.clone();
    let World { demo, stop, folder: _folder, .. } = first;
    stop.stop();
    tokio::time::timeout(Duration::from_secs(30), demo.run_until_stopped())
        .await
        .expect("stops")
        .unwrap();
    let (_handle, stop) = service::run::Stop::pair();
    let _demo = demo::Demo::start(&options, &stop).await.unwrap();
    let me = browser.get(&format!("{}/auth/me", options.url(2))).await;
    assert_eq!(me.status(), 200);
    assert_eq!(
        browser.api(Method::GET, &format!("{}/api/notes", options.url(2))).await.status(),
        200
    );
    assert_eq!(browser.get(&format!("{}/apps", options.url(0))).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_app_that_has_to_push_its_requests_pushes_them() {
    let world = world(HOUR).await;
    let port = testing::free_ports(1);
    let url = format!("http://localhost:{port}");
    let mut shop = Shop::new(&world, &url);
    shop.registration.par = true;
    shop.settings.set("push_requests", "true");
    let _stop = shop.start(&[port]).await;
    let browser = Browser::new();
    browser.sign_in(&world.authority(), &USERS[0]).await;
    let begun = browser.get(&format!("{url}/auth/login")).await;
    let to = begun.headers()["location"].to_str().unwrap().to_owned();
    assert!(to.contains("request_uri=") && !to.contains("state="), "{to}");
    let (at, page) = browser.follow(&to, &url).await;
    assert_eq!((at, page.status().as_u16()), (format!("{url}/"), 200));
}
