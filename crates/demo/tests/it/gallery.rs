//! Every page of the authority in every state: accessible (axe-core), light, still. With `GALLERY=folder` (`just screenshots`)
//! each is also photographed in both themes, at three widths and in three languages, on one sheet.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::ops::clients;
use demo::USERS;
use serde_json::{Value, json};
use service::run::Failure;
use testing::chromium::{Driver, browser, driver, find, run};
use thirtyfour::prelude::*;

use crate::support::{World, world_with_dpop};

const THEMES: [&str; 2] = ["light", "dark"];
const WIDTHS: [u32; 3] = [320, 768, 1440];
const LANGUAGES: [&str; 3] = ["en", "de", "fr"];
/// The largest page, with everything that it loads, in bytes as they travel.
const MAX_BYTES: u64 = 40 * 1024;

/// A step on the way to a state.
#[derive(Debug, Clone)]
enum Step {
    Go(String),
    Fill(&'static str, &'static str),
    Press(&'static str),
    SignIn,
    Forget,
}

use Step::{Fill, Forget, Go, Press, SignIn};

/// Every state, and the way to it.
fn states(world: &World, user_code: &str) -> Vec<(&'static str, Vec<Step>)> {
    let authority = world.authority();
    let go = |path: &str| Go(format!("{authority}{path}"));
    let submit = Press("main form button[type=submit]");
    let authorize = |client: &str, more: &str| {
        go(&format!(
            "/oauth/authorize?response_type=code&client_id={client}&scope=openid&state=x{more}\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        ))
    };
    let callback = "&redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fcallback";
    let native = "&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback";
    vec![
        ("login", vec![Forget, go("/login")]),
        ("login-to-app", vec![authorize("strict", callback)]),
        (
            "login-wrong",
            vec![
                go("/login"),
                Fill("#email", "ann@example.com"),
                Fill("#password", "wrong"),
                submit.clone(),
            ],
        ),
        ("signed-out", vec![go("/login?done=signed-out")]),
        ("register", vec![go("/register")]),
        (
            "register-wrong",
            vec![go("/register"), Fill("#email", "ann@example,com"), submit.clone()],
        ),
        ("register-sent", vec![go("/register"), Fill("#email", "new@example.com"), submit.clone()]),
        ("forgot", vec![go("/password/forgot")]),
        (
            "forgot-sent",
            vec![go("/password/forgot"), Fill("#email", "new@example.com"), submit.clone()],
        ),
        ("link-expired", vec![go("/password/reset?token=unknown")]),
        ("not-found", vec![go("/nothing")]),
        ("broken-link", vec![go("/oauth/authorize")]),
        ("demo-mail", vec![go("/demo/mail")]),
        ("enrol", vec![authorize("strict", callback), SignIn]),
        ("enrol-totp", vec![authorize("strict", callback), SignIn, Press("a[href*='with=totp']")]),
        ("apps", vec![go("/login?again=1"), SignIn]),
        ("sessions", vec![go("/sessions")]),
        ("sessions-ended", vec![go("/open/bff"), go("/sessions"), Press("[data-family] button")]),
        ("sessions-question", vec![go("/sessions"), Press(".actions .danger")]),
        ("account", vec![go("/account")]),
        (
            "account-wrong",
            vec![
                go("/account"),
                Fill("#email", "ann@example,com"),
                Press("form[action='/account/email'] button"),
            ],
        ),
        ("security", vec![go("/account/security")]),
        (
            "security-wrong",
            vec![
                go("/account/security"),
                Fill("#current_password", "wrong"),
                Fill("#new_password", "short"),
                Press("form[action='/account/password'] button[type=submit]"),
            ],
        ),
        ("totp", vec![go("/account/totp")]),
        ("activity", vec![go("/account/activity")]),
        ("activity-none", vec![go("/account/activity?kind=totp.added")]),
        ("continue", vec![authorize("native", native)]),
        ("allow", vec![authorize("agent", native)]),
        ("device", vec![go("/device")]),
        ("device-wrong", vec![go("/device"), Fill("#user_code", "BCDF-GHJK"), submit.clone()]),
        ("device-question", vec![go(&format!("/device?user_code={user_code}"))]),
        ("logout-question", vec![go("/oauth/logout")]),
    ]
}

async fn take(browser: &WebDriver, step: &Step) -> WebDriverResult<()> {
    match step {
        Go(url) => browser.goto(url).await,
        Fill(css, text) => {
            let field = find(browser, css).await?;
            run(
                browser,
                &format!(
                    "document.querySelector(`{css}`).removeAttribute('required'); return null"
                ),
            )
            .await?;
            field.clear().await?;
            field.send_keys(text.to_owned()).await
        }
        // A browser's own check would not let a wrong address through.
        Press(css) => {
            run(browser, "document.querySelectorAll('form').forEach((form) => { form.noValidate = true }); return null").await?;
            find(browser, css).await?.click().await
        }
        SignIn => testing::chromium::sign_in(browser, USERS[0].email, USERS[0].password).await,
        Forget => browser.delete_all_cookies().await,
    }
}

async fn emulate(driver: &Driver, browser: &WebDriver, theme: &str, width: u32) {
    let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
    driver.command(browser, "Emulation.setEmulatedMedia", media).await;
    let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
    driver.command(browser, "Emulation.setDeviceMetricsOverride", metrics).await;
}

/// What axe-core finds, as one line for each finding.
async fn findings(browser: &WebDriver, axe: &str) -> WebDriverResult<Vec<String>> {
    browser.execute(axe, vec![]).await?;
    let script = "const found = await axe.run(document, { resultTypes: ['violations'] });
        return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' | ')}`);";
    let found = run(browser, script).await?;
    Ok(found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect())
}

/// Bytes that have travelled, stylesheets, and how much has moved.
async fn weight(browser: &WebDriver) -> WebDriverResult<(u64, u64, f64)> {
    let script = "const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
        const moved = await new Promise((done) => {
            let sum = 0;
            new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; }).observe({ type: 'layout-shift', buffered: true });
            setTimeout(() => done(sum), 30);
        });
        return { bytes: entries.reduce((sum, entry) => sum + entry.encodedBodySize, 0), styles: document.styleSheets.length, moved };";
    let seen: Value = run(browser, script).await?;
    Ok((
        seen["bytes"].as_u64().unwrap(),
        seen["styles"].as_u64().unwrap(),
        seen["moved"].as_f64().unwrap(),
    ))
}

/// The code that a device shows its user.
async fn asked_by_a_device(world: &World) -> String {
    let form = [("client_id", "television"), ("scope", "openid")];
    let url = format!("{}/oauth/device", world.authority());
    let asked = reqwest::Client::new().post(url).form(&form).send().await.unwrap();
    asked.json::<Value>().await.unwrap()["user_code"].as_str().unwrap().to_owned()
}

async fn tour(
    driver: &Driver,
    browser: &WebDriver,
    world: &World,
    axe: &str,
    folder: Option<&Path>,
) -> WebDriverResult<Vec<String>> {
    let mut wrong = Vec::new();
    let languages = if folder.is_some() { &LANGUAGES[..] } else { &LANGUAGES[..1] };
    let mut sheet = String::from(
        "<!doctype html><meta charset=utf-8><title>Every page</title><style>body{font:14px system-ui}figure{display:inline-block;margin:8px;vertical-align:top}img{max-width:420px;border:1px solid #999}</style>\n",
    );
    for language in languages {
        for (name, steps) in states(world, &asked_by_a_device(world).await) {
            emulate(driver, browser, "light", 1440).await;
            for step in &steps {
                take(browser, step).await?;
                if matches!(step, Step::Forget) {
                    browser
                        .goto(format!("{}/login?ui_locales={language}", world.authority()))
                        .await?;
                }
            }
            // A form that was sent has led to its answer.
            tokio::time::sleep(Duration::from_millis(250)).await;
            let (bytes, styles, moved) = weight(browser).await?;
            if bytes >= MAX_BYTES || styles != 1 || moved > 0.0 {
                wrong
                    .push(format!("{name}: {bytes} bytes, {styles} stylesheets, moved by {moved}"));
            }
            let title = browser.title().await?;
            if title.is_empty() {
                wrong.push(format!("{name}: no title"));
            }
            let _ = writeln!(sheet, "<h2>{name} ({language})</h2>");
            for theme in THEMES {
                for width in WIDTHS {
                    emulate(driver, browser, theme, width).await;
                    let fits = run(
                        browser,
                        "return document.documentElement.scrollWidth <= window.innerWidth",
                    )
                    .await?;
                    if fits != Value::Bool(true) {
                        wrong.push(format!("{name} ({language}, {width}): scrolls sideways"));
                    }
                    if width != 768 && (*language == "en" || width == 320) {
                        for finding in findings(browser, axe).await? {
                            wrong.push(format!("{name} ({language}, {theme}, {width}): {finding}"));
                        }
                    }
                    if let Some(folder) = folder {
                        let file = format!("{name}-{language}-{theme}-{width}.png");
                        let shot = json!({ "captureBeyondViewport": true });
                        let shot = driver.command(browser, "Page.captureScreenshot", shot).await;
                        let data = shot["data"].as_str().unwrap();
                        use base64::Engine as _;
                        let png = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
                        std::fs::write(folder.join(&file), png).unwrap();
                        let _ = writeln!(
                            sheet,
                            "<figure><img loading=lazy src={file}><figcaption>{theme}, {width}</figcaption></figure>"
                        );
                    }
                }
            }
        }
    }
    if let Some(folder) = folder {
        std::fs::write(folder.join("index.html"), sheet).unwrap();
        eprintln!("{}", folder.join("index.html").display());
    }
    Ok(wrong)
}

/// Apps whose requests lead to pages that the demo's own do not.
async fn add_clients(world: &World) {
    let authority = world.demo.authority();
    let mut strict = ClientMetadata::named("strict", "Payroll", ClientType::Confidential);
    strict.redirect_uris = vec!["http://localhost:9/callback".to_owned()];
    strict.two_factors = true;
    let mut native = ClientMetadata::named("native", "Terminal", ClientType::Public);
    native.redirect_uris = vec!["http://127.0.0.1:9/callback".to_owned()];
    let mut television = ClientMetadata::named("television", "Television", ClientType::Public);
    television.redirect_uris = vec!["https://tv.example/callback".to_owned()];
    television.device = true;
    let mut agent = ClientMetadata::named("agent", "Night Owl", ClientType::Agent);
    agent.redirect_uris.clone_from(&native.redirect_uris);
    agent.scopes = ["openid", "notes:read", "offline_access"].map(str::to_owned).to_vec();
    for client in [strict, native, television, agent] {
        clients::add(&authority, &client, &Caller::operator()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_page_is_accessible_light_and_still() -> Result<(), Failure> {
    let Some(driver) = driver() else { return Ok(()) };
    let axe = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/axe/node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(axe) else {
        assert!(!testing::is_ci(), "axe-core is needed (npm)");
        eprintln!("SKIPPED: no axe-core; npm install --no-save --prefix target/axe axe-core");
        return Ok(());
    };
    let folder = std::env::var_os("GALLERY").map(PathBuf::from);
    if let Some(folder) = &folder {
        std::fs::create_dir_all(folder)?;
    }
    let world = world_with_dpop(Duration::from_mins(5)).await;
    add_clients(&world).await;
    let profile = tempfile::tempdir()?;
    let browser = browser(&driver, profile.path().to_owned(), "http://nowhere.example").await?;
    let wrong = tour(&driver, &browser, &world, &axe, folder.as_deref()).await;
    if wrong.is_err() {
        eprintln!("at {}", browser.current_url().await?);
    }
    browser.quit().await?;
    let wrong = wrong?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
