//! Races, with real parallelism: fifty at once, on both databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aa_server::domain::caller::Caller;
use aa_server::ops::authentication::client::{ClientSecret, Credentials, authenticate_client};
use aa_server::ops::grants::authorization_code::{Redeem, redeem};
use aa_server::ops::users;
use futures_util::future::join_all;
use reqwest::StatusCode;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{CALLBACK, Engine, PASSWORD, TestApp, VERIFIER, both_databases, until};

const AT_ONCE: usize = 50;

#[apply(both_databases)]
async fn fifty_refreshes_of_one_token_rotate_the_family_once(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let answers = join_all((0..AT_ONCE).map(|_| app.refresh(first.refresh_token()))).await;
    let tokens: Vec<String> =
        answers.into_iter().map(|answer| answer.ok().refresh_token().to_owned()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "one successor for all");
    assert_eq!(t.family(first.family()).await.state.generation, 2);
    app.refresh(&tokens[0]).await.ok();
}

#[apply(both_databases)]
async fn fifty_presentations_of_an_old_token_end_the_family_once(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    let third = app.refresh(second.refresh_token()).await.ok();
    let answers = join_all((0..AT_ONCE).map(|_| app.refresh(first.refresh_token()))).await;
    for answer in &answers {
        answer.refused("invalid_grant");
    }
    assert_eq!(t.events("family.reuse").await.len(), 1);
    app.refresh(third.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn fifty_redemptions_give_one_answer_at_most_and_end_the_family(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    let answers = join_all((0..AT_ONCE).map(|_| app.redeem(&code))).await;
    let good: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
    assert_eq!(good.len(), 1);
    app.refresh(good[0].refresh_token()).await.refused("invalid_grant");
    assert_eq!(t.events("family.started").await.len(), 1);
    assert_eq!(t.events("family.reuse").await.len(), 1);
}

#[apply(both_databases)]
async fn redemptions_at_once_leave_one_family_in_a_browser(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    for _ in 0..8 {
        let mut codes = Vec::new();
        for _ in 0..12 {
            codes.push(browser.open(&app).await);
        }
        // Straight to the op, so that nothing before it sets them in a row.
        let credentials = Credentials::ClientSecretBasic(ClientSecret {
            client_id: app.id.clone(),
            secret: app.secret.clone().unwrap().into(),
        });
        let client = authenticate_client(&t.authority, &credentials).await.unwrap();
        let redemptions = codes.into_iter().map(|code| {
            let (shared, client) = (t.authority.clone(), client.clone());
            tokio::spawn(async move {
                let command = Redeem {
                    client,
                    code,
                    redirect_uri: CALLBACK.to_owned(),
                    code_verifier: Some(VERIFIER.to_owned()),
                    resource: None,
                    dpop_jkt: None,
                };
                redeem(&shared, command, &Caller::operator()).await.unwrap()
            })
        });
        let mut live = 0;
        for issued in join_all(redemptions).await {
            let claims = crate::support::claims_of(&issued.unwrap().access_token);
            let family = claims["sid"].as_str().unwrap().parse().unwrap();
            live += usize::from(t.is_live(family).await);
        }
        assert_eq!(live, 1);
    }
}

#[apply(both_databases)]
async fn an_end_wins_against_refreshes_under_way(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    for round in 0..5 {
        let first = app.redeem(&browser.open(&app).await).await.ok();
        let answered = Arc::new(AtomicUsize::new(0));
        // Ten chains of the same family, each with the token it was given last.
        let chain = |mut token: String| {
            let (app, answered) = (app.clone(), Arc::clone(&answered));
            async move {
                let mut last = None;
                for _ in 0..30 {
                    let answer = app.refresh(&token).await;
                    if answer.status != StatusCode::OK {
                        break;
                    }
                    token = answer.refresh_token().to_owned();
                    last = Some(token.clone());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                last
            }
        };
        let chains: Vec<_> =
            (0..10).map(|_| tokio::spawn(chain(first.refresh_token().to_owned()))).collect();
        // A chain that falls two behind can end the family before.
        until("refreshes are under way", || {
            answered.load(Ordering::SeqCst) >= 3 * round
                || chains.iter().all(tokio::task::JoinHandle::is_finished)
        })
        .await;
        match round % 3 {
            0 => {
                let path = format!("/sessions/{}/revoke", first.family());
                browser.submit("/sessions", &path, &[]).await;
            }
            1 => {
                browser.submit("/sessions", "/sessions/revoke-others", &[]).await;
                app.post("/oauth/revoke", &[("token", first.refresh_token())]).await;
            }
            _ => {
                let user =
                    t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
                users::set_enabled(&t.authority, &user, false, &Caller::operator()).await.unwrap();
                users::set_enabled(&t.authority, &user, true, &Caller::operator()).await.unwrap();
            }
        }
        for token in join_all(chains).await.into_iter().filter_map(Result::unwrap) {
            app.refresh(&token).await.refused("invalid_grant");
        }
        assert!(!t.is_live(first.family()).await);
        browser.sign_in("ann@example.com", crate::support::PASSWORD).await;
    }
}

#[apply(both_databases)]
async fn chains_of_many_families_at_once_lose_none(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("editor", aa_server::domain::client::ClientType::Public, |app| {
            app.multiple_sessions = true;
        })
        .await;
    let mut families = Vec::new();
    for _ in 0..20 {
        families.push(app.redeem(&browser.open(&app).await).await.ok());
    }
    let chains = families.iter().map(|first| {
        let (app, mut token) = (app.clone(), first.refresh_token().to_owned());
        tokio::spawn(async move {
            for _ in 0..10 {
                // Two tabs each time: the same successor for both.
                let (one, two) = tokio::join!(app.refresh(&token), app.refresh(&token));
                assert_eq!(one.refresh_token(), two.refresh_token());
                token = one.refresh_token().to_owned();
            }
        })
    });
    for chain in join_all(chains).await {
        chain.unwrap();
    }
    for first in families {
        assert_eq!(t.family(first.family()).await.state.generation, 11);
    }
}

#[apply(both_databases)]
async fn parallel_guesses_do_not_outrun_the_throttle(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    t.add_user("ann@example.com").await;
    let browser = crate::support::Browser::new(&t.url);
    let csrf = browser.csrf("/login").await;
    let tries = (0..AT_ONCE).map(|number| {
        let (browser, csrf) = (&browser, &csrf);
        async move {
            let password = format!("wrong password {number}");
            let form =
                [("csrf", csrf.as_str()), ("email", "ann@example.com"), ("password", &password)];
            browser.post("/login", &form, &[]).await.status()
        }
    });
    let statuses = join_all(tries).await;
    let checked = statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    let refused =
        statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((checked, refused), (10, AT_ONCE - 10));
}

/// Signing in again, delegating and ending lock sessions, browsers and families: in the order of ARCHITECTURE.md, or two of
/// them wait for each other until the database ends one.
#[apply(both_databases)]
async fn what_changes_a_browsers_sessions_at_once_never_waits_in_a_circle(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    let ann = t.signed_in("ann@example.com").await;
    let other = crate::support::Browser::new(&t.url);
    other.sign_in("ann@example.com", PASSWORD).await;
    for _ in 0..25 {
        app.redeem(&ann.open(&app).await).await.ok();
        let devices = browsers(&t).await;
        // One of them ends the browser that asks: its forms are there before.
        let csrf = other.csrf("/sessions").await;
        let again = async {
            let form = [("email", "ann@example.com"), ("password", PASSWORD)];
            ann.submit("/login?again=1", "/login", &form).await.status()
        };
        let delegated = async { ann.authorize(&app, &[]).await.status() };
        let ends = join_all(devices.iter().map(|device| {
            let (other, path) = (&other, format!("/sessions/devices/{device}/revoke"));
            let fields = [("csrf", csrf.as_str())];
            async move { other.post(&path, &fields, &[]).await.status() }
        }));
        let (again, delegated, ends) = tokio::join!(again, delegated, ends);
        assert_eq!(again, StatusCode::SEE_OTHER);
        assert_eq!(delegated, StatusCode::SEE_OTHER);
        assert!(ends.iter().all(|status| *status == StatusCode::SEE_OTHER), "{ends:?}");
        ann.sign_in("ann@example.com", PASSWORD).await;
        other.sign_in("ann@example.com", PASSWORD).await;
    }
}

/// The browsers of the only user.
async fn browsers(t: &TestApp) -> Vec<uuid::Uuid> {
    let sql = "SELECT browser_id FROM user_browsers";
    let found = database::all!(t.authority.store.db().read(), (uuid::Uuid,), sql).unwrap();
    found.into_iter().map(|(id,)| id).collect()
}

/// A link to become the administrator stands in a terminal or log. There is one at a time, whatever starts at once.
#[apply(both_databases)]
async fn one_link_makes_an_administrator(#[case] engine: Engine) {
    use aa_server::ops::users::first_administrator;
    let Some(t) = engine.start().await else { return };
    let links = (0..8).map(|_| {
        let authority = std::sync::Arc::clone(&t.authority);
        tokio::spawn(async move { first_administrator(&authority).await.unwrap().unwrap() })
    });
    let links: Vec<String> = join_all(links)
        .await
        .into_iter()
        .map(|link| secrecy::ExposeSecret::expose_secret(&link.unwrap()).to_owned())
        .collect();
    let open = "SELECT COUNT(*) FROM invitations WHERE used_at IS NULL";
    let count = async || {
        database::optional!(t.authority.store.db().read(), (i64,), open).unwrap().unwrap().0
    };
    assert_eq!(count().await, 1);
    // An operator's invitations for administrators are withdrawn with the first that is accepted.
    let invitation = aa_server::store::Invitation { email: String::new(), admin: true };
    let (actor, caller) = (aa_server::domain::event::Actor::Operator, Caller::operator());
    let mut more = Vec::new();
    for _ in 0..3 {
        let link = aa_server::ops::users::invite(&t.authority, &invitation, actor.clone(), &caller);
        more.push(secrecy::ExposeSecret::expose_secret(&link.await.unwrap()).to_owned());
    }
    let accepted = links.iter().chain(&more).enumerate().map(|(number, link)| {
        let token = link.split('=').next_back().unwrap().to_owned();
        let url = t.url.clone();
        tokio::spawn(async move {
            let browser = crate::support::Browser::new(&url);
            let email = format!("admin-{number}@example.com");
            let form = [("invitation", token.as_str()), ("email", &email), ("password", PASSWORD)];
            browser.submit("/login", "/register", &form).await.status()
        })
    });
    let statuses: Vec<_> = join_all(accepted).await.into_iter().map(Result::unwrap).collect();
    let made = statuses.iter().filter(|status| **status == StatusCode::SEE_OTHER).count();
    assert_eq!(made, 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| status.as_u16() < 500), "{statuses:?}");
    assert_eq!(count().await, 0);
}
