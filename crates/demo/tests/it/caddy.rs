//! Caddy with the sample of docs/, where a caddy can be had: what a browser claims to be does not reach the app behind.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;

use crate::nginx::app_behind;
use crate::support::{Browser, Shop, world};

const SECRET: &str = "between Caddy and the backend, alone";

struct Caddy(Child);

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn caddy(program: &std::path::Path, folder: &std::path::Path, ports: [u16; 3]) -> Caddy {
    let [listen, bff, app] = ports.map(|port| port.to_string());
    let sample = include_str!("../../../../docs/samples/Caddyfile")
        .replace("shop.example {", &format!("http://:{listen} {{"))
        .replace("127.0.0.1:8082", &format!("127.0.0.1:{bff}"))
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{app}"));
    let file = folder.join("Caddyfile");
    std::fs::write(&file, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{sample}")).unwrap();
    let mut command = Command::new(program);
    command.arg("run").arg("--adapter").arg("caddyfile").arg("--config").arg(file);
    command.env("VERIFY_SECRET", SECRET).env("HOME", folder).env("XDG_DATA_HOME", folder);
    command.env("XDG_CONFIG_HOME", folder);
    Caddy(command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("caddy starts"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn caddy_lets_signed_in_people_through_and_nobody_pass_for_another() {
    let Some(program) = testing::find_program("caddy") else {
        eprintln!("SKIPPED: no caddy; on Debian: apt install caddy");
        return;
    };
    let world = world(Duration::from_hours(1)).await;
    let ports = testing::free_ports(2);
    let url = format!("http://localhost:{ports}");
    let mut shop = Shop::new(&world, &url);
    shop.settings.set("verify_secret", SECRET);
    let _handle = shop.start(&[ports + 1]).await;
    let folder = tempfile::tempdir().unwrap();
    let _caddy = caddy(&program, folder.path(), [ports, ports + 1, app_behind()]);
    for _ in 0..200 {
        if reqwest::get(&url).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Signed out: a page leads to sign-in and back, and a script's call is refused.
    let browser = Browser::new();
    let page = browser.get(&format!("{url}/orders?a=1&b=2")).await;
    assert_eq!(page.status(), 303);
    let login = page.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(login, format!("{url}/auth/login?return_to=%2Forders%3Fa%3D1%26b%3D2"));
    let call = browser.request(Method::GET, &url).header("sec-fetch-mode", "cors");
    assert_eq!(browser.send(call).await.status(), 401);
    browser.sign_in(&world.authority(), &demo::USERS[0]).await;
    let (at, page) = browser.follow(&login, &url).await;
    assert_eq!(
        (at.as_str(), page.status().as_u16()),
        (format!("{url}/orders?a=1&b=2").as_str(), 200)
    );
    // The app behind learns who it is from Caddy alone. Ann's address is not verified: none is told, and hers least of
    // all (GHSA-7r4p-vjf4-gxv4).
    let forged = browser
        .request(Method::GET, &format!("{url}/orders"))
        .header("x-auth-subject", "another user")
        .header("x-auth-email", "boss@example.com")
        .header("authorization", "Bearer mine");
    let head = browser.send(forged).await.text().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /orders http/1.1"), "{head}");
    assert!(head.contains("x-auth-subject: ") && !head.contains("another user"), "{head}");
    assert!(!head.contains("x-auth-email") && !head.contains("boss"), "{head}");
    assert!(head.contains("authorization: bearer ey") && !head.contains("mine"), "{head}");
    assert!(!head.contains("bff_session") && !head.contains("cookie"), "{head}");
    assert_eq!(browser.get(&format!("{url}/auth/verify")).await.status(), 404);
    assert_eq!(browser.api(Method::POST, &format!("{url}/auth/logout")).await.status(), 200);
    assert_eq!(browser.get(&url).await.status(), 303);
}
