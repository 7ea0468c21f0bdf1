//! Lists, a page at a time.

use std::collections::{HashMap, HashSet};

use foundation::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::authority::Authority;
use crate::domain::delivery::DeliveryId;
use crate::domain::ids::{FamilyId, UserId};
use crate::services::cursor::BadCursor;
use crate::store::{
    self, Client, DeliveryRow, EventFilter, EventPosition, EventRow, RegistrationToken, SessionRow,
    User,
};

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// A request for a page.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// The cursor that the page before gave; none for the first page.
    pub cursor: Option<&'a str>,
    /// Items, at most.
    pub limit: u32,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The cursor is not one of this list.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The users, by address.
///
/// # Errors
/// [`PageError`].
pub async fn users(authority: &Authority, page: PageRequest<'_>) -> Result<Page<User>, PageError> {
    let list = List { authority, name: "users".to_owned(), page };
    let after: Option<String> = list.position()?;
    let rows = authority.store.users_after(after.as_deref().unwrap_or(""), list.rows()).await?;
    Ok(list.page(rows, |user| user.email.to_lowercase()))
}

/// The clients, by id.
///
/// # Errors
/// [`PageError`].
pub async fn clients(
    authority: &Authority,
    page: PageRequest<'_>,
) -> Result<Page<Client>, PageError> {
    let list = List { authority, name: "clients".to_owned(), page };
    let after: Option<String> = list.position()?;
    let rows = authority.store.clients_after(after.as_deref().unwrap_or(""), list.rows()).await?;
    Ok(list.page(rows, |client| client.metadata.client_id.clone()))
}

/// The tokens that clients are registered with, by name.
///
/// # Errors
/// [`PageError`].
pub async fn registration_tokens(
    authority: &Authority,
    page: PageRequest<'_>,
) -> Result<Page<RegistrationToken>, PageError> {
    let list = List { authority, name: "registration_tokens".to_owned(), page };
    let after: Option<String> = list.position()?;
    let after = after.as_deref().unwrap_or("");
    let rows = authority.store.registration_tokens_after(after, list.rows()).await?;
    Ok(list.page(rows, |token| token.name.clone()))
}

/// Events, the newest first.
///
/// # Errors
/// [`PageError`].
pub async fn events(
    authority: &Authority,
    only: &EventFilter,
    page: PageRequest<'_>,
) -> Result<Page<EventRow>, PageError> {
    let name = only.user.map_or_else(|| "events".to_owned(), |user| format!("events:{user}"));
    let list = List { authority, name, page };
    let before: Option<EventPosition> = list.position()?;
    let rows = authority.store.events_before(only, before, list.rows()).await?;
    Ok(list.page(rows, EventRow::position))
}

/// The sessions of a user, live ones or such as have ended since a time, the last opened first.
///
/// # Errors
/// [`PageError`].
pub async fn sessions(
    authority: &Authority,
    user: UserId,
    which: Sessions,
    page: PageRequest<'_>,
) -> Result<Page<SessionRow>, PageError> {
    let name = match which {
        Sessions::Live => format!("live:{user}"),
        Sessions::EndedSince(_) => format!("ended:{user}"),
    };
    let list = List { authority, name, page };
    let before: Option<FamilyId> = list.position()?;
    let now = authority.now();
    let which = match which {
        Sessions::Live => (true, now),
        Sessions::EndedSince(since) => (false, since),
    };
    let rows = authority.store.sessions_before(user, before, list.rows(), which, now).await?;
    Ok(list.page(rows, |row| row.id))
}

/// Which sessions of a user to list.
#[derive(Debug, Clone, Copy)]
pub enum Sessions {
    /// Those that are live.
    Live,
    /// Those that have ended since then.
    EndedSince(Timestamp),
}

/// Messages to other systems that wait or were given up, the oldest first.
///
/// # Errors
/// [`PageError`].
pub async fn deliveries(
    authority: &Authority,
    page: PageRequest<'_>,
) -> Result<Page<DeliveryRow>, PageError> {
    let list = List { authority, name: "deliveries".to_owned(), page };
    let after: Option<DeliveryId> = list.position()?;
    let rows = authority.store.deliveries(after, list.rows()).await?;
    Ok(list.page(rows, |row| row.id))
}

/// The names of clients, as people see them; the id of one that is gone.
///
/// # Errors
/// When the database cannot answer.
pub async fn client_names<'a>(
    authority: &Authority,
    ids: impl Iterator<Item = &'a str>,
) -> store::Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    for id in ids {
        if !names.contains_key(id) {
            let client = authority.store.client(id).await?;
            let name = client.map_or_else(|| id.to_owned(), |client| client.metadata.name);
            names.insert(id.to_owned(), name);
        }
    }
    Ok(names)
}

/// The clients among these that are agents.
///
/// # Errors
/// When the database cannot answer.
pub async fn agents<'a>(
    authority: &Authority,
    ids: impl Iterator<Item = &'a str>,
) -> store::Result<HashSet<String>> {
    let mut agents = HashSet::new();
    for id in ids.collect::<HashSet<_>>() {
        let client = authority.store.client(id).await?;
        if client.is_some_and(|client| client.metadata.is_agent()) {
            agents.insert(id.to_owned());
        }
    }
    Ok(agents)
}

/// The addresses of users, by their ids. One who is gone has none.
///
/// # Errors
/// When the database cannot answer.
pub async fn user_emails(
    authority: &Authority,
    ids: impl Iterator<Item = UserId>,
) -> store::Result<HashMap<UserId, String>> {
    let mut emails = HashMap::new();
    for id in ids.collect::<HashSet<_>>() {
        if let Some(user) = authority.store.user(id).await? {
            emails.insert(id, user.email);
        }
    }
    Ok(emails)
}

/// A list with its owner, of which a page is asked for.
struct List<'a> {
    authority: &'a Authority,
    name: String,
    page: PageRequest<'a>,
}

impl List<'_> {
    fn position<T: for<'de> Deserialize<'de>>(&self) -> Result<Option<T>, BadCursor> {
        let decode = |cursor| self.authority.cursors.decode(&self.name, cursor);
        self.page.cursor.map(decode).transpose()
    }

    /// Rows to read: one more than the page has, which tells whether another page follows.
    fn rows(&self) -> u32 {
        self.page.limit.saturating_add(1)
    }

    fn page<T, P: Serialize>(&self, mut rows: Vec<T>, position: impl Fn(&T) -> P) -> Page<T> {
        let limit = usize::try_from(self.page.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|last| self.authority.cursors.encode(&self.name, &position(last)));
        Page { items: rows, next }
    }
}
