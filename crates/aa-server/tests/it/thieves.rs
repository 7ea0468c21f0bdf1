//! A thief of a password or of a cookie is out once its owner acts (`docs/contract.md#rule-7`).

use aa_server::domain::caller::Caller;
use aa_server::ops::users;
use futures_util::future::join_all;
use reqwest::StatusCode;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Browser, Engine, PASSWORD, TestApp, both_databases, location};

const NEW: &str = "another tangerine 5";
const FIRST: &str = "the first of two 6";
const SECOND: &str = "the second of two 7";

/// Changes the password on the account page. Returns whether the page says so.
async fn change(browser: &Browser, csrf: &str, current: &str, new: &str) -> bool {
    let form = [("csrf", csrf), ("current_password", current), ("new_password", new)];
    let answer = browser.post("/account/password", &form, &[]).await;
    answer.status() == StatusCode::SEE_OTHER
        && location(&answer).ends_with("/account/security?done=password-changed")
}

async fn signs_in(t: &TestApp, email: &str, password: &str) -> bool {
    // The throttle is another test's matter.
    t.advance(3600);
    Browser::new(&t.url).sign_in(email, password).await.status() == StatusCode::SEE_OTHER
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.get("/account").await.status() == StatusCode::OK
}

/// A browser with the same cookies.
fn copy(browser: &Browser) -> Browser {
    let copied = Browser::new(&browser.url);
    copied.cookies.lock().unwrap().extend(browser.cookies.lock().unwrap().clone());
    copied
}

#[apply(both_databases)]
async fn a_reset_password_is_not_overwritten_by_a_change_under_way(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    for round in 0..4 {
        let email = format!("ann{round}@example.com");
        let owner = t.signed_in(&email).await;
        let csrf = owner.csrf("/account").await;
        // The thief has the password and a copy of the cookies.
        let thief = copy(&owner);
        let changes = join_all((0..8).map(|_| change(&thief, &csrf, PASSWORD, NEW)));
        let user = t.authority.store.user_by_email(&email).await.unwrap().unwrap();
        let reset = async {
            users::reset_password(&t.authority, &user, FIRST.into(), &Caller::operator()).await
        };
        let (_, reset) = tokio::join!(changes, reset);
        reset.unwrap();
        assert!(signs_in(&t, &email, FIRST).await, "round {round}");
        assert!(!signs_in(&t, &email, NEW).await);
        assert!(!is_signed_in(&thief).await);
    }
}

#[apply(both_databases)]
async fn of_two_changes_at_once_one_is_made_and_the_other_is_told(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    for round in 0..4 {
        let email = format!("ann{round}@example.com");
        let one = t.signed_in(&email).await;
        let two = Browser::new(&t.url);
        two.sign_in(&email, PASSWORD).await;
        let (csrf_one, csrf_two) = (one.csrf("/account").await, two.csrf("/account").await);
        let (first, second) = tokio::join!(
            change(&one, &csrf_one, PASSWORD, FIRST),
            change(&two, &csrf_two, PASSWORD, SECOND)
        );
        assert!(first != second, "one of them: {first} {second}");
        assert_eq!(signs_in(&t, &email, FIRST).await, first);
        assert_eq!(signs_in(&t, &email, SECOND).await, second);
        assert_eq!((is_signed_in(&one).await, is_signed_in(&two).await), (first, second));
    }
}

#[apply(both_databases)]
async fn a_change_under_way_does_not_outlast_an_account_that_is_disabled(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let owner = t.signed_in("ann@example.com").await;
    let csrf = owner.csrf("/account").await;
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let (_, disabled) = tokio::join!(change(&owner, &csrf, PASSWORD, NEW), async {
        users::set_enabled(&t.authority, &user, false, &Caller::operator()).await
    });
    disabled.unwrap();
    assert!(!is_signed_in(&owner).await);
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    assert!(!user.enabled);
}

#[apply(both_databases)]
async fn a_copied_cookie_survives_neither_a_new_password_nor_the_end_of_the_others(
    #[case] engine: Engine,
) {
    let Some(t) = engine.start().await else { return };
    for (email, act) in [("ann@example.com", true), ("bo@example.com", false)] {
        let owner = t.signed_in(email).await;
        let app = match t.authority.store.client("native").await.unwrap() {
            Some(_) => t.registered("native"),
            None => t.public().await,
        };
        let kept = app.redeem(&owner.open(&app).await).await.ok();
        // A has a copy of all cookies; B knows the password and has a copy of the device cookie alone.
        let thief_a = copy(&owner);
        let thief_b = copy(&owner);
        thief_b.cookies.lock().unwrap().remove("aa_identity");
        thief_b.sign_in(email, PASSWORD).await;
        assert!(is_signed_in(&owner).await && is_signed_in(&thief_b).await);
        let before = owner.cookie("aa_identity");
        if act {
            let csrf = owner.csrf("/account").await;
            assert!(change(&owner, &csrf, PASSWORD, NEW).await);
        } else {
            let answer = owner.submit("/sessions", "/sessions/revoke-others", &[]).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        }
        assert_ne!(owner.cookie("aa_identity"), before, "a new one");
        assert!(is_signed_in(&owner).await);
        assert!(!is_signed_in(&thief_a).await && !is_signed_in(&thief_b).await);
        let opened = thief_a.authorize(&app, &[]).await;
        assert!(!location(&opened).contains("code="), "{opened:?}");
        // What the owner has open in this browser goes on.
        app.refresh(kept.refresh_token()).await.ok();
    }
}

#[apply(both_databases)]
async fn a_new_password_is_another_one(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let owner = t.signed_in("ann@example.com").await;
    let csrf = owner.csrf("/account").await;
    let form =
        [("csrf", csrf.as_str()), ("current_password", PASSWORD), ("new_password", PASSWORD)];
    let answer = owner.post("/account/password", &form, &[]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.unwrap().contains("must differ from the current one."));
    assert!(is_signed_in(&owner).await);
}
