//! Names a browser on the sessions page.

use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::BrowserId;
use crate::store::{BrowserSession, Result};

/// Gives a browser of the user a name. `None` when it is not theirs.
pub async fn rename_browser(
    authority: &Authority,
    browser_session: &BrowserSession,
    browser: BrowserId,
    name: &str,
    caller: &Caller,
) -> Result<Option<()>> {
    let user = browser_session.user_id;
    let event = authority
        .event(EventKind::BrowserRenamed, Actor::User(user), caller)
        .user(user)
        .detail(json!({ "device": browser, "name": name }));
    authority.store.rename_browser(user, browser, name, event, authority.now()).await
}
