//! The proxy of the backend for frontend, in front of an API that does what APIs do, good and bad.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aa_server::domain::client::ClientMetadata;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use microapp_bff::Routes;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use service::run::StopHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Browser, Shop, World, world};

/// An API, and what it has seen.
#[derive(Clone, Default)]
struct Api {
    received: Arc<AtomicU64>,
    is_streaming: Arc<AtomicBool>,
}

impl Api {
    /// Starts it, and answers its port.
    fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let api = self.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(api.clone()))
                .route("/v1/echo", web::to(echo))
                .route("/v1/answer", web::get().to(answer))
                .route("/v1/sink", web::post().to(sink))
                .route("/v1/source/{count}", web::get().to(source))
                .route("/v1/endless", web::get().to(endless))
                .route("/v1/never", web::get().to(never))
                .route("/v1/moved", web::get().to(moved))
                .route("/v1/socket", web::get().to(socket))
        });
        tokio::spawn(server.workers(2).disable_signals().listen(listener).unwrap().run());
        port
    }
}

/// What arrived, as JSON; and answers that a proxy must not pass on.
async fn echo(request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()]))
        .collect();
    HttpResponse::Ok()
        .insert_header(("set-cookie", "bff_session=planted"))
        .insert_header(("access-control-allow-origin", "*"))
        .insert_header(("etag", "\"1\""))
        .json(json!({ "uri": request.uri().to_string(), "method": request.method().as_str(),
            "headers": headers, "body": String::from_utf8_lossy(&body) }))
}

/// An answer with the headers that the query names.
async fn answer(query: web::Query<Vec<(String, String)>>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for (name, value) in query.into_inner() {
        response.append_header((name, value));
    }
    response.body("answer")
}

async fn sink(api: web::Data<Api>, mut payload: web::Payload) -> HttpResponse {
    while let Some(Ok(chunk)) = payload.next().await {
        api.received.fetch_add(chunk.len() as u64, Ordering::SeqCst);
    }
    HttpResponse::Ok().json(api.received.load(Ordering::SeqCst))
}

const CHUNK: usize = 64 * 1024;

fn chunks(count: u64) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    stream::iter((0..count).map(move |_| Ok(chunk.clone())))
}

async fn source(count: web::Path<u64>) -> HttpResponse {
    HttpResponse::Ok().streaming(chunks(*count))
}

/// A flag that is cleared when the client stops reading.
struct Reading(Arc<AtomicBool>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

async fn endless(api: web::Data<Api>) -> HttpResponse {
    api.is_streaming.store(true, Ordering::SeqCst);
    let reading = Reading(Arc::clone(&api.is_streaming));
    let ticks = stream::unfold(reading, |reading| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"data: tick\n\n")), reading))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(ticks)
}

async fn never() -> HttpResponse {
    std::future::pending().await
}

async fn moved() -> HttpResponse {
    HttpResponse::Found().insert_header(("location", "https://evil.example/")).finish()
}

async fn socket(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    let token = request.headers().contains_key("authorization");
    actix_web::rt::spawn(async move {
        let _ = session.text(format!("hello, token: {token}")).await;
        while let Some(Ok(message)) = messages.next().await {
            match message {
                actix_ws::Message::Text(text) => drop(session.text(text).await),
                actix_ws::Message::Close(_) => break,
                _ => {}
            }
        }
        let _ = session.close(None).await;
    });
    Ok(response)
}

const VERIFY_SECRET: &str = "between the proxy and the backend alone";

/// A BFF of its own in front of the API.
pub struct Proxy {
    pub world: World,
    api: Api,
    pub url: String,
    /// A second replica.
    pub replica: String,
    pub browser: Browser,
    _stop: StopHandle,
}

impl Proxy {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A proxy with further settings.
    pub async fn with(settings: &[(&'static str, &str)]) -> Self {
        Self::with_registration(settings, |_, _| ()).await
    }

    /// A proxy whose tokens live for so long.
    pub async fn with_token_life(life: Duration) -> Self {
        let change = |_: &str, app: &mut ClientMetadata| app.lifetimes.at_ttl = Some(life);
        Self::with_registration(&[], change).await
    }

    /// A proxy at a URL, with further settings, whose registration was changed.
    pub async fn with_registration(
        settings: &[(&'static str, &str)],
        change: impl FnOnce(&str, &mut ClientMetadata),
    ) -> Self {
        let world = world(Duration::from_hours(1)).await;
        let api = Api::default();
        let upstream = api.start();
        let port = testing::free_ports(2);
        let url = format!("http://localhost:{port}");
        let replica = format!("http://localhost:{}", port + 1);
        let mut shop = Shop::new(&world, &url);
        change(&url, &mut shop.registration);
        shop.registration.audiences = vec!["notes".to_owned(), "orders".to_owned()];
        let scopes = ["openid", "email", "offline_access", "orders:read", "orders:write"];
        shop.registration.scopes = scopes.map(str::to_owned).to_vec();
        shop.settings.set("scopes", scopes.join(" "));
        shop.settings.set("verify_secret", VERIFY_SECRET);
        for (name, value) in settings {
            shop.settings.set(name, *value);
        }
        let routes = Routes::parse(&format!(
            "[[route]]\nprefix = '/api/shop'\nupstream = 'http://127.0.0.1:{upstream}/v1'
             forward_headers = ['X-Tenant']\n
             [[route]]\nprefix = '/api/orders'\nupstream = 'http://127.0.0.1:{upstream}/v1'\naudience = 'orders'
             scopes = ['orders:read']\nmethods = ['GET']\ntimeout = '300ms'\n
             [[route]]\nprefix = '/api/gone'\nupstream = 'http://127.0.0.1:1'"
        ));
        shop.routes = Some(routes.unwrap());
        let handle = shop.start(&[port, port + 1]).await;
        let browser = world.ann_at(&url).await;
        Self { world, api, url, replica, browser, _stop: handle }
    }

    /// Whether the API's endless stream has a reader.
    pub fn is_streaming(&self) -> bool {
        self.api.is_streaming.load(Ordering::SeqCst)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.browser.request(method, &format!("{}{path}", self.url)).header("x-csrf", "1")
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.request(Method::GET, path).send().await.unwrap()
    }
}

pub fn header<'v>(echoed: &'v Value, name: &str) -> Option<&'v str> {
    let headers = echoed["headers"].as_array().unwrap();
    headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap())
}

fn claims(echoed: &Value) -> Value {
    let token = header(echoed, "authorization").unwrap().strip_prefix("Bearer ").unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_route_has_its_own_token_methods_and_patience() {
    let proxy = Proxy::start().await;
    let shop: Value = proxy.get("/api/shop/echo?a=%20b").await.json().await.unwrap();
    assert_eq!(shop["uri"], "/v1/echo?a=%20b");
    assert_eq!(claims(&shop)["aud"], "notes");
    let orders: Value = proxy.get("/api/orders/echo").await.json().await.unwrap();
    let orders = claims(&orders);
    assert_eq!((&orders["aud"], &orders["scope"]), (&json!("orders"), &json!("orders:read")));
    let families = proxy.world.generations().await;
    assert_eq!(families[0].1, 2, "the second token cost one refresh");
    proxy.get("/api/orders/echo").await;
    assert_eq!(proxy.world.generations().await, families, "and is kept");
    let wrong = proxy.request(Method::POST, "/api/orders/echo").send().await.unwrap();
    assert_eq!(
        (wrong.status().as_u16(), &wrong.headers()["allow"]),
        (405, &"GET".parse().unwrap())
    );
    for (path, status) in [
        ("/api/orders/never", 504),
        ("/api/gone/x", 502),
        ("/api/shop/moved", 502),
        ("/api/nothing", 404),
    ] {
        let answer = proxy.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert!(answer.headers().get("location").is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_speaks_for_the_browser_is_said_by_the_backend_alone() {
    let proxy = Proxy::start().await;
    let request = proxy
        .request(Method::POST, "/api/shop/echo")
        .header("authorization", "Bearer mine")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-host", "evil.example")
        .header("x_forwarded_for", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6")
        .header("x-real-ip", "6.6.6.6")
        .header("connection", "x-drop")
        .header("x-drop", "1")
        .header("if-match", "\"1\"")
        .body("body");
    let answer = request.send().await.unwrap();
    for name in ["set-cookie", "access-control-allow-origin"] {
        assert!(answer.headers().get(name).is_none(), "{name}");
    }
    assert_eq!(answer.headers()["etag"], "\"1\"");
    let echoed: Value = answer.json().await.unwrap();
    assert_eq!(echoed["body"], "body");
    assert_eq!(header(&echoed, "if-match"), Some("\"1\""));
    assert!(header(&echoed, "authorization").unwrap().starts_with("Bearer ey"));
    let passed: Vec<&str> = echoed["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair[0].as_str().unwrap())
        .collect();
    for name in [
        "cookie",
        "x-forwarded-for",
        "x-forwarded-host",
        "x_forwarded_for",
        "forwarded",
        "x-real-ip",
        "x-drop",
        "x-csrf",
    ] {
        assert!(!passed.contains(&name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_the_browser_goes_away_so_does_the_call() {
    let proxy = Proxy::start().await;
    let mut stream = proxy.get("/api/shop/endless").await.bytes_stream();
    let first = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
    assert!(first.expect("at once").is_some() && proxy.api.is_streaming.load(Ordering::SeqCst));
    drop(stream);
    for _ in 0..100 {
        if !proxy.api.is_streaming.load(Ordering::SeqCst) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the API still streams to no client");
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gigabyte_goes_up_and_one_comes_down_in_little_memory() {
    const GIGABYTE: u64 = 1024 * 1024 * 1024;
    const COUNT: u64 = GIGABYTE / CHUNK as u64;
    /// Everything is in this process: the browser, the proxy, the API.
    const MOST: u64 = 32 * 1024 * 1024;
    const NAME: &str = "proxy::a_gigabyte_goes_up_and_one_comes_down_in_little_memory";
    if std::env::var_os("ALONE").is_none() {
        // Other tests would be measured along with it: it runs in a process of its own.
        let mut alone = tokio::process::Command::new(std::env::current_exe().unwrap());
        let alone = alone.args(["--exact", NAME, "--nocapture"]).env("ALONE", "1").output().await;
        let alone = alone.unwrap();
        let said = String::from_utf8_lossy(&alone.stderr);
        assert!(alone.status.success() && said.contains("KiB more memory at most"), "{said}");
        return;
    }
    let proxy = Proxy::start().await;
    let before = resident();
    let watching = tokio::spawn(async move {
        let mut most = 0;
        loop {
            most = resident().max(most);
            PEAK.store(most, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    static PEAK: AtomicU64 = AtomicU64::new(0);
    let body = reqwest::Body::wrap_stream(chunks(COUNT));
    let up = proxy.request(Method::POST, "/api/shop/sink").body(body).send().await.unwrap();
    assert_eq!(up.json::<u64>().await.unwrap(), GIGABYTE);
    let mut down = proxy.get(&format!("/api/shop/source/{COUNT}")).await.bytes_stream();
    let mut count = 0;
    while let Some(chunk) = down.next().await {
        count += chunk.unwrap().len() as u64;
    }
    assert_eq!(count, GIGABYTE);
    watching.abort();
    let grown = PEAK.load(Ordering::SeqCst).saturating_sub(before);
    eprintln!("1 GiB up and 1 GiB down: {} KiB more memory at most", grown / 1024);
    assert!(grown < MOST, "{grown} bytes");
}

/// A text frame of a client (RFC 6455 §5.2), masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

pub async fn open_socket(proxy: &Proxy, origin: Option<&str>) -> (TcpStream, String) {
    let address = proxy.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address.replace("localhost", "127.0.0.1")).await.unwrap();
    let session = proxy.browser.cookie("bff_session").unwrap();
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    let head = format!(
        "GET /api/shop/socket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\
         Cookie: bff_session={session}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        answer.push(char::from(socket.read_u8().await.unwrap()));
    }
    (socket, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn websockets_pass_through_for_our_own_pages() {
    let proxy = Proxy::start().await;
    for origin in [None, Some("https://evil.example"), Some("null")] {
        let (_, answer) = open_socket(&proxy, origin).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{origin:?}: {answer}");
    }
    let (mut socket, answer) = open_socket(&proxy, Some(&proxy.url)).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    // The accept value of RFC 6455 §1.3.
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    let mut next = async || {
        let within = Duration::from_secs(5);
        let mut head = [0; 2];
        tokio::time::timeout(within, socket.read_exact(&mut head)).await.unwrap().unwrap();
        let mut text = vec![0; usize::from(head[1])];
        socket.read_exact(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        socket.write_all(&frame("and back")).await.unwrap();
        text
    };
    assert_eq!(next().await, "hello, token: true");
    assert_eq!(next().await, "and back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_proxy_may_ask_who_it_is_and_only_who_knows_the_secret_gets_a_token() {
    let proxy = Proxy::start().await;
    let ask = |headers: &[(&str, &str)]| {
        let mut request = proxy.browser.request(Method::GET, &format!("{}/auth/verify", proxy.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send()
    };
    let known = ask(&[]).await.unwrap();
    assert_eq!((known.status().as_u16(), known.headers()["x-auth-subject"].len()), (200, 36));
    assert!(known.headers().get("authorization").is_none());
    let wrong = ask(&[("x-verify-secret", &VERIFY_SECRET.to_uppercase())]).await.unwrap();
    assert!(wrong.headers().get("authorization").is_none());
    let trusted = ask(&[("x-verify-secret", VERIFY_SECRET)]).await.unwrap();
    assert!(trusted.headers()["authorization"].to_str().unwrap().starts_with("Bearer ey"));
    // A visit from elsewhere is one; a script or a form from elsewhere is refused.
    let visit = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(ask(&visit).await.unwrap().status(), 200);
    for headers in [
        vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")],
        vec![
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "navigate"),
            ("x-forwarded-method", "POST"),
        ],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null"), ("x-original-method", "POST")],
    ] {
        assert_eq!(ask(&headers).await.unwrap().status(), 403, "{headers:?}");
    }
    // Signed out: 401 with the way to sign in, or that way itself.
    let signed_out = Browser::new();
    let url = format!("{}/auth/verify", proxy.url);
    let refused = signed_out
        .send(signed_out.request(Method::GET, &url).header("x-original-uri", "/a?b=c"))
        .await;
    let login = format!("{}/auth/login?return_to=%2Fa%3Fb%3Dc", proxy.url);
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["x-auth-login"].to_str().unwrap()),
        (401, login.as_str())
    );
    let sent = signed_out
        .send(
            signed_out
                .request(Method::GET, &format!("{url}?login=redirect"))
                .header("x-forwarded-uri", "/a?b=c"),
        )
        .await;
    assert_eq!(
        (sent.status().as_u16(), sent.headers()["location"].to_str().unwrap()),
        (303, login.as_str())
    );
    let posted = signed_out
        .request(Method::GET, &format!("{url}?login=redirect"))
        .header("x-forwarded-method", "POST");
    assert_eq!(signed_out.send(posted).await.status(), 401, "a form cannot be sent there and back");
}
