//! A native app that listens on a loopback port, in Debian's chromium, with JavaScript off.

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::ops::clients;
use demo::USERS;
use service::run::Failure;
use testing::chromium::{at, browser, driver, find, screenshot, sign_in};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::world;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The last page of a native app.
async fn answer_forever(listener: TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let mut head = vec![0; 8192];
        let _ = socket.read(&mut head).await;
        let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 12\r\nconnection: close\r\n\r\nYou are in.\n";
        let _ = socket.write_all(page.as_bytes()).await;
    }
}

#[actix_web::test]
async fn a_native_app_is_continued_to_and_remembered() -> Result<(), Failure> {
    let Some(driver) = driver() else { return Ok(()) };
    let world = world(Duration::from_mins(5)).await;
    let authority = world.options.url(0);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let callback = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    tokio::spawn(answer_forever(listener));
    let mut client = ClientMetadata::named("desk", "Desk", ClientType::Public);
    // Registered without the port, which is another one at each start.
    client.redirect_uris = vec!["http://127.0.0.1/callback".to_owned()];
    clients::add(&world.demo.authority(), &client, &Caller::operator()).await?;
    let link = format!(
        "{authority}/oauth/authorize?response_type=code&client_id=desk&state=x&scope=openid+offline_access\
         &redirect_uri={}&code_challenge={CHALLENGE}&code_challenge_method=S256",
        callback.replace(':', "%3A").replace('/', "%2F")
    );

    let profile = tempfile::tempdir()?;
    let web = browser(&driver, profile.path().to_owned(), &authority).await?;
    let done = async {
        web.goto(&link).await?;
        sign_in(&web, USERS[0].email, USERS[0].password).await?;
        at(&web, &format!("{authority}/continue")).await?;
        assert_eq!(find(&web, "h1").await?.text().await?, "Continue to Desk?");
        screenshot(&web, "continue").await?;
        find(&web, "#cancel").await?.click().await?;
        at(&web, &callback).await?;
        assert!(web.current_url().await?.as_str().contains("error=access_denied"));

        web.goto(&link).await?;
        find(&web, "#continue").await?.click().await?;
        at(&web, &callback).await?;
        let url = web.current_url().await?;
        let code = url.query_pairs().find(|(name, _)| name == "code").map(|(_, value)| value);
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "desk"),
            ("redirect_uri", &callback),
            ("code_verifier", VERIFIER),
            ("code", code.as_deref().unwrap_or_default()),
        ];
        let redeemed = reqwest::Client::new().post(format!("{authority}/oauth/token")).form(&form);
        assert!(redeemed.send().await.is_ok_and(|answer| answer.status().is_success()));

        // Open in this browser now: no question, and after a sign-in straight on to the app.
        web.goto(&link).await?;
        at(&web, &callback).await?;
        web.goto(format!("{link}&prompt=login")).await?;
        at(&web, &format!("{authority}/login")).await?;
        sign_in(&web, USERS[0].email, USERS[0].password).await?;
        at(&web, &callback).await
    };
    let done = done.await;
    web.quit().await?;
    Ok(done?)
}
