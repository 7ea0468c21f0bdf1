//! Device authorization (RFC 8628): a device asks to be signed in, and a user answers in a browser
//! (`docs/decisions/0018-a-device-is-a-browser-of-its-own.md`).

use std::net::IpAddr;

use serde_json::json;
use tokens::Scope;

use crate::authority::Authority;
use crate::domain::authentication::is_multi_factor;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::device::{DEVICE_CODE_TTL, UserCode};
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::FamilyId;
use crate::domain::refresh_token::{EncodedToken, FamilySecret, SecretHash};
use crate::ops::mail::{self, Mail, Notice};
use crate::services::throttle::{Counter, ThrottleError};
use crate::store::{
    self, BrowserSession, DeviceAuthorization, Event, NewDeviceAuthorization, NewDeviceFamily,
    Place,
};

/// User codes that are tried until one is free.
const MAX_CODES: u32 = 5;

/// The two codes of a device's request.
#[derive(Debug)]
pub struct Codes {
    /// The code that the device keeps to itself.
    pub device_code: EncodedToken,
    /// The code that it shows to its user.
    pub user_code: UserCode,
}

/// Records a device's request to be signed in. `unproven` is the address of a client that does not prove who it is.
///
/// The device code is the first token of a family that is made when a user approves: the database keeps a hash of its secret.
///
/// # Errors
/// When there are too many from this client or address, or the database cannot answer.
pub async fn request(
    authority: &Authority,
    client: &ClientMetadata,
    (scope, audience): (&Scope, &str),
    unproven: Option<IpAddr>,
    caller: &Caller,
) -> Result<Codes, ThrottleError> {
    let now = authority.now();
    let counters = Counter::device_requests(&client.client_id, unproven);
    authority.throttle.take(&counters, now).await?;
    let family: FamilyId = authority.random.uuid_at(now).into();
    let secret = FamilySecret::new(authority.random.bytes());
    let mut tries = 0;
    loop {
        tries += 1;
        let user_code = UserCode::new(authority.random.bytes());
        let request = NewDeviceAuthorization {
            family,
            secret_hash: secret.hash(),
            user_code: &user_code,
            client_id: &client.client_id,
            scope: &scope.to_string(),
            audience,
            ip: &caller.ip,
            user_agent: &caller.user_agent,
            expires_at: now + DEVICE_CODE_TTL,
        };
        let actor = Actor::Client(client.client_id.clone());
        let event = authority
            .event(EventKind::DeviceRequested, actor, caller)
            .client(&client.client_id)
            .family(family);
        match authority.store.add_device_authorization(&request, event, now).await {
            Err(store::Error::Conflict(_)) if tries < MAX_CODES => {}
            Err(fault) => return Err(fault.into()),
            Ok(()) => {
                let device_code = authority.refresh_tokens.encode_device_code(family, secret);
                return Ok(Codes { device_code, user_code });
            }
        }
    }
}

/// A request that waits for its user's answer, with its client.
#[derive(Debug)]
pub struct Waiting {
    /// The request.
    pub request: DeviceAuthorization,
    /// The client.
    pub client: ClientMetadata,
}

/// Finds the request that a user has typed the code of. Wrong codes are counted by user and address.
///
/// # Errors
/// When there were too many, or the database cannot answer.
pub async fn find(
    authority: &Authority,
    code: &UserCode,
    session: &BrowserSession,
    address: IpAddr,
) -> Result<Option<Waiting>, ThrottleError> {
    let mut counters = vec![Counter::UserCode(session.user_id)];
    counters.extend(Counter::address(address));
    let now = authority.now();
    authority.throttle.take(&counters, now).await?;
    let Some(request) = authority.store.pending_device_authorization(code, now).await? else {
        return Ok(None);
    };
    authority.throttle.give_back(&counters).await?;
    let client = authority.store.client(&request.client_id).await?;
    let client = client.filter(|client| client.enabled && client.metadata.device);
    Ok(client.map(|client| Waiting { request, client: client.metadata }))
}

/// Whether a sign-in is strong enough for a client: two factors, if it demands them.
pub fn is_strong_enough(client: &ClientMetadata, session: &BrowserSession) -> bool {
    !client.two_factors || is_multi_factor(&session.amr)
}

/// Approves a request: the device is signed in as the user, with the methods and the time of this sign-in. `None` when that
/// has ended, is not strong enough, or the request does not wait any more.
///
/// # Errors
/// When the database cannot answer.
pub async fn approve(
    authority: &Authority,
    waiting: &Waiting,
    session: &BrowserSession,
    caller: &Caller,
) -> Result<Option<()>, store::Error> {
    let (request, client) = (&waiting.request, &waiting.client);
    if !is_strong_enough(client, session) {
        return Ok(None);
    }
    let now = authority.now();
    let forgotten = || SecretHash::of(authority.random.token().as_bytes());
    let family = NewDeviceFamily {
        request: request.family,
        approved_in: session.id,
        device: authority.random.uuid().into(),
        no_cookies: [forgotten(), forgotten()],
        session: authority.random.uuid_at(now).into(),
        name: client.name.clone(),
        expires_at: now + authority.config.ttls.family(client),
    };
    let place = Place {
        ip: request.ip.clone(),
        user_agent: request.user_agent.clone(),
        at: request.created_at.to_string(),
    };
    let notice = Notice {
        user: session.user_id,
        email: None,
        kind: EventKind::DeviceApproved.as_str().to_owned(),
        at: now,
        places: vec![place],
        about: Some(client.name.clone()),
    };
    let target = format!("user:{}", session.user_id);
    let event = answered(authority, EventKind::DeviceApproved, request, session, caller)
        .tell(mail::seal(authority, &target, Mail::Notice(notice), None));
    authority.store.approve_device(&family, event, now).await
}

/// Refuses a request. `None` when it does not wait any more.
///
/// # Errors
/// When the database cannot answer.
pub async fn deny(
    authority: &Authority,
    waiting: &Waiting,
    session: &BrowserSession,
    caller: &Caller,
) -> Result<Option<()>, store::Error> {
    let request = &waiting.request;
    let event = answered(authority, EventKind::DeviceDenied, request, session, caller);
    authority.store.deny_device(request.family, event, authority.now()).await
}

/// The event of a user's answer, with the place of the device.
fn answered(
    authority: &Authority,
    kind: EventKind,
    request: &DeviceAuthorization,
    session: &BrowserSession,
    caller: &Caller,
) -> Event {
    authority
        .event(kind, Actor::User(session.user_id), caller)
        .user(session.user_id)
        .client(&request.client_id)
        .family(request.family)
        .detail(json!({ "device": { "ip": request.ip, "user_agent": request.user_agent } }))
}
