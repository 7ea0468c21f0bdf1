//! The token rules (contract §2), one by one. Each test fails when its rule is taken out.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use aa_server::ops::users;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Browser, CALLBACK, Engine, PASSWORD, VERIFIER, both_databases, location};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

#[apply(both_databases)]
async fn rule_1_tokens_are_opaque_strong_and_whole(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    let first = app.redeem(&code).await.ok();
    let rt = first.refresh_token().to_owned();
    for (token, prefix) in [(&code, "dt_"), (&rt, "rt_")] {
        assert!(token.starts_with(prefix) && token.len() <= 128, "{token}");
        let url_safe = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        assert!(token.chars().all(url_safe));
        let bytes = URL_SAFE_NO_PAD.decode(&token[3..]).unwrap();
        assert_eq!(&bytes[..16], first.family().uuid().as_bytes(), "it names its family");
    }
    // Every character counts, and an altered token leaves the family as it was.
    for index in (0..rt.len()).step_by(7).chain([0, rt.len() - 1]) {
        let mut altered = rt.clone().into_bytes();
        altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
        app.refresh(&String::from_utf8(altered).unwrap()).await.refused("invalid_grant");
    }
    for altered in [&rt[..rt.len() - 1], &format!("{rt}A"), "rt_", "x", &rt.replace("rt_", "dt_")] {
        app.refresh(altered).await.refused("invalid_grant");
    }
    assert_eq!(t.family(first.family()).await.state.generation, 1);
    app.refresh(&rt).await.ok();
}

#[apply(both_databases)]
async fn rule_1_the_database_cannot_make_a_token(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    // A thief of the row and even of the server's secret still lacks the family's secret.
    let family = t.family(first.family()).await;
    let bytes = URL_SAFE_NO_PAD.decode(&first.refresh_token()[3..]).unwrap();
    let secret = &bytes[20..52];
    assert_ne!(family.secret_hash.as_bytes(), secret);
    let stolen: [u8; 32] = family.secret_hash.as_bytes().try_into().unwrap();
    let forged =
        t.authority.refresh_tokens.encode(&aa_server::domain::refresh_token::RefreshToken {
            family: family.id,
            generation: 1,
            secret: aa_server::domain::refresh_token::FamilySecret::new(stolen),
        });
    app.refresh(forged.expose()).await.refused("invalid_grant");
    assert!(t.is_live(family.id).await, "what is not genuine ends nothing");
    app.refresh(first.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_2_a_delegation_token_works_once(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    let first = app.redeem(&code).await.ok();
    // No grace: a second presentation ends the family.
    app.redeem(&code).await.refused("invalid_grant");
    assert!(!t.is_live(first.family()).await);
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    assert_eq!(t.events("family.reuse").await.len(), 1);
}

#[apply(both_databases)]
async fn rule_2_a_delegation_token_works_within_its_ttl(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let late = browser.open(&app).await;
    t.advance(31);
    app.redeem(&late).await.refused("invalid_grant");
    let in_time = browser.open(&app).await;
    t.advance(29);
    app.redeem(&in_time).await.ok();
}

#[apply(both_databases)]
async fn rule_2_a_delegation_token_is_bound(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let other = t.add_client("other", ClientType::Confidential, |_| ()).await;
    let code = browser.open(&app).await;
    let wrong_verifier = "x".repeat(43);
    // None of these uses it up, before or after it was redeemed.
    for round in 0..2 {
        other.redeem(&code).await.refused("invalid_grant");
        app.redeem_with(&code, "http://localhost:9/other", Some(VERIFIER))
            .await
            .refused("invalid_grant");
        app.redeem_with(&code, CALLBACK, Some(&wrong_verifier)).await.refused("invalid_grant");
        app.redeem_with(&code, CALLBACK, None).await.refused("invalid_grant");
        let mut impostor = app.clone();
        impostor.secret = Some("guess".to_owned());
        assert_eq!(impostor.redeem(&code).await.status, StatusCode::UNAUTHORIZED);
        app.refresh(&code).await.refused("invalid_grant");
        if round == 0 {
            let first = app.redeem(&code).await.ok();
            assert_eq!(first.claims()["client_id"], "backend");
        }
    }
    let family = t.events("family.started").await[0].family_id.unwrap();
    assert!(t.is_live(family).await, "only a valid second presentation ends it");
}

#[apply(both_databases)]
async fn rule_3_the_newest_token_moves_the_family(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let mut answer = app.redeem(&browser.open(&app).await).await.ok();
    let family = answer.family();
    for generation in 1..=5 {
        assert_eq!(t.family(family).await.state.generation, generation);
        let next = app.refresh(answer.refresh_token()).await.ok();
        assert_ne!(next.refresh_token(), answer.refresh_token());
        assert_ne!(next.access_token(), answer.access_token());
        assert_eq!(next.family(), family);
        answer = next;
    }
}

#[apply(both_databases)]
async fn rule_3_a_refresh_token_is_its_apps_alone(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    for other in [t.add_client("other", ClientType::Confidential, |_| ()).await, t.public().await] {
        // The newest, and the one that grace would answer.
        for token in [second.refresh_token(), first.refresh_token()] {
            other.refresh(token).await.refused("invalid_grant");
        }
    }
    assert_eq!(t.family(first.family()).await.state.generation, 2, "nothing was rotated");
    app.refresh(second.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_4_the_predecessor_is_answered_with_the_same_successor(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    let before = t.family(first.family()).await.state;
    t.advance(5);
    let again = app.refresh(first.refresh_token()).await.ok();
    assert_eq!(again.refresh_token(), second.refresh_token(), "never a second live one");
    assert_ne!(again.claims()["jti"], second.claims()["jti"], "a fresh application token");
    assert_eq!(t.family(first.family()).await.state, before, "nothing is extended");
    app.refresh(second.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_4_grace_ends_with_its_window(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    // Ten seconds for apps that anybody can pretend to be, ten minutes for those that authenticate.
    for (app, inside, outside) in [(t.public().await, 8, 3), (t.confidential().await, 595, 10)] {
        let first = app.redeem(&browser.open(&app).await).await.ok();
        app.refresh(first.refresh_token()).await.ok();
        t.advance(inside);
        app.refresh(first.refresh_token()).await.ok();
        t.advance(outside);
        app.refresh(first.refresh_token()).await.refused("invalid_grant");
        assert!(!t.is_live(first.family()).await, "{}", app.id);
    }
}

#[apply(both_databases)]
async fn rule_4_grace_ends_when_the_successor_is_used(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    let third = app.refresh(second.refresh_token()).await.ok();
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    assert!(!t.is_live(first.family()).await);
    app.refresh(third.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn rule_4_grace_can_be_none(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("strict", ClientType::Confidential, |app| {
            app.lifetimes.refresh_grace = Some(std::time::Duration::ZERO);
        })
        .await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    app.refresh(first.refresh_token()).await.ok();
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    assert!(!t.is_live(first.family()).await);
}

#[apply(both_databases)]
async fn rule_5_reuse_ends_the_family_and_names_both_places(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    t.advance(11);
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    app.refresh(second.refresh_token()).await.refused("invalid_grant");
    let events = t.events("family.reuse").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].family_id, Some(first.family()));
    let detail: serde_json::Value = events[0].detail.clone();
    for place in ["first", "second"] {
        assert_eq!(detail[place]["ip"], "127.0.0.1");
        assert!(detail[place]["user_agent"].as_str().unwrap().contains("Firefox"));
        assert!(detail[place]["at"].as_str().unwrap().starts_with("20"));
    }
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert!(page.contains("It was used twice: from Firefox on Linux, 127.0.0.1"), "{page}");
}

#[apply(both_databases)]
async fn rule_5_only_an_otherwise_valid_request_ends_a_family(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let other = t.add_client("other", ClientType::Confidential, |_| ()).await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    let third = app.refresh(second.refresh_token()).await.ok();
    let old = first.refresh_token();
    other.refresh(old).await.refused("invalid_grant");
    let mut impostor = app.clone();
    impostor.secret = Some("guess".to_owned());
    assert_eq!(impostor.refresh(old).await.status, StatusCode::UNAUTHORIZED);
    app.refresh(&old[..old.len() - 1]).await.refused("invalid_grant");
    assert!(t.is_live(first.family()).await);
    let answer = app
        .token(&[("grant_type", "refresh_token"), ("refresh_token", old), ("scope", "admin")])
        .await;
    answer.refused("invalid_scope");
    assert!(t.is_live(first.family()).await, "a request that is wrong by itself ends nothing");
    app.refresh(third.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_6_a_family_ends_when_it_is_not_used(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let mut answer = app.redeem(&browser.open(&app).await).await.ok();
    for _ in 0..2 {
        t.advance(29 * DAY);
        answer = app.refresh(answer.refresh_token()).await.ok();
    }
    t.advance(30 * DAY);
    app.refresh(answer.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn rule_6_a_family_ends_absolutely_and_its_tokens_with_it(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let mut answer = app.redeem(&browser.open(&app).await).await.ok();
    for _ in 0..4 {
        t.advance(22 * DAY);
        answer = app.refresh(answer.refresh_token()).await.ok();
    }
    let expires_at = t.family(answer.family()).await.state.expires_at;
    assert!(t.family(answer.family()).await.state.idle_expires_at <= expires_at);
    t.advance(2 * DAY - 2 * MINUTE);
    answer = app.refresh(answer.refresh_token()).await.ok();
    assert_eq!(answer.claims()["exp"], expires_at.secs(), "never past the family");
    assert!(answer.json["expires_in"].as_i64().unwrap() <= 120);
    t.advance(2 * MINUTE);
    app.refresh(answer.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn rule_6_lifetimes_are_five_minutes_unless_an_app_has_its_own(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let answer = app.redeem(&browser.open(&app).await).await.ok();
    assert_eq!(answer.json["expires_in"], 300);
    assert_eq!(
        answer.claims()["exp"].as_i64().unwrap() - answer.claims()["iat"].as_i64().unwrap(),
        300
    );
    let hasty = t
        .add_client("hasty", ClientType::Confidential, |app| {
            let seconds = |seconds| Some(std::time::Duration::from_secs(seconds));
            app.lifetimes.at_ttl = seconds(7);
            app.lifetimes.dt_ttl = seconds(5);
            app.lifetimes.family_idle_ttl = seconds(20);
            app.lifetimes.family_ttl = seconds(30);
        })
        .await;
    let late = browser.open(&hasty).await;
    t.advance(5);
    hasty.redeem(&late).await.refused("invalid_grant");
    let first = hasty.redeem(&browser.open(&hasty).await).await.ok();
    assert_eq!(first.json["expires_in"], 7);
    assert_eq!(first.json["refresh_token_expires_in"], 20, "the idle end");
    t.advance(19);
    let second = hasty.refresh(first.refresh_token()).await.ok();
    assert_eq!(second.json["refresh_token_expires_in"], 11, "the absolute end is nearer");
    t.advance(11);
    hasty.refresh(second.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn rule_7_signing_out_ends_this_browsers_families(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let not_found = Browser::new(&t.url);
    not_found.sign_in("ann@example.com", PASSWORD).await;
    let app = t.confidential().await;
    let here = app.redeem(&browser.open(&app).await).await.ok();
    let there = app.redeem(&not_found.open(&app).await).await.ok();
    let pending = browser.open(&app).await;
    let left = browser.submit("/apps", "/logout", &[]).await;
    assert_eq!(location(&left), "/login?done=signed-out");
    assert_eq!(browser.cookie("aa_identity"), None);
    app.refresh(here.refresh_token()).await.refused("invalid_grant");
    app.redeem(&pending).await.refused("invalid_grant");
    app.refresh(there.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_7_an_app_may_outlive_sign_out(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app =
        t.add_client("kiosk", ClientType::Confidential, |app| app.outlives_sign_out = true).await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let pending = browser.open(&app).await;
    browser.submit("/apps", "/logout", &[]).await;
    let second = app.refresh(first.refresh_token()).await.ok();
    app.redeem(&pending).await.refused("invalid_grant");
    // Everything else still ends it.
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::set_enabled(&t.authority, &user, false, &Caller::operator()).await.unwrap();
    app.refresh(second.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn rule_7_a_disabled_user_gets_nothing(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let pending = browser.open(&app).await;
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::set_enabled(&t.authority, &user, false, &Caller::operator()).await.unwrap();
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    app.redeem(&pending).await.refused("invalid_grant");
    assert_eq!(location(&browser.get("/apps").await), "/login?return_to=%2Fapps");
    // Enabled again, what had ended stays ended.
    users::set_enabled(&t.authority, &user, true, &Caller::operator()).await.unwrap();
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    app.redeem(&pending).await.refused("invalid_grant");
    assert_eq!(browser.sign_in("ann@example.com", PASSWORD).await.status(), StatusCode::SEE_OTHER);
    app.redeem(&browser.open(&app).await).await.ok();
}

#[apply(both_databases)]
async fn rule_7_a_disabled_app_gets_nothing(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let pending = browser.open(&app).await;
    clients::set_enabled(&t.authority, "backend", false, &Caller::operator()).await.unwrap();
    assert_eq!(app.refresh(first.refresh_token()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.redeem(&pending).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.authorize(&app, &[]).await.status(), StatusCode::BAD_REQUEST);
    clients::set_enabled(&t.authority, "backend", true, &Caller::operator()).await.unwrap();
    app.refresh(first.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_7_a_password_change_ends_all_but_this_browser(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let not_found = Browser::new(&t.url);
    not_found.sign_in("ann@example.com", PASSWORD).await;
    let app = t.confidential().await;
    let here = app.redeem(&browser.open(&app).await).await.ok();
    let there = app.redeem(&not_found.open(&app).await).await.ok();
    let new = "violet anchor 9";
    let fields = [("current_password", PASSWORD), ("new_password", new)];
    let changed = browser.submit("/account", "/account/password", &fields).await;
    assert_eq!(location(&changed), "/account/security?done=password-changed");
    let here = app.refresh(here.refresh_token()).await.ok();
    app.refresh(there.refresh_token()).await.refused("invalid_grant");
    assert_eq!(browser.get("/apps").await.status(), StatusCode::OK);
    assert_eq!(not_found.get("/apps").await.status(), StatusCode::SEE_OTHER);
    // A second change must not wake up what the first one ended.
    not_found.sign_in("ann@example.com", new).await;
    let fields = [("current_password", new), ("new_password", "copper window 7")];
    not_found.submit("/account", "/account/password", &fields).await;
    app.refresh(there.refresh_token()).await.refused("invalid_grant");
    app.refresh(here.refresh_token()).await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn rule_7_a_password_reset_ends_all(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let new = "violet anchor 9".into();
    users::reset_password(&t.authority, &user, new, &Caller::operator()).await.unwrap();
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER);
}

#[apply(both_databases)]
async fn rule_8_one_family_per_user_app_and_browser(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let not_found = Browser::new(&t.url);
    not_found.sign_in("ann@example.com", PASSWORD).await;
    let app = t.confidential().await;
    let other = t.add_client("other", ClientType::Confidential, |_| ()).await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let in_other = other.redeem(&browser.open(&other).await).await.ok();
    let in_elsewhere = app.redeem(&not_found.open(&app).await).await.ok();
    let unredeemed = browser.open(&app).await;
    assert!(t.is_live(first.family()).await, "a delegation alone ends nothing");
    let second = app.redeem(&browser.open(&app).await).await.ok();
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    app.refresh(second.refresh_token()).await.ok();
    other.refresh(in_other.refresh_token()).await.ok();
    app.refresh(in_elsewhere.refresh_token()).await.ok();
    // An earlier delegation that is redeemed later is the newer redemption.
    let third = app.redeem(&unredeemed).await.ok();
    assert!(!t.is_live(second.family()).await);
    assert!(t.is_live(third.family()).await);
}

#[apply(both_databases)]
async fn rule_8_an_app_may_have_several(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app =
        t.add_client("editor", ClientType::Confidential, |app| app.multiple_sessions = true).await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    app.redeem(&browser.open(&app).await).await.ok();
    app.refresh(first.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_9_after_an_end_no_token_works(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    let path = format!("/sessions/{}/revoke", first.family());
    assert_eq!(browser.submit("/sessions", &path, &[]).await.status(), StatusCode::SEE_OTHER);
    app.refresh(second.refresh_token()).await.refused("invalid_grant");
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    assert!(
        t.events("family.reuse").await.is_empty(),
        "an ended family is refused, not ended again"
    );
    // Idempotent.
    assert_eq!(browser.submit("/sessions", &path, &[]).await.status(), StatusCode::SEE_OTHER);
}

#[apply(both_databases)]
async fn rule_11_expired_is_refused_and_ends_nothing_else(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("hasty", ClientType::Confidential, |app| {
            app.lifetimes.family_idle_ttl = Some(std::time::Duration::from_mins(5));
            app.multiple_sessions = true;
        })
        .await;
    let idle = app.redeem(&browser.open(&app).await).await.ok();
    let newest = app.refresh(idle.refresh_token()).await.ok();
    t.advance(4 * MINUTE);
    let other = app.redeem(&browser.open(&app).await).await.ok();
    t.advance(2 * MINUTE);
    app.refresh(newest.refresh_token()).await.refused("invalid_grant");
    app.refresh(idle.refresh_token()).await.refused("invalid_grant");
    assert!(t.events("family.reuse").await.is_empty());
    app.refresh(other.refresh_token()).await.ok();
}

#[apply(both_databases)]
async fn rule_11_consumed_generations_stay_recognisable(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let mut answer = app.refresh(first.refresh_token()).await.ok();
    for _ in 0..3 {
        t.advance(29 * DAY);
        t.authority
            .store
            .remove_old(t.authority.now(), t.authority.config.events_kept)
            .await
            .unwrap();
        answer = app.refresh(answer.refresh_token()).await.ok();
    }
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
    assert_eq!(t.events("family.reuse").await.len(), 1, "after 87 days");
    assert!(!t.is_live(first.family()).await);
}

#[apply(both_databases)]
async fn old_rows_go_in_time_and_not_before(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    browser.open(&app).await;
    let families = async || {
        let db = t.authority.store.db().read();
        let sql = "SELECT COUNT(*) FROM families";
        database::optional!(db, (i64,), sql).unwrap().unwrap().0
    };
    assert_eq!(families().await, 2);
    t.advance(2 * DAY);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert_eq!(families().await, 1, "the one never redeemed is gone");
    t.advance(117 * DAY);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert!(t.authority.store.family(first.family()).await.unwrap().is_some());
    t.advance(2 * DAY);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert!(t.authority.store.family(first.family()).await.unwrap().is_none());
    app.refresh(first.refresh_token()).await.refused("invalid_grant");
}
