//! What users and apps look like on pages: languages, pictures, times and icons; and forms that have expired.

use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::Value;

use crate::support::{Browser, Engine, PASSWORD, TestApp, both_databases, location};

#[apply(both_databases)]
async fn a_browser_without_apps_is_listed_and_can_be_signed_out(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let intruder = Browser::new(&t.url);
    intruder.sign_in("ann@example.com", PASSWORD).await;
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert_eq!(page.matches("Signed in, no apps open.").count(), 2);
    let devices: Vec<&str> = page
        .split("/sessions/devices/")
        .skip(1)
        .map(|rest| rest.split('/').next().unwrap())
        .collect();
    let mut devices: Vec<&str> = devices.into_iter().collect();
    devices.dedup();
    let session = t
        .authority
        .store
        .signed_in_browsers(
            t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap().id,
            t.authority.now(),
        )
        .await
        .unwrap();
    assert_eq!(session.len(), 2);
    let theirs = devices.last().unwrap();
    let path = format!("/sessions/devices/{theirs}/revoke");
    let answer = browser.submit("/sessions", &path, &[]).await;
    assert_eq!(location(&answer), "/sessions?done=browser");
    assert_eq!(intruder.get("/apps").await.status(), StatusCode::SEE_OTHER);
    let page = browser.get("/sessions?done=browser").await.text().await.unwrap();
    assert!(
        page.contains("The device is signed out.") && page.matches("no apps open").count() == 1
    );
}

#[apply(both_databases)]
async fn an_expired_form_is_shown_again_filled_in(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[("registration", "open")]).await else { return };
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    let csrf = browser.csrf("/login").await;
    browser.cookies.lock().unwrap().clear();
    let form = [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", PASSWORD)];
    let answer = browser.post("/login", &form, &[]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let page = answer.text().await.unwrap();
    assert!(
        page.contains("value=\"ann@example.com\"") && page.contains("had been open for too long")
    );
    assert!(browser.cookie("aa_csrf").is_some(), "the form can be sent now");
    let form = [("csrf", csrf.as_str()), ("email", "new@example.com"), ("name", "New")];
    browser.cookies.lock().unwrap().clear();
    let page = browser.post("/register", &form, &[]).await.text().await.unwrap();
    assert!(page.contains("value=\"new@example.com\"") && page.contains("value=\"New\""));
    // A form of another site is not.
    let foreign = [("origin", "https://evil.example")];
    let page = browser.post("/login", &form, &foreign).await.text().await.unwrap();
    assert!(!page.contains("new@example.com"));
}

#[apply(both_databases)]
async fn pages_speak_the_readers_language(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let anonymous = Browser::new(&t.url);
    let page = anonymous
        .get_with("/login", &[("accept-language", "de-CH, en;q=0.5")])
        .await
        .text()
        .await
        .unwrap();
    assert!(page.contains("<html lang=\"de\"") && page.contains("Passwort vergessen?"));
    let page = anonymous.get("/login?ui_locales=xx%20fr").await.text().await.unwrap();
    assert!(page.contains("Mot de passe oublié"));
    let page = anonymous.get("/nothing").await.text().await.unwrap();
    assert!(page.contains("Page introuvable"), "a choice is kept");
    let app = t.confidential().await;
    let to = location(&Browser::new(&t.url).ask(&app, &[("ui_locales", "de fr")]).await);
    assert!(to.ends_with("&ui_locales=de+fr"), "{to}");
    browser.submit("/account", "/account/profile", &[("name", "Änn"), ("language", "fr")]).await;
    let page = browser.get("/account").await.text().await.unwrap();
    assert!(page.contains("<html lang=\"fr\"") && page.contains("Änn"));
    let page =
        browser.get_with("/sessions", &[("accept-language", "de")]).await.text().await.unwrap();
    assert!(page.contains("Appareils et sessions"), "the account's choice before the browser's");
}

/// Sends the form of the picture with this file.
async fn upload(browser: &Browser, csrf: &str, file: &[u8], origin: &str) -> reqwest::Response {
    let part = |name: &str| {
        format!(
            "--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"me\"\r\n\r\n"
        )
    };
    let head = format!("{}{csrf}\r\n{}", part("csrf"), part("file"));
    let body = [head.as_bytes(), file, b"\r\n--limit--\r\n"].concat();
    browser
        .http
        .post(format!("{}/account/picture", browser.url))
        .header("cookie", browser.cookie_header())
        .header("origin", origin)
        .header("content-type", "multipart/form-data; boundary=limit")
        .body(body)
        .send()
        .await
        .unwrap()
}

/// The path of the picture on a page, if it shows one.
fn picture_on(page: &str) -> Option<String> {
    let name = page.split("src=\"/pictures/").nth(1)?.split('"').next()?;
    Some(format!("/pictures/{name}"))
}

#[apply(both_databases)]
async fn a_user_has_a_picture_that_nobody_can_guess(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let csrf = browser.csrf("/account").await;
    let anonymous = Browser::new(&t.url);
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(300, 200, image::Rgb([200, 10, 10]))
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .unwrap();
    let file = file.into_inner();
    let set = async || {
        let done = upload(&browser, &csrf, &file, &t.url).await;
        assert_eq!(location(&done), "/account?done=saved");
        picture_on(&browser.get("/account").await.text().await.unwrap()).expect("a picture")
    };
    let path = set().await;
    assert_eq!(path.len(), "/pictures/".len() + 43 + ".png".len());
    let page = browser.get("/apps").await.text().await.unwrap();
    assert_eq!(picture_on(&page).as_deref(), Some(&*path), "on every page");
    let shown = anonymous.get(&path).await;
    assert_eq!(shown.headers()["content-type"], "image/png");
    assert_eq!(shown.headers()["cache-control"], "private, max-age=31536000, immutable");
    let png = shown.bytes().await.unwrap();
    let drawn = image::load_from_memory(&png).unwrap().to_rgb8();
    assert_eq!(drawn.dimensions(), (256, 256));
    assert!(drawn.get_pixel(1, 1).0[0] > 150, "it fills its square");

    // Another one, the same file even, is at another address; the one before is gone.
    let second = set().await;
    assert_ne!(second, path);
    assert_eq!(anonymous.get(&path).await.status(), StatusCode::NOT_FOUND);

    // No picture, or not from our page: nothing changes.
    let too_large = vec![0; 8 * 1024 * 1024 + 1];
    for wrong in [&b""[..], b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", &too_large] {
        let refused = upload(&browser, &csrf, wrong, &t.url).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = refused.text().await.unwrap();
        assert!(page.contains("id=\"file-wrong\">Choose a PNG, JPEG or WebP picture"));
    }
    for (csrf, origin) in [("", &*t.url), ("x", &t.url), (&csrf, "https://evil.example")] {
        let refused = upload(&browser, csrf, &file, origin).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{csrf} {origin}");
    }
    let refused = upload(&anonymous, &csrf, &file, &t.url).await;
    assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let page = browser.get("/account").await.text().await.unwrap();
    assert_eq!(picture_on(&page).as_deref(), Some(&*second));

    // It is in the copy of the data, and goes when its user wants so, or goes.
    let copy = browser.get("/account/export").await.text().await.unwrap();
    assert!(copy.contains("\"picture\": \"data:image/png;base64,iVBOR"));
    browser.submit("/account", "/account/picture/remove", &[]).await;
    assert_eq!(picture_on(&browser.get("/account").await.text().await.unwrap()), None);
    assert_eq!(anonymous.get(&second).await.status(), StatusCode::NOT_FOUND);
    let changes = t.events("user.profile_changed").await;
    let set_or_not = changes.iter().map(|event| event.detail["picture"].as_bool().unwrap());
    assert_eq!(set_or_not.filter(|set| *set).count(), 2);
    assert_eq!(changes.len(), 3);
    let third = set().await;
    browser.submit("/account", "/account/close", &[]).await;
    t.advance(15 * 24 * 3600);
    aa_server::ops::account::lifecycle::delete_closed(&t.authority).await.unwrap();
    assert_eq!(anonymous.get(&third).await.status(), StatusCode::NOT_FOUND);
}

/// The seconds until the clocks of Europe are set back next, less half an hour.
fn until_clocks_are_set_back(t: &TestApp) -> u64 {
    use chrono::{Datelike as _, NaiveDate, Weekday};
    let now = t.authority.now().secs();
    let year = chrono::DateTime::from_timestamp(now, 0).unwrap().year() + 1;
    let mut sundays = (25..=31).map(|day| NaiveDate::from_ymd_opt(year, 10, day).unwrap());
    let last = sundays.rfind(|day| day.weekday() == Weekday::Sun).unwrap();
    let then = last.and_hms_opt(0, 30, 0).unwrap().and_utc().timestamp();
    u64::try_from(then - now).unwrap()
}

#[apply(both_databases)]
async fn times_are_in_the_zone_that_the_user_has_chosen(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    t.advance(until_clocks_are_set_back(&t));
    browser.sign_in("ann@example.com", PASSWORD).await;
    let choose = async |zone: &str, language: &str| {
        let fields = [("name", "Ann"), ("language", language), ("time_zone", zone)];
        browser.submit("/account", "/account/profile", &fields).await
    };
    let get = async |path: &str| browser.get(path).await.text().await.unwrap();

    // Without a choice: UTC, said so, until a script knows better.
    let page = get("/account/activity").await;
    assert!(page.contains(", 00:30 UTC\"") && !page.contains("data-zone"), "{page}");
    assert!(get("/account").await.contains("data-suggest=\"zone\""));
    Browser::new(&t.url).sign_in("ann@example.com", PASSWORD).await;
    let mail = t.mail("ann@example.com", "New sign-in to Authority").await;
    assert!(mail.text.contains(", 00:30 UTC\n"), "{}", mail.text);

    // The hour that comes twice is told apart.
    for wrong in ["Europe/Atlantis", "CET", "<script>", "Etc/UTC"] {
        let refused = choose(wrong, "en").await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = refused.text().await.unwrap();
        assert!(page.contains("id=\"time_zone-wrong\">Choose a time zone from the list."));
    }
    assert_eq!(location(&choose("Europe/Berlin", "en").await), "/account?done=saved");
    t.advance(3_600);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let page = get("/account/activity").await;
    assert!(page.contains(", 02:30 CEST (UTC+2)\"") && page.contains(", 02:30 CET (UTC+1)\""));
    assert!(page.contains("<html lang=\"en\" data-zone>") && !page.contains(" UTC\""));
    let page = get("/account").await;
    assert!(page.contains("<option value=\"Europe/Berlin\" selected>Berlin</option>"));
    assert!(!page.contains("data-suggest"));
    for path in ["/sessions", "/account/security"] {
        assert!(!get(path).await.contains(" UTC\""), "{path}");
    }

    // In the user's language, in mails too, and where nothing but the moment is shown.
    choose("America/New_York", "de").await;
    Browser::new(&t.url).sign_in("ann@example.com", PASSWORD).await;
    let mail = t.mail("ann@example.com", "Neue Anmeldung bei Authority").await;
    assert!(mail.text.contains(" Oktober ") && mail.text.contains(", 21:30 Uhr EDT (UTC-4)\n"));
    browser.submit("/account", "/account/close", &[]).await;
    assert!(get("/account").await.contains("20:30 Uhr EST (UTC-5)</time>"), "14 days later");
    browser.submit("/account", "/account/keep", &[]).await;

    // The choice is in the copy and on record; it can be given up.
    let copy: Value = serde_json::from_str(&get("/account/export").await).unwrap();
    assert_eq!(copy["account"]["time_zone"], "America/New_York");
    let changes = t.events("user.profile_changed").await;
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().any(|event| event.detail["time_zone"] == "Europe/Berlin"));
    choose("", "en").await;
    let page = get("/account").await;
    assert!(!page.contains("data-zone") && !page.contains("data-suggest"), "it is a choice, too");
    let copy: Value = serde_json::from_str(&get("/account/export").await).unwrap();
    assert_eq!(copy["account"]["time_zone"], Value::Null);
}

#[apply(both_databases)]
async fn an_app_has_an_icon_of_its_own(#[case] engine: Engine) {
    let Some(t) = TestApp::on(engine, &[]).await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(20, 20, image::Rgb([1, 2, 3]))
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .unwrap();
    let operator = aa_server::domain::caller::Caller::operator();
    let set = async |file: Option<&[u8]>| {
        aa_server::ops::client_icons::set(&t.authority, "backend", file, &operator).await.unwrap();
    };
    set(Some(file.get_ref())).await;
    let page = browser.get("/apps").await.text().await.unwrap();
    let path = page.split("src=\"/icons/").nth(1).expect("an icon").split('"').next().unwrap();
    let icon = browser.get(&format!("/icons/{path}")).await;
    assert_eq!(icon.headers()["content-type"], "image/png");
    assert!(icon.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert!(icon.bytes().await.unwrap().starts_with(b"\x89PNG"));
    let sign_in = location(&Browser::new(&t.url).ask(&app, &[]).await);
    assert!(sign_in.starts_with("/login"));
    set(None).await;
    assert!(!browser.get("/apps").await.text().await.unwrap().contains("/icons/"));
    assert_eq!(browser.get(&format!("/icons/{path}")).await.status(), StatusCode::NOT_FOUND);
    let unknown = aa_server::ops::client_icons::set(&t.authority, "nothing", None, &operator).await;
    assert_eq!(unknown.unwrap_err().to_string(), "there is no app `nothing`");
}
