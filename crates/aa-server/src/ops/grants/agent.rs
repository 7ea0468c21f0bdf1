//! What users allow agents, and refuse them: the events of their answers.

use serde_json::json;

use crate::authority::Authority;
use crate::domain::agent::place_of;
use crate::domain::authorization_request::AuthorizationRequest;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::UserId;
use crate::ops::mail::{self, Mail, Notice};
use crate::store::{self, Event, Place};

/// The lifetimes of what a user allows an agent.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// The end, however much it is used.
    pub most: std::time::Duration,
    /// The time after which it ends when it is not used; none where it is not prolonged by use.
    pub idle: Option<std::time::Duration>,
}

/// How long an agent may act by this request: as long as its family lives if it gets refresh tokens, else as one application
/// token does.
pub fn lifetime(
    authority: &Authority,
    client: &ClientMetadata,
    request: &AuthorizationRequest,
) -> Lifetime {
    let ttls = &authority.config.ttls;
    if client.refreshes(&request.scope) {
        let most = ttls.family(client);
        return Lifetime { most, idle: Some(ttls.family_idle(client).min(most)) };
    }
    Lifetime { most: ttls.at(client).min(ttls.family(client)), idle: None }
}

/// The names of the APIs that an agent asks for, and the texts about their scopes.
#[derive(Debug, Default)]
pub struct Apis {
    /// The name of each audience; the audience itself where no API is registered with it.
    pub names: Vec<String>,
    /// Each requested scope that an API has a text about, with the text.
    pub texts: Vec<(String, String)>,
}

/// Finds the APIs that a request of an agent is for.
///
/// # Errors
/// When the database cannot answer.
pub async fn apis(
    authority: &Authority,
    client: &ClientMetadata,
    request: &AuthorizationRequest,
) -> store::Result<Apis> {
    let known = authority.store.apis().await?;
    let mut found = Apis::default();
    // Of those that the request does not name, the agent may take any later.
    let named: Vec<&str> = request.resources.iter().map(String::as_str).collect();
    for audience in if named.is_empty() { client.allowed_audiences() } else { named } {
        let api = known.iter().find(|api| api.allowed_audiences().contains(&audience));
        found.names.push(api.map_or(audience, |api| &api.name).to_owned());
        let texts = api.into_iter().flat_map(|api| &api.scope_texts);
        found.texts.extend(texts.map(|(scope, text)| (scope.clone(), text.clone())));
    }
    Ok(found)
}

/// The event that a user allows an agent, of which they are told.
pub(super) fn allowed(
    authority: &Authority,
    (client, request): (&ClientMetadata, &AuthorizationRequest),
    user: UserId,
    caller: &Caller,
) -> Event {
    let now = authority.now();
    let place =
        Place { ip: caller.ip.clone(), user_agent: caller.user_agent.clone(), at: now.to_string() };
    let notice = Notice {
        user,
        email: None,
        kind: EventKind::AgentAllowed.as_str().to_owned(),
        at: now,
        places: vec![place],
        about: Some(client.name.clone()),
    };
    let letter = mail::seal(authority, &format!("user:{user}"), Mail::Notice(notice), None);
    answered(authority, EventKind::AgentAllowed, request, user, caller).tell(letter)
}

/// Records that a user refuses an agent.
///
/// # Errors
/// When the database cannot answer.
pub async fn deny(
    authority: &Authority,
    request: &AuthorizationRequest,
    user: UserId,
    caller: &Caller,
) -> store::Result<()> {
    let event = answered(authority, EventKind::AgentDenied, request, user, caller);
    authority.store.add_event(&event, authority.now()).await
}

fn answered(
    authority: &Authority,
    kind: EventKind,
    request: &AuthorizationRequest,
    user: UserId,
    caller: &Caller,
) -> Event {
    let audiences = match request.resources.as_slice() {
        [] => vec![&request.audience],
        named => named.iter().collect(),
    };
    authority.event(kind, Actor::User(user), caller).user(user).client(&request.client_id).detail(
        json!({
            "scope": request.scope.to_string(),
            "audiences": audiences,
            "answer_to": place_of(&request.target.redirect_uri),
        }),
    )
}
