//! Headless Chromium, driven by chromedriver.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::prelude::*;

/// The time that a page has to show an expected state.
const PAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// Drivers that a test process may have at a time. More browsers than cores make each other late.
const MAX_DRIVERS: u32 = 2;

static DRIVERS: Mutex<u32> = Mutex::new(0);
static DRIVER_ENDED: Condvar = Condvar::new();

/// A chromedriver process, ended when dropped.
pub struct Driver {
    process: Child,
    port: u16,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        *DRIVERS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        DRIVER_ENDED.notify_one();
    }
}

/// Starts a chromedriver; `None` when it is not installed. Waits while [`MAX_DRIVERS`] run: a test must not ask for a second one.
///
/// # Panics
/// When it is not installed and `CI=true`.
pub fn driver() -> Option<Driver> {
    let drivers = DRIVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut drivers = DRIVER_ENDED
        .wait_while(drivers, |running| *running >= MAX_DRIVERS)
        .unwrap_or_else(PoisonError::into_inner);
    let port = crate::free_ports(1);
    let started = Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(process) => {
            *drivers += 1;
            Some(Driver { process, port })
        }
        Err(error) => {
            assert!(!crate::is_ci(), "chromedriver is needed (Debian: chromium-driver): {error}");
            eprintln!("SKIPPED: no chromedriver ({error}); on Debian: apt install chromium-driver");
            None
        }
    }
}

/// Opens a browser with a new profile that accepts self-signed certificates.
///
/// # Errors
/// When the driver fails.
pub async fn browser(
    driver: &Driver,
    profile: PathBuf,
    authority: &str,
) -> WebDriverResult<WebDriver> {
    let mut caps = DesiredCapabilities::chrome();
    for arg in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1000,900",
    ] {
        caps.add_arg(arg)?;
    }
    caps.accept_insecure_certs(true)?;
    caps.add_arg(&format!("--user-data-dir={}", profile.display()))?;
    let mut exceptions = serde_json::Map::new();
    exceptions.insert(format!("{authority},*"), json!({ "setting": 2 }));
    caps.add_experimental_option(
        "prefs",
        json!({ "profile": { "content_settings": { "exceptions": { "javascript": exceptions } } } }),
    )?;
    let url = format!("http://127.0.0.1:{}", driver.port);
    let mut left = 50;
    loop {
        match WebDriver::new(&url, caps.clone()).await {
            Ok(browser) => return Ok(browser),
            Err(error) if left == 0 => return Err(error),
            Err(_) => {
                left -= 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Waits for a visible element.
///
/// # Errors
/// When it does not appear in time.
pub async fn find(browser: &WebDriver, css: &str) -> WebDriverResult<WebElement> {
    browser
        .query(By::Css(css))
        .wait(PAGE_TIMEOUT, Duration::from_millis(50))
        .and_displayed()
        .first()
        .await
}

/// Waits until the page's address has this prefix.
///
/// # Errors
/// When the driver fails.
///
/// # Panics
/// When the time runs out.
pub async fn at(browser: &WebDriver, prefix: &str) -> WebDriverResult<()> {
    let mut left = PAGE_TIMEOUT.as_millis() / 50;
    while !browser.current_url().await?.as_str().starts_with(prefix) {
        left -= 1;
        assert!(left > 0, "expected {prefix}, am at {}", browser.current_url().await?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Waits until an element's text contains this part; returns the text.
///
/// # Errors
/// When the driver fails.
///
/// # Panics
/// When the time runs out.
pub async fn shows(browser: &WebDriver, css: &str, part: &str) -> WebDriverResult<String> {
    let mut seen = None;
    for _ in 0..PAGE_TIMEOUT.as_millis() / 50 {
        if let Ok(element) = browser.find(By::Css(css)).await
            && let Ok(text) = element.text().await
        {
            if text.contains(part) {
                return Ok(text);
            }
            seen = Some(text);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = browser.current_url().await?;
    panic!("`{part}` does not appear in {css} at {url}, but {seen:?}");
}

/// Fills in the authority's sign-in page.
///
/// # Errors
/// When the driver fails.
pub async fn sign_in(browser: &WebDriver, email: &str, password: &str) -> WebDriverResult<()> {
    let field = find(browser, "#email").await?;
    field.clear().await?;
    field.send_keys(email).await?;
    find(browser, "#password").await?.send_keys(password).await?;
    find(browser, "main button[type=submit]").await?.click().await
}

/// Saves a screenshot if the environment variable `SCREENSHOTS` names a folder.
///
/// # Errors
/// When the driver fails.
pub async fn screenshot(browser: &WebDriver, name: &str) -> WebDriverResult<()> {
    if let Some(folder) = std::env::var_os("SCREENSHOTS") {
        browser.screenshot(&PathBuf::from(folder).join(format!("{name}.png"))).await?;
    }
    Ok(())
}

/// Runs the body of an async function in the page; returns its result.
///
/// # Errors
/// When the driver fails.
///
/// # Panics
/// When the function throws.
pub async fn run(browser: &WebDriver, body: &str) -> WebDriverResult<Value> {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         (async () => {{ {body} }})().then((value) => done({{ value }}), (error) => done({{ error: String(error) }}))"
    );
    let outcome = browser.execute_async(script, vec![]).await?;
    let outcome = outcome.json();
    assert!(outcome.get("error").is_none(), "{}", outcome["error"]);
    Ok(outcome.get("value").cloned().unwrap_or_default())
}

impl Driver {
    /// Runs a command of Chrome's debugging protocol in the current tab; returns its result.
    ///
    /// # Panics
    /// When the driver refuses.
    pub async fn command(&self, browser: &WebDriver, name: &str, params: Value) -> Value {
        let session = browser.handle().session_id().to_string();
        let url = format!("http://127.0.0.1:{}/session/{session}/goog/cdp/execute", self.port);
        let command = json!({ "cmd": name, "params": params });
        let answer = reqwest::Client::new().post(&url).json(&command).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{name}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["value"].clone()
    }

    /// Disconnects or reconnects the network of the current tab.
    ///
    /// # Panics
    /// When the driver refuses.
    pub async fn cut(&self, browser: &WebDriver, offline: bool) {
        let params = json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.command(browser, "Network.enable", json!({})).await;
        self.command(browser, "Network.emulateNetworkConditions", params).await;
    }

    /// Gives the browser an authenticator that keeps passkeys and verifies its user; returns its id.
    pub async fn add_authenticator(&self, browser: &WebDriver) -> String {
        let options = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
            "automaticPresenceSimulation": true,
        });
        self.command(browser, "WebAuthn.enable", json!({})).await;
        let made = self
            .command(browser, "WebAuthn.addVirtualAuthenticator", json!({ "options": options }))
            .await;
        made["authenticatorId"].as_str().unwrap().to_owned()
    }
}
