//! How long the authority takes for a page: one request after the other on one connection, on an embedded database.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use aa_server::config::{Config, PREFIX, SETTINGS};
use aa_server::domain::caller::Caller;
use aa_server::ops::account::NewAccount;
use aa_server::ops::users;
use aa_server::{Application, application};
use foundation::random::SystemRandom;
use service::run::{Failure, Stop, install_crypto};
use service::settings::Settings;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "tangerine lamp 4";
/// Requests for each page, after a hundred that are not counted.
const REQUESTS: usize = 2_000;

#[tokio::main]
async fn main() -> ExitCode {
    service::run::to_exit(Box::pin(run())).await
}

async fn run() -> Result<(), Failure> {
    install_crypto();
    let folder = tempfile::tempdir()?;
    let port = testing::free_ports(1);
    let url = format!("http://localhost:{port}");
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("listen", format!("127.0.0.1:{port}"));
    settings.set("public_url", &url);
    settings.set("data_dir", folder.path().display().to_string());
    let config = Config::read(&settings, None, Some(&SystemRandom))?;
    let (_handle, stop) = Stop::pair();
    let authority = application::open_with_system(config, stop).await?;
    let account = NewAccount {
        email: EMAIL.to_owned(),
        name: "Ann".to_owned(),
        password: PASSWORD.into(),
        admin: false,
        email_verified: false,
    };
    users::add(&authority, account, &Caller::operator()).await?;
    tokio::spawn(Application::build(authority)?.run_until_stopped());

    let browser = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    println!("{:<20} {:>10} {:>10} {:>10}", "page", "p50", "p99", "bytes");
    show(&browser, &url, "/login").await?;
    show(&browser, &url, "/password/forgot").await?;
    sign_in(&browser, &url).await?;
    for page in ["/apps", "/sessions", "/account", "/account/security", "/account/activity"] {
        show(&browser, &url, page).await?;
    }
    Ok(())
}

async fn sign_in(browser: &reqwest::Client, url: &str) -> Result<(), Failure> {
    let page = browser.get(format!("{url}/login")).send().await?.text().await?;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = [("csrf", csrf.unwrap_or_default()), ("email", EMAIL), ("password", PASSWORD)];
    let answer = browser.post(format!("{url}/login")).form(&form).send().await?;
    if answer.status() == 303 { Ok(()) } else { Err("could not sign in".into()) }
}

async fn show(browser: &reqwest::Client, url: &str, page: &str) -> Result<(), Failure> {
    let mut times = Vec::with_capacity(REQUESTS);
    let mut bytes = 0;
    for round in 0..REQUESTS + 100 {
        let began = Instant::now();
        let answer = browser.get(format!("{url}{page}")).send().await?;
        if !answer.status().is_success() {
            return Err(format!("{page}: {}", answer.status()).into());
        }
        bytes = answer.bytes().await?.len();
        if round >= 100 {
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100];
    println!("{page:<20} {:>10} {:>10} {bytes:>10}", shown(at(50)), shown(at(99)));
    Ok(())
}

fn shown(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}
