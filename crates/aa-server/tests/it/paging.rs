//! Every list is read a page at a time: each row once, whatever is added or ended meanwhile, and by cursors that cannot
//! be made up.

use std::collections::BTreeSet;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::domain::event::{Actor, EventKind};
use aa_server::domain::ids::UserId;
use aa_server::ops::lists::{self, Page, PageError, PageRequest, Sessions};
use aa_server::store::EventFilter;
use reqwest::StatusCode;

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{Browser, Engine, PASSWORD, TestApp, both_databases};

/// Reads a list to its end, three at a time, and calls `between` after each page. No item may come twice.
async fn read_all<T, K: Ord + Clone + std::fmt::Debug>(
    read: impl AsyncFn(PageRequest<'_>) -> Result<Page<T>, PageError>,
    key: impl Fn(&T) -> K,
    between: impl AsyncFn(usize),
) -> Vec<K> {
    let (mut seen, mut cursor): (Vec<K>, Option<String>) = (Vec::new(), None);
    for number in 0.. {
        let page = read(PageRequest { cursor: cursor.as_deref(), limit: 3 }).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items.iter().map(&key));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        between(number).await;
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "{seen:?}");
    seen
}

async fn nothing(_: usize) {}

/// The events of one user, or all.
fn of(user: Option<UserId>) -> EventFilter {
    EventFilter { user, ..EventFilter::default() }
}

#[apply(both_databases)]
async fn users_and_clients_are_listed_once_each_while_others_come(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    for number in 0..8 {
        t.add_user(&format!("B{number}@example.com")).await;
        t.add_client(&format!("app-{number}"), ClientType::Public, |_| ()).await;
    }
    let read = async |page: PageRequest<'_>| lists::users(&t.authority, page).await;
    let seen = read_all(
        read,
        |user| user.email.clone(),
        async |number| {
            if number < 2 {
                t.add_user(&format!("a{number}@example.com")).await;
                t.add_user(&format!("c{number}@example.com")).await;
            }
        },
    )
    .await;
    let mut expected: Vec<_> = (0..8).map(|number| format!("B{number}@example.com")).collect();
    expected.extend(["c0@example.com", "c1@example.com"].map(str::to_owned));
    assert_eq!(seen, expected, "those that come before what was read are not seen any more");
    let read = async |page: PageRequest<'_>| lists::clients(&t.authority, page).await;
    let seen = read_all(read, |client| client.metadata.client_id.clone(), nothing).await;
    assert_eq!(seen, (0..8).map(|number| format!("app-{number}")).collect::<Vec<_>>());
}

async fn add_events(t: &TestApp, user: UserId, count: usize) {
    for _ in 0..count {
        let event = t
            .authority
            .event(EventKind::BrowserRenamed, Actor::System, &Caller::operator())
            .user(user);
        t.authority.store.add_event(&event, t.authority.now()).await.unwrap();
    }
}

#[apply(both_databases)]
async fn events_of_one_moment_are_listed_once_each_while_others_come(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let ann = t.add_user("ann@example.com").await;
    let bo = t.add_user("bo@example.com").await;
    // The clock stands still: all have the same time.
    add_events(&t, ann, 7).await;
    add_events(&t, bo, 7).await;
    let all = t.authority.store.events_before(&of(None), None, 1000).await.unwrap().len();
    let read = async |page: PageRequest<'_>| lists::events(&t.authority, &of(None), page).await;
    let seen = read_all(
        read,
        |event| event.id,
        async |_| {
            t.advance(1);
            add_events(&t, ann, 1).await;
        },
    )
    .await;
    assert_eq!(seen.len(), all, "newer ones are before the first page");
    let read = async |page: PageRequest<'_>| lists::events(&t.authority, &of(Some(bo)), page).await;
    let seen = read_all(read, |event| (event.id, event.user_id), nothing).await;
    assert_eq!(seen.len(), 8);
    assert!(seen.iter().all(|(_, user)| *user == Some(bo)));
}

#[apply(both_databases)]
async fn sessions_are_listed_once_each_while_some_end(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap().id;
    let app = t.add_client("many", ClientType::Public, |app| app.multiple_sessions = true).await;
    let mut opened = Vec::new();
    for _ in 0..8 {
        t.advance(1);
        opened.push(app.redeem(&browser.open(&app).await).await.ok());
    }
    let live = async |page: PageRequest<'_>| {
        lists::sessions(&t.authority, user, Sessions::Live, page).await
    };
    let seen = read_all(
        live,
        |row| row.id,
        async |number| {
            // One of those that were read already.
            app.post("/oauth/revoke", &[("token", opened[7 - number].refresh_token())]).await.ok();
        },
    )
    .await;
    let expected: Vec<_> = opened.iter().rev().map(crate::support::Answer::family).collect();
    assert_eq!(seen, expected);
    let since = t.authority.now() - std::time::Duration::from_hours(1);
    let which = Sessions::EndedSince(since);
    let ended =
        async |page: PageRequest<'_>| lists::sessions(&t.authority, user, which, page).await;
    let seen = read_all(ended, |row| row.id, nothing).await;
    assert_eq!(seen, expected[..2], "each is live or ended");
}

/// The target of the first link with this text.
fn link(page: &str, text: &str) -> Option<String> {
    let before =
        page.split(&format!("\">{text}</a>")).next().filter(|before| before.len() < page.len())?;
    Some(before.rsplit("href=\"").next()?.replace("&amp;", "&"))
}

#[apply(both_databases)]
async fn pages_lead_on_and_refuse_cursors_of_others(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let ann = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap().id;
    add_events(&t, ann, 120).await;
    let mut at = "/account/activity".to_owned();
    let mut shown = 0;
    let mut pages = Vec::new();
    loop {
        let page = browser.get(&at).await.text().await.unwrap();
        shown += page.matches("<li>").count();
        pages.push(at);
        match link(&page, "Older") {
            Some(next) => at = next,
            None => break,
        }
    }
    let all = t.authority.store.events_before(&of(Some(ann)), None, 1000).await.unwrap().len();
    assert_eq!((shown, pages.len()), (all, 3));

    let other = t.signed_in("bo@example.com").await;
    let cursor = pages[1].split('=').nth(1).unwrap();
    assert_eq!(browser.get(&pages[1]).await.status(), StatusCode::OK);
    for (who, at) in [
        (&other, pages[1].clone()),
        (&browser, format!("/account/activity?cursor={}", &cursor[1..])),
        (&browser, "/account/activity?cursor=AAAA".to_owned()),
        (&browser, format!("/sessions?cursor={cursor}")),
        (&browser, format!("/sessions?ended={cursor}")),
        (&browser, format!("/apps?cursor={cursor}")),
    ] {
        let answer = who.get(&at).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{at}");
        assert!(answer.text().await.unwrap().contains("Open the list from its beginning."));
    }
}

#[apply(both_databases)]
async fn the_pages_of_many_apps_and_sessions_are_bounded(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    for number in 0..130 {
        t.add_client(&format!("app-{number:03}"), ClientType::Public, |app| {
            app.multiple_sessions = true;
        })
        .await;
    }
    let first = browser.get("/apps").await.text().await.unwrap();
    assert_eq!(first.matches("class=\"tile ").count(), 100);
    let second = browser.get(&link(&first, "More apps").unwrap()).await.text().await.unwrap();
    assert_eq!(second.matches("class=\"tile ").count(), 30);
    assert_eq!(link(&second, "More apps"), None);

    let app = t.registered("app-000");
    for _ in 0..105 {
        app.redeem(&browser.open(&app).await).await.ok();
    }
    let first = browser.get("/sessions").await.text().await.unwrap();
    assert_eq!(first.matches("data-family=").count(), 100);
    let second = browser.get(&link(&first, "More sessions").unwrap()).await.text().await.unwrap();
    assert_eq!(second.matches("data-family=").count(), 5);
    let again = Browser::new(&t.url);
    again.sign_in("ann@example.com", PASSWORD).await;
    again.submit("/sessions", "/sessions/revoke-others", &[]).await;
    let ended = again.get("/sessions").await.text().await.unwrap();
    assert_eq!(ended.matches("You signed it out.").count(), 100);
    let older = again.get(&link(&ended, "Older").unwrap()).await.text().await.unwrap();
    assert_eq!(older.matches("You signed it out.").count(), 5);
}
