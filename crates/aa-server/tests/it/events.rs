//! Events: who did what, and what people and programs see of it.

use aa_server::domain::caller::Caller;
use aa_server::domain::event::Actor;
use aa_server::ops::{settings, users};
use aa_server::store::Invitation;
use database::execute;
use secrecy::ExposeSecret as _;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Browser, Engine, PASSWORD, TestApp, both_databases};

#[apply(both_databases)]
async fn settings_are_recorded_once_until_they_change(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    assert!(settings::record(&t.authority).await.unwrap());
    assert!(!settings::record(&t.authority).await.unwrap());
    let [event] = &t.events("settings.seen").await[..] else { panic!("one event") };
    assert_eq!(event.actor, "system");
    assert!(event.detail.to_string().contains(r#""at_ttl":"5m""#), "{}", event.detail);
    assert!(!event.detail.to_string().contains("a secret that all tests share"));

    let given = [("public_url", t.url.as_str()), ("at_ttl", "4m")];
    let changed = TestApp::with(Some(t.database_url.clone()), &given).await;
    assert!(settings::record(&changed.authority).await.unwrap());
    assert!(!settings::record(&changed.authority).await.unwrap());
    assert_eq!(t.events("settings.seen").await.len(), 2);
}

#[apply(both_databases)]
async fn an_invitation_is_recorded_when_made_and_when_accepted(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let invitation = Invitation { email: String::new(), admin: false };
    let link = users::invite(&t.authority, &invitation, Actor::Operator, &Caller::operator())
        .await
        .unwrap();
    let token = link.expose_secret().split_once("invitation=").unwrap().1;
    let [made] = &t.events("invitation.made").await[..] else { panic!("one event") };
    assert_eq!(made.actor, "operator");
    assert!(!made.detail.to_string().contains(token));

    let browser = Browser::new(&t.url);
    let page = format!("/register?invitation={token}");
    let fields = [("email", "bo@example.com"), ("password", PASSWORD), ("invitation", token)];
    browser.submit(&page, "/register", &fields).await;
    let user = t.authority.store.user_by_email("bo@example.com").await.unwrap().unwrap();
    let [accepted] = &t.events("invitation.accepted").await[..] else { panic!("one event") };
    assert_eq!(accepted.actor, format!("user:{}", user.id));
    assert_eq!(accepted.user_id, Some(user.id));
    assert_eq!(t.events("user.made").await[0].actor, accepted.actor);
}

#[apply(both_databases)]
async fn activity_shows_a_renamed_browser_and_unknown_kinds(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let id = t.family(first.family()).await.browser_id;
    let path = format!("/sessions/devices/{id}/rename");
    browser.submit("/sessions", &path, &[("name", "Kitchen")]).await;
    assert_eq!(t.events("device.renamed").await.len(), 1);
    assert_eq!(t.events("family.started").await[0].actor, "client:backend");
    execute!(
        t.authority.store.db().write(),
        "UPDATE events SET kind = 'tea.made' WHERE kind = 'family.started'"
    )
    .unwrap();
    let page = browser.get("/account/activity").await.text().await.unwrap();
    assert!(
        page.contains("Renamed a device") && page.contains("Unknown event (tea.made)"),
        "{page}"
    );

    // A browser of another user is not renamed, and nothing is recorded.
    let other = t.signed_in("bo@example.com").await;
    assert_eq!(other.submit("/sessions", &path, &[("name", "Mine")]).await.status(), 404);
    assert_eq!(t.events("device.renamed").await.len(), 1);
}
