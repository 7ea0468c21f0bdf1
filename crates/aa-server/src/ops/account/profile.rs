//! Name, language and time zone of an account, and a copy of its data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::AccountError;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::language::Language;
use crate::domain::time_zone::TimeZone;
use crate::domain::user::check_name;
use crate::ops::lists::{self, PageError, PageRequest, Sessions};
use crate::store::{self, EventFilter, Profile, User};

/// Events and sessions that are read at once for a copy.
const BATCH: u32 = 500;
/// Events in a copy, at most: the newest.
const MAX_EVENTS: usize = 10_000;

/// Changes name, language and time zone, as they were typed. An unknown tag stands for the browser's language.
///
/// # Errors
/// [`AccountError::Invalid`], [`AccountError::Store`].
pub async fn change(
    authority: &Authority,
    user: &User,
    typed: Profile<'_>,
    caller: &Caller,
) -> Result<(), AccountError> {
    let name = check_name(typed.name)?;
    let language = Language::from_tag(typed.language).map_or("", Language::tag);
    let time_zone = match typed.time_zone {
        "" => "",
        name => name.parse::<TimeZone>()?.name(),
    };
    let event = authority
        .event(EventKind::ProfileChanged, Actor::User(user.id), caller)
        .user(user.id)
        .detail(json!({ "language": language, "time_zone": time_zone }));
    let profile = Profile { name: &name, language, time_zone };
    Ok(authority.store.change_profile(user.id, &profile, event, authority.now()).await?)
}

/// The data of a user, whole but for secrets, as JSON.
///
/// # Errors
/// When the database cannot answer.
pub async fn export(authority: &Authority, user: &User, caller: &Caller) -> store::Result<Value> {
    let store = &authority.store;
    let now = authority.now();
    let event =
        authority.event(EventKind::DataExported, Actor::User(user.id), caller).user(user.id);
    store.add_event(&event, now).await?;
    let passkeys = store.passkeys(user.id).await?;
    let passkeys: Vec<Value> = passkeys
        .iter()
        .map(|key| {
            json!({
                "name": key.name,
                "synced": key.synced,
                "added_at": key.created_at.to_string(),
                "last_used_at": key.last_used_at.map(|at| at.to_string()),
            })
        })
        .collect();
    let counts = store.factor_counts(user.id).await?;
    let browsers = store.signed_in_browsers(user.id, now).await?;
    let browsers: Vec<Value> = browsers
        .iter()
        .map(|browser| {
            json!({
                "name": browser.name,
                "user_agent": browser.user_agent,
                "ip": browser.ip,
                "first_seen_at": browser.first_seen_at.to_string(),
                "last_seen_at": browser.last_seen_at.to_string(),
            })
        })
        .collect();
    Ok(json!({
        "exported_at": now.to_string(),
        "issuer": authority.config.public_url.as_str(),
        "account": {
            "sub": user.id,
            "email": user.email,
            "email_verified_at": user.email_verified_at.map(|at| at.to_string()),
            "name": user.name,
            "given_name": user.given_name,
            "family_name": user.family_name,
            "groups": user.groups(),
            "language": user.language,
            "time_zone": user.zone().map(TimeZone::name),
            "picture": picture(authority, user).await?,
            "roles": user.roles(),
            "created_at": user.created_at.to_string(),
            "closes_at": user.closes_at.map(|at| at.to_string()),
        },
        "passkeys": passkeys,
        "authenticator_app": counts.totp > 0,
        "recovery_codes_left": counts.recovery_codes,
        "signed_in_browsers": browsers,
        "sessions": sessions(authority, user).await?,
        "activity": activity(authority, user).await?,
    }))
}

/// The picture as a `data:` URL (RFC 2397).
async fn picture(authority: &Authority, user: &User) -> store::Result<Option<String>> {
    let Some(name) = &user.picture else { return Ok(None) };
    let png = authority.store.picture(name).await?;
    Ok(png.map(|png| format!("data:image/png;base64,{}", STANDARD.encode(png))))
}

async fn sessions(authority: &Authority, user: &User) -> store::Result<Vec<Value>> {
    let page = PageRequest { cursor: None, limit: BATCH };
    let live = lists::sessions(authority, user.id, Sessions::Live, page).await;
    let live = match live {
        Ok(page) => page.items,
        Err(PageError::Store(cause)) => return Err(cause),
        Err(PageError::BadCursor(_)) => Vec::new(),
    };
    let ids = live.iter().map(|row| row.client_id.as_str());
    let agents = lists::agents(authority, ids).await?;
    let session = |row: &store::SessionRow| {
        json!({
            "is_agent": agents.contains(&row.client_id),
            "sid": row.id,
            "client_id": row.client_id,
            "opened_at": row.created_at.to_string(),
            "last_used_at": row.rotated_at.to_string(),
            "last_used_ip": row.rotated_ip,
            "expires_at": row.expires_at.min(row.idle_expires_at).to_string(),
        })
    };
    Ok(live.iter().map(session).collect())
}

async fn activity(authority: &Authority, user: &User) -> store::Result<Vec<Value>> {
    let only = EventFilter { user: Some(user.id), ..EventFilter::default() };
    let mut events = Vec::new();
    let mut before = None;
    while events.len() < MAX_EVENTS {
        let rows = authority.store.events_before(&only, before, BATCH).await?;
        let Some(last) = rows.last() else { break };
        before = Some(last.position());
        let full = rows.len() == BATCH as usize;
        events.extend(rows.iter().map(store::EventRow::to_json));
        if !full {
            break;
        }
    }
    Ok(events)
}
