//! `/oauth/logout` (OpenID Connect RP-Initiated Logout 1.0): who is believed, who is asked, who is refused.

use aa_server::domain::client::ClientType;
use aa_server::domain::ids::FamilyId;
use reqwest::StatusCode;
use url::form_urlencoded::Serializer;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Browser, Engine, OAuthApp, TestApp, both_databases, location};

const AFTER: &str = "http://localhost:9/signed-out?app=shop";

async fn shop(app: &TestApp, id: &str) -> OAuthApp {
    app.add_client(id, ClientType::Confidential, |metadata| {
        metadata.post_logout_uris = vec![AFTER.to_owned()];
    })
    .await
}

/// An app that is signed in to: its ID token and its family.
async fn visit(browser: &Browser, app: &OAuthApp) -> (String, FamilyId) {
    let tokens = app.redeem(&browser.open(app).await).await.ok();
    (tokens.json["id_token"].as_str().unwrap().to_owned(), tokens.family())
}

fn path(params: &[(&str, &str)]) -> String {
    format!("/oauth/logout?{}", Serializer::new(String::new()).extend_pairs(params).finish())
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.get("/apps").await.status() == StatusCode::OK
}

#[apply(both_databases)]
async fn an_app_that_shows_the_id_token_signs_out_at_once(#[case] engine: Engine) {
    let Some(app) = engine.start().await else { return };
    let (shop, other) = (shop(&app, "shop").await, shop(&app, "other").await);
    let browser = app.signed_in("ann@example.com").await;
    let (id_token, family) = visit(&browser, &shop).await;
    let (_, others_family) = visit(&browser, &other).await;
    let not_found = Browser::new(&app.url);
    not_found.sign_in("ann@example.com", crate::support::PASSWORD).await;
    // An ID token that has expired says whom it is about all the same.
    app.advance(3600);
    let answer = browser
        .get(&path(&[
            ("id_token_hint", &id_token),
            ("post_logout_redirect_uri", AFTER),
            ("state", "a b"),
        ]))
        .await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&answer), format!("{AFTER}&state=a+b"));
    assert_eq!(browser.cookie("aa_identity"), None);
    assert!(!app.is_live(family).await && !app.is_live(others_family).await);
    assert!(is_signed_in(&not_found).await, "another browser stays signed in");
    // Again, signed out already: on to the app.
    let again = path(&[("client_id", "shop"), ("post_logout_redirect_uri", AFTER)]);
    assert_eq!(location(&browser.get(&again).await), AFTER);
    // And by POST, which goes on as a GET.
    let posted = browser
        .post("/oauth/logout", &[("client_id", "shop"), ("post_logout_redirect_uri", AFTER)], &[])
        .await;
    assert_eq!(posted.status(), StatusCode::SEE_OTHER);
    assert!(location(&posted).starts_with("/oauth/logout?client_id=shop&"));
}

#[apply(both_databases)]
async fn without_an_id_token_of_theirs_the_person_is_asked(#[case] engine: Engine) {
    let Some(app) = engine.start().await else { return };
    let shop = shop(&app, "shop").await;
    let ben = app.signed_in("ben@example.com").await;
    let (bens, _) = visit(&ben, &shop).await;
    let browser = app.signed_in("ann@example.com").await;
    let (anns, family) = visit(&browser, &shop).await;
    let mut altered = anns.clone().into_bytes();
    let middle = altered.len() / 2;
    altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    let access_token = shop.redeem(&browser.open(&shop).await).await.ok().access_token().to_owned();
    for params in [
        vec![],
        vec![("state", "x")],
        vec![("id_token_hint", bens.as_str())],
        vec![("id_token_hint", altered.as_str()), ("post_logout_redirect_uri", AFTER)],
        vec![("id_token_hint", access_token.as_str())],
        vec![("client_id", "shop"), ("post_logout_redirect_uri", AFTER)],
        vec![("post_logout_redirect_uri", AFTER)],
    ] {
        let answer = browser.get(&path(&params)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{params:?}");
        assert!(answer.text().await.unwrap().contains("Sign out?"));
        assert!(is_signed_in(&browser).await, "{params:?}");
    }
    // A form of another site's does it neither.
    let fields = [("csrf", "AAAA"), ("client_id", "shop")];
    assert_eq!(browser.post("/oauth/logout", &fields, &[]).await.status(), StatusCode::FORBIDDEN);
    let csrf = browser.csrf("/oauth/logout").await;
    let cross = browser
        .post("/oauth/logout", &[("csrf", &csrf)], &[("origin", "https://evil.example")])
        .await;
    assert_eq!(cross.status(), StatusCode::FORBIDDEN);
    assert!(is_signed_in(&browser).await);
    // The question's form carries on what was asked, and its redirect may lead to the app.
    let params = [("client_id", "shop"), ("post_logout_redirect_uri", AFTER), ("state", "s")];
    let page = browser.get(&path(&params)).await;
    let csp = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(csp.contains("form-action 'self' http://localhost:9;"), "{csp}");
    let answer = browser.submit(&path(&params), "/oauth/logout", &params).await;
    assert_eq!(location(&answer), format!("{AFTER}&state=s"));
    assert!(!is_signed_in(&browser).await);
    let newest = app.events("identity.ended").await;
    assert_eq!(newest.len(), 1);
    assert!(!app.is_live(family).await);
    assert!(is_signed_in(&ben).await);
}

#[apply(both_databases)]
async fn nobody_is_sent_to_an_address_that_is_not_registered(#[case] engine: Engine) {
    let Some(app) = engine.start().await else { return };
    let (shop, _other) = (shop(&app, "shop").await, shop(&app, "other").await);
    let browser = app.signed_in("ann@example.com").await;
    let (id_token, family) = visit(&browser, &shop).await;
    for params in [
        vec![
            ("id_token_hint", id_token.as_str()),
            ("post_logout_redirect_uri", "http://localhost:9/signed-out"),
        ],
        vec![
            ("id_token_hint", id_token.as_str()),
            ("post_logout_redirect_uri", "http://localhost:9/signed-out?app=shop&x=y"),
        ],
        vec![("client_id", "shop"), ("post_logout_redirect_uri", "https://evil.example/")],
        // An app shows what was given to another one.
        vec![("id_token_hint", id_token.as_str()), ("client_id", "other")],
        vec![("client_id", "shop"), ("client_id", "shop")],
    ] {
        let answer = browser.get(&path(&params)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{params:?}");
        assert!(answer.headers().get("location").is_none());
    }
    assert!(is_signed_in(&browser).await && app.is_live(family).await);
    // An unknown client: the user is asked, and sent nowhere.
    let unknown = path(&[("client_id", "unknown"), ("post_logout_redirect_uri", AFTER)]);
    assert!(browser.get(&unknown).await.text().await.unwrap().contains("Sign out?"));
    let answer = browser
        .submit(
            &unknown,
            "/oauth/logout",
            &[("client_id", "unknown"), ("post_logout_redirect_uri", AFTER)],
        )
        .await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().contains("You are signed out"));
    // A look ahead signs no user out.
    let browser = app.signed_in("eve@example.com").await;
    let (id_token, _) = visit(&browser, &shop).await;
    let head = browser.http.head(format!("{}{}", app.url, path(&[("id_token_hint", &id_token)])));
    let cookie = format!("aa_identity={}", browser.cookie("aa_identity").unwrap());
    assert_eq!(
        head.header("cookie", cookie).send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    assert!(is_signed_in(&browser).await);
}

#[apply(both_databases)]
async fn an_id_token_of_another_sign_in_ends_nothing_unasked(#[case] engine: Engine) {
    let Some(app) = engine.start().await else { return };
    let shop = shop(&app, "shop").await;
    let browser = app.signed_in("ann@example.com").await;
    let elsewhere = Browser::new(&app.url);
    elsewhere.sign_in("ann@example.com", crate::support::PASSWORD).await;
    let (of_another_browser, _) = visit(&elsewhere, &shop).await;
    let (of_an_ended_one, _) = visit(&browser, &shop).await;
    browser.submit("/apps", "/logout", &[]).await;
    browser.sign_in("ann@example.com", crate::support::PASSWORD).await;
    for id_token in [&of_another_browser, &of_an_ended_one] {
        let asked = browser.get(&path(&[("id_token_hint", id_token)])).await;
        assert_eq!(asked.status(), StatusCode::OK);
        assert!(asked.text().await.unwrap().contains("Sign out"));
        assert!(is_signed_in(&browser).await);
    }
    // Signing in again as the same user keeps the app signed in, and its ID token good for this.
    let (id_token, _) = visit(&browser, &shop).await;
    browser.sign_in("ann@example.com", crate::support::PASSWORD).await;
    browser.get(&path(&[("id_token_hint", &id_token)])).await;
    assert!(!is_signed_in(&browser).await);
}
