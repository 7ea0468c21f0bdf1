//! Debian's nginx with the sample of docs/: it asks `/auth/verify` about each request to an app that knows nothing of
//! sign-in.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;

use crate::support::{Browser, Shop, world};

const SECRET: &str = "between nginx and the backend alone";

/// An app behind: it answers with the head of what it was sent.
pub fn app_behind() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = vec![0; 64 * 1024];
            let length = stream.read(&mut head).unwrap_or(0);
            let body = String::from_utf8_lossy(&head[..length]).into_owned();
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers go with it when it is asked, not when it is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn nginx(program: &std::path::Path, folder: &std::path::Path, ports: [u16; 3]) -> Nginx {
    let [listen, bff, app] = ports.map(|port| port.to_string());
    let sample = include_str!("../../../../docs/samples/nginx-forward-auth.conf")
        .replace("127.0.0.1:8090", &format!("127.0.0.1:{listen}"))
        .replace("127.0.0.1:8082", &format!("127.0.0.1:{bff}"))
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{app}"));
    std::fs::write(folder.join("sample.conf"), sample).unwrap();
    let secret = format!("proxy_set_header X-Verify-Secret \"{SECRET}\";\n");
    std::fs::write(folder.join("verify-secret.conf"), secret).unwrap();
    let here = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {here}/{kind};"))
        .concat();
    let whole = format!(
        "daemon off; pid {here}/pid; error_log stderr; worker_processes 1; events {{}}
         http {{ access_log off; {temporary} include {here}/sample.conf; }}"
    );
    std::fs::write(folder.join("nginx.conf"), whole).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    Nginx(command.stderr(Stdio::null()).spawn().expect("nginx starts"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nginx_lets_signed_in_people_through() {
    let Some(program) = testing::find_program("nginx") else {
        assert!(!testing::is_ci(), "nginx is needed (Debian: nginx-light)");
        eprintln!("SKIPPED: no nginx; on Debian: apt install nginx-light");
        return;
    };
    let world = world(Duration::from_hours(1)).await;
    let ports = testing::free_ports(2);
    let url = format!("http://localhost:{ports}");
    let mut shop = Shop::new(&world, &url);
    shop.settings.set("verify_secret", SECRET);
    shop.settings.set("email_trust", "always");
    let _handle = shop.start(&[ports + 1]).await;
    let folder = tempfile::tempdir().unwrap();
    let _nginx = nginx(&program, folder.path(), [ports, ports + 1, app_behind()]);
    for _ in 0..100 {
        if reqwest::get(&url).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Signed out: a page leads to sign-in and back to where the user was going; a script's call is refused.
    let browser = Browser::new();
    let page = browser.get(&format!("{url}/orders?a=1&b=2")).await;
    assert_eq!(page.status(), 303);
    let login = page.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(login, format!("{url}/auth/login?return_to=%2Forders%3Fa%3D1%26b%3D2"));
    let call = browser.request(Method::GET, &url).header("sec-fetch-mode", "cors");
    assert_eq!(browser.send(call).await.status(), 401);
    assert_eq!(browser.send(browser.request(Method::POST, &url)).await.status(), 401);

    browser.sign_in(&world.authority(), &demo::USERS[0]).await;
    let (at, page) = browser.follow(&login, &url).await;
    assert_eq!(
        (at.as_str(), page.status().as_u16()),
        (format!("{url}/orders?a=1&b=2").as_str(), 200)
    );
    // The app behind learns who it is from nginx alone, gets a token, and never the cookie.
    let forged = browser
        .request(Method::GET, &format!("{url}/orders"))
        .header("x-auth-subject", "another user")
        .header("authorization", "Bearer mine");
    let head = browser.send(forged).await.text().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /orders http/1.1"), "{head}");
    assert!(head.contains("x-auth-email: ann@example.com") && !head.contains("another user"));
    assert!(head.contains("authorization: bearer ey") && !head.contains("mine"));
    assert!(!head.contains("bff_session") && !head.contains("cookie"), "{head}");
    // A form of another site's is refused, and only nginx can ask.
    let form = browser.request(Method::POST, &url).header("origin", "https://evil.example");
    assert_eq!(browser.send(form).await.status(), 403);
    assert_eq!(browser.get(&format!("{url}/auth/verify")).await.status(), 404);
    assert_eq!(browser.get(&format!("{url}/_verify")).await.status(), 404);
    // Signed out is signed out.
    assert_eq!(browser.api(Method::POST, &format!("{url}/auth/logout")).await.status(), 200);
    assert_eq!(browser.get(&url).await.status(), 303);
}
