//! Where a refresh token is used from: told by apps for their users' browsers, and looked at by grace
//! (`docs/contract.md#rule-4`).

use aa_server::domain::client::{ClientType, RefreshTokenIn};
use reqwest::StatusCode;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Answer, Engine, OAuthApp, TestApp, both_databases};

const HOME: (&str, &str) =
    ("192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
const AWAY: (&str, &str) =
    ("198.51.100.7", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
const OTHER_AGENT: (&str, &str) = ("192.0.2.1", "curl/8");

/// An app whose backend adds the secret to a refresh token that the browser keeps, as `microapp-spa` does.
async fn refresh_cookie_app(t: &TestApp, id: &str) -> OAuthApp {
    t.add_client(id, ClientType::Confidential, |app| {
        app.refresh_token_in = RefreshTokenIn::Browser;
    })
    .await
}

/// A refresh that the app's backend makes for a browser at this place.
async fn refresh_at(app: &OAuthApp, token: &str, (ip, agent): (&str, &str)) -> Answer {
    app.told(&[("grant_type", "refresh_token"), ("refresh_token", token)], ip, agent).await
}

#[apply(both_databases)]
async fn an_authenticated_app_tells_where_its_users_browser_is(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    refresh_at(&app, first.refresh_token(), ("elsewhere", "x")).await.refused("invalid_request");
    assert_eq!(t.family(first.family()).await.state.generation, 1);
    refresh_at(&app, first.refresh_token(), AWAY).await.ok();
    assert_eq!(t.family(first.family()).await.rotated_ip, AWAY.0);
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert!(page.contains(AWAY.0), "{page}");

    let public = t.public().await;
    let first = public.redeem(&browser.open(&public).await).await.ok();
    refresh_at(&public, first.refresh_token(), AWAY).await.ok();
    assert_eq!(t.family(first.family()).await.rotated_ip, "127.0.0.1", "anybody could say that");
}

#[apply(both_databases)]
async fn a_refresh_token_in_the_browser_has_ten_seconds_of_grace(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = refresh_cookie_app(&t, "spa").await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = refresh_at(&app, first.refresh_token(), HOME).await.ok();
    t.advance(9);
    let again = refresh_at(&app, first.refresh_token(), HOME).await.ok();
    assert_eq!(again.refresh_token(), second.refresh_token());
    t.advance(2);
    refresh_at(&app, first.refresh_token(), HOME).await.refused("invalid_grant");
    assert!(!t.is_live(first.family()).await);
    assert_eq!(t.events("family.reuse").await.len(), 1);
    assert!(t.events("family.grace_elsewhere").await.is_empty());
}

#[apply(both_databases)]
async fn a_copy_used_elsewhere_is_seen_once_and_ends_the_session_at_the_second_time(
    #[case] engine: Engine,
) {
    let Some(t) = engine.start().await else { return };
    for (email, thief) in [("ann@example.com", AWAY), ("bo@example.com", OTHER_AGENT)] {
        let browser = t.signed_in(email).await;
        let app = refresh_cookie_app(&t, &format!("app-of-{email}").replace('@', ".")).await;
        let seen_before = t.events("family.grace_elsewhere").await.len();
        let first = app.redeem(&browser.open(&app).await).await.ok();
        let second = refresh_at(&app, first.refresh_token(), HOME).await.ok();
        let copied = refresh_at(&app, first.refresh_token(), thief).await.ok();
        assert_eq!(copied.refresh_token(), second.refresh_token());
        // Its answer was lost: that is the same once more.
        refresh_at(&app, first.refresh_token(), thief).await.ok();
        let events = t.events("family.grace_elsewhere").await;
        assert_eq!(events.len(), seen_before + 1);
        let names_both = events.iter().any(|event| {
            let detail = &event.detail;
            detail["first"]["ip"] == HOME.0
                && detail["second"]["ip"] == thief.0
                && detail["second"]["user_agent"] == thief.1
        });
        assert!(names_both, "{events:?}");
        let page = browser.get("/sessions").await.text().await.unwrap();
        assert!(page.contains("used from two places at once"), "{page}");
        assert!(page.contains(HOME.0) && page.contains(thief.0), "{page}");

        refresh_at(&app, second.refresh_token(), thief).await.ok();
        refresh_at(&app, second.refresh_token(), HOME).await.refused("invalid_grant");
        assert!(!t.is_live(first.family()).await);
        let page = browser.get("/sessions").await.text().await.unwrap();
        assert!(page.contains("It was used twice"), "{page}");
    }
}

/// What the address and the agent cannot show. Only a key that cannot be copied will (`docs/security.md`).
#[apply(both_databases)]
async fn a_copy_used_from_the_same_place_within_the_grace_is_not_seen(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = refresh_cookie_app(&t, "spa").await;
    let mut token = app.redeem(&browser.open(&app).await).await.ok().refresh_token().to_owned();
    for _ in 0..5 {
        let owner = refresh_at(&app, &token, HOME).await.ok();
        let copy = refresh_at(&app, &token, HOME).await.ok();
        assert_eq!(owner.refresh_token(), copy.refresh_token());
        token = owner.refresh_token().to_owned();
        t.advance(240);
    }
    assert!(t.events("family.grace_elsewhere").await.is_empty());
    assert!(t.events("family.reuse").await.is_empty());
}

#[apply(both_databases)]
async fn two_replicas_of_an_apps_backend_are_not_two_places(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let mut token = first.refresh_token().to_owned();
    for _ in 0..3 {
        let next = refresh_at(&app, &token, HOME).await.ok();
        // This replica does not tell.
        assert_eq!(app.refresh(&token).await.status, StatusCode::OK);
        token = next.refresh_token().to_owned();
    }
    assert!(t.is_live(first.family()).await);
    assert!(t.events("family.grace_elsewhere").await.is_empty());
}
