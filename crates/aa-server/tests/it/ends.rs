//! The log of ends: every end is in it once, and a reader misses none.

use std::collections::BTreeSet;
use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::domain::event::{EndKind, EndReason};
use aa_server::ops::{clients, users};
use aa_server::store::{EndRecord, Error};
use database::execute;
use uuid::Uuid;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Browser, Engine, PASSWORD, TestApp, both_databases};

#[test]
fn ends_are_written_in_one_file() {
    const ENDS: [&str; 7] = [
        "ended_at =",
        "end_reason =",
        "epoch = epoch",
        "enabled = FALSE",
        "enabled = $",
        "INTO ends",
        "UPDATE ends",
    ];
    let mut writers = BTreeSet::new();
    for (path, text) in crate::architecture::sources("") {
        for literal in text.split('"').map(str::trim) {
            let writes = ["UPDATE ", "INSERT "].iter().any(|verb| literal.starts_with(verb));
            // The reader assigns positions to ends that were written.
            let writes = writes && !literal.starts_with("UPDATE ends SET serial = n.serial");
            if writes && ENDS.iter().any(|end| literal.contains(end)) {
                writers.insert(path.file_name().unwrap().to_owned());
            }
        }
    }
    assert_eq!(writers, BTreeSet::from(["ends.rs".into()]));
}

async fn all_ends(t: &TestApp) -> Vec<EndRecord> {
    t.authority.store.ends_after(0, 1000).await.unwrap()
}

fn summary(ends: &[EndRecord]) -> Vec<(EndKind, EndReason)> {
    ends.iter().map(|end| (end.kind, end.reason)).collect()
}

#[apply(both_databases)]
async fn every_end_is_logged_once_with_what_it_ended(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let ann = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let app = t.confidential().await;
    assert_eq!(all_ends(&t).await, []);

    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.redeem(&browser.open(&app).await).await.ok();
    t.advance(1);
    app.post("/oauth/revoke", &[("token", second.refresh_token())]).await;
    app.post("/oauth/revoke", &[("token", second.refresh_token())]).await;
    t.advance(1);
    let third = app.redeem(&browser.open(&app).await).await.ok();
    browser.sign_in("ann@example.com", PASSWORD).await;
    t.advance(1);
    app.refresh(third.refresh_token()).await.ok();
    browser.submit("/sessions", "/sessions/revoke-others", &[]).await;
    t.advance(1);
    browser.submit("/sessions", "/logout", &[]).await;
    t.advance(1);
    clients::set_enabled(&t.authority, &app.id, false, &Caller::operator()).await.unwrap();
    clients::set_enabled(&t.authority, &app.id, true, &Caller::operator()).await.unwrap();
    t.advance(1);
    users::set_enabled(&t.authority, &ann, false, &Caller::operator()).await.unwrap();

    let ends = all_ends(&t).await;
    let expected = [
        (EndKind::Family, EndReason::Superseded),
        (EndKind::Family, EndReason::RevokedByApp),
        (EndKind::BrowserSession, EndReason::SignedInAgain),
        (EndKind::User, EndReason::RevokedByUser),
        (EndKind::BrowserSession, EndReason::SignedOut),
        (EndKind::Client, EndReason::ClientDisabled),
        (EndKind::User, EndReason::UserDisabled),
    ];
    assert_eq!(summary(&ends), expected);
    assert_eq!(ends.iter().map(|end| end.serial).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let family = t.family(first.family()).await;
    assert_eq!(ends[0].family_id, Some(first.family()));
    assert_eq!(ends[0].client_id.as_deref(), Some("backend"));
    assert_eq!(ends[0].user_id, Some(ann.id));
    assert_eq!(ends[0].browser_id, Some(family.browser_id));
    assert_eq!(ends[1].family_id, Some(second.family()));
    assert_ne!(ends[2].browser_session_id, ends[4].browser_session_id);
    assert_eq!(ends[3].user_epoch, 0);
    assert_eq!(
        ends[3].kept_browser_session_id, ends[4].browser_session_id,
        "which signed out later"
    );
    assert_eq!(ends[5].client_id.as_deref(), Some("backend"));
    assert_eq!((ends[6].user_epoch, ends[6].kept_browser_session_id), (1, None));
    assert!(ends.is_sorted_by_key(|end| end.ended_at));
    assert_eq!(t.authority.store.ends_after(5, 1).await.unwrap(), ends[5..6]);
    assert_eq!(t.authority.store.ends_after(7, 1).await.unwrap(), []);
}

#[apply(both_databases)]
async fn the_end_of_a_browser_is_one_row(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let family = t.family(first.family()).await;
    let other = Browser::new(&t.url);
    other.sign_in("ann@example.com", PASSWORD).await;
    let path = format!("/sessions/devices/{}/revoke", family.browser_id);
    other.submit("/sessions", &path, &[]).await;
    assert!(!t.is_live(first.family()).await);
    let ends = all_ends(&t).await;
    assert_eq!(summary(&ends), [(EndKind::Browser, EndReason::RevokedByUser)]);
    assert_eq!(ends[0].browser_id, Some(family.browser_id));
    assert_eq!(ends[0].user_id, Some(family.user_id));
}

#[apply(both_databases)]
async fn the_detail_of_a_reuse_is_in_the_log(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    app.redeem(&code).await.ok();
    app.redeem(&code).await.refused("invalid_grant");
    let ends = all_ends(&t).await;
    assert_eq!(summary(&ends), [(EndKind::Family, EndReason::Reuse)]);
    assert!(ends[0].detail.as_deref().unwrap().contains("\"second\""));
}

/// A transaction that has added an end and is still open commits after a later end has been read.
#[apply(both_databases)]
async fn an_end_that_commits_late_is_read_after_those_before_it(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    let store = &t.authority.store;
    let late = Uuid::from_u128(1);
    let mut open = store.db().begin().await.unwrap();
    execute!(
        open.on(),
        "INSERT INTO ends (id, user_epoch, ended_at, kind, client_id, reason)
         VALUES ($1, 0, $2, 'client', 'late', 'client_disabled')",
        late,
        t.authority.now()
    )
    .unwrap();
    t.advance(1);
    let (authority, id) = (t.authority.clone(), app.id.clone());
    let second = tokio::spawn(async move {
        clients::set_enabled(&authority, &id, false, &Caller::operator()).await.unwrap();
    });
    let mut cursor = 0;
    if store.db().kind() == "PostgreSQL" {
        second.await.unwrap();
        let read = store.ends_after(cursor, 10).await.unwrap();
        assert_eq!(
            read.iter().map(|end| end.client_id.as_deref()).collect::<Vec<_>>(),
            [Some("backend")]
        );
        cursor = read[0].serial;
        assert_eq!(store.ends_after(cursor, 10).await.unwrap(), []);
        open.commit().await.unwrap();
    } else {
        // SQLite has one writer: the second end waits for the first. The reader waits for neither.
        assert_eq!(store.ends_after(cursor, 10).await.unwrap(), []);
        open.commit().await.unwrap();
        let read = store.ends_after(cursor, 1).await.unwrap();
        assert_eq!(read[0].client_id.as_deref(), Some("late"));
        second.await.unwrap();
    }
    let read = store.ends_after(cursor, 10).await.unwrap();
    assert_eq!(read[0].client_id.as_deref(), Some("late"));
    assert_eq!(all_ends(&t).await.len(), 2);
}

/// Ends of eight clients at once, in transactions that stay open for different times, against three readers that each
/// keep a cursor. Every reader sees every end, once, in one order.
#[apply(both_databases)]
async fn readers_beside_writers_miss_no_end(#[case] engine: Engine) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let Some(t) = engine.start().await else { return };
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let app = t.add_client(&format!("app-{number}"), ClientType::Public, |_| ()).await;
        let authority = t.authority.clone();
        writers.push(tokio::spawn(async move {
            for round in 0..EACH {
                if (number + round) % 3 == 0 {
                    // The serial of an end must not depend on when its row is written.
                    let mut tx = authority.store.db().begin().await.unwrap();
                    execute!(
                        tx.on(),
                        "INSERT INTO ends (id, user_epoch, ended_at, kind, client_id, reason)
                         VALUES ($1, 0, $2, 'client', $3, 'client_disabled')",
                        authority.random.uuid(),
                        authority.now(),
                        app.id.as_str()
                    )
                    .unwrap();
                    tokio::time::sleep(Duration::from_millis((number * 3 + round) as u64 % 7))
                        .await;
                    tx.commit().await.unwrap();
                } else {
                    clients::set_enabled(&authority, &app.id, false, &Caller::operator())
                        .await
                        .unwrap();
                }
            }
        }));
    }
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let authority = t.authority.clone();
            tokio::spawn(async move {
                let mut seen: Vec<i64> = Vec::new();
                while seen.len() < WRITERS * EACH {
                    let cursor = seen.last().copied().unwrap_or_default();
                    let read = authority.store.ends_after(cursor, 7).await.unwrap();
                    seen.extend(read.iter().map(|end| end.serial));
                    tokio::task::yield_now().await;
                }
                seen
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let count = i64::try_from(WRITERS * EACH).unwrap();
    for reader in readers {
        let seen = tokio::time::timeout(Duration::from_secs(30), reader).await;
        let seen = seen.expect("a reader missed an end").unwrap();
        assert_eq!(seen, (1..=count).collect::<Vec<_>>());
    }
}

#[apply(both_databases)]
async fn ends_are_kept_for_a_month_and_what_they_ended_stays_ended(#[case] engine: Engine) {
    const DAY: u64 = 24 * 60 * 60;
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    browser.submit("/sessions", "/sessions/revoke-all", &[]).await;
    browser.sign_in("ann@example.com", PASSWORD).await;
    let page = browser.get("/sessions").await.text().await.unwrap();
    assert!(page.contains("You signed it out."), "{page}");

    t.advance(30 * DAY);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert!(summary(&all_ends(&t).await).contains(&(EndKind::User, EndReason::RevokedByUser)));
    t.advance(2 * DAY);
    t.authority.store.remove_old(t.authority.now(), t.authority.config.events_kept).await.unwrap();
    assert_eq!(all_ends(&t).await, []);
    assert!(!t.is_live(first.family()).await);
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let since = t.authority.now() - Duration::from_secs(30 * DAY);
    let now = t.authority.now();
    for which in [(true, since), (false, since)] {
        let found = t.authority.store.sessions_before(user.id, None, 10, which, now).await;
        assert!(found.unwrap().is_empty());
    }

    // Serials go on where they were.
    clients::set_enabled(&t.authority, &app.id, false, &Caller::operator()).await.unwrap();
    assert!(all_ends(&t).await[0].serial > 1);
}

#[apply(both_databases)]
async fn an_end_that_cannot_be_read_is_an_error(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    clients::set_enabled(&t.authority, &app.id, false, &Caller::operator()).await.unwrap();
    execute!(t.authority.store.db().write(), "UPDATE ends SET reason = 'eaten'").unwrap();
    let error = t.authority.store.ends_after(0, 10).await.unwrap_err();
    assert!(
        matches!(error, Error::Inconsistent { table: "ends", column: "reason", row } if row == "1")
    );
}
