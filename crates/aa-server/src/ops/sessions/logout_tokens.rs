//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): clients that registered a URI are told of ended sessions.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::authority::Authority;
use crate::domain::ids::{FamilyId, UserId};
use crate::ops::sessions::consume::{EndConsumer, NewMessage};
use crate::ops::tokens::issue::id_token_algorithm;
use crate::services::outbox::{DeliveryError, Message};
use crate::store::{EndRecord, Result};

/// The kind of the deliveries.
pub const KIND: &str = "logout_token";
/// Life of a logout token, in seconds (§2.4: two minutes at most are recommended).
const LIFE: i64 = 120;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token to be made when it is sent: it lives for minutes, and a delivery may take days.
#[derive(Debug, Serialize, Deserialize)]
struct Logout {
    client_id: String,
    sub: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<FamilyId>,
}

/// Tells clients that registered a URI, each of its own sessions.
#[derive(Debug)]
pub struct LogoutTokens;

impl EndConsumer for LogoutTokens {
    const NAME: &'static str = "logout_tokens";

    async fn messages_of(authority: &Authority, end: &EndRecord) -> Result<Vec<NewMessage>> {
        let mut messages = Vec::new();
        for session in authority.store.sessions_of_end(end).await? {
            let client = authority.store.client(&session.client_id).await?;
            let uri = client
                .filter(|client| client.enabled)
                .and_then(|client| client.metadata.backchannel_logout_uri);
            let Some(target) = uri else { continue };
            let logout = Logout {
                client_id: session.client_id,
                sub: session.user_id,
                sid: session.family_id,
            };
            let payload = serde_json::to_vec(&logout).expect("it is JSON");
            messages.push(NewMessage { kind: KIND, target, payload });
        }
        Ok(messages)
    }
}

/// Sends a logout token (§2.5). The token is new at each attempt; its `jti` stays.
///
/// # Errors
/// [`DeliveryError`], in words for the operator.
pub async fn send(
    authority: &Authority,
    message: &Message,
) -> std::result::Result<(), DeliveryError> {
    let logout: Logout = serde_json::from_slice(&message.payload)
        .map_err(|error| DeliveryError(format!("its payload cannot be read: {error}")))?;
    let failed = |error: &dyn std::fmt::Display| DeliveryError(error.to_string());
    let client = authority.store.client(&logout.client_id).await.map_err(|error| failed(&error))?;
    // Registered no more, or elsewhere: nothing is owed to the old address.
    let Some(client) = client
        .filter(|client| client.metadata.backchannel_logout_uri.as_ref() == Some(&message.target))
    else {
        return Ok(());
    };
    let now = authority.now();
    let algorithm = id_token_algorithm(&client.metadata);
    let signer = authority.keyring.signer(algorithm, "", now).map_err(|error| failed(&error))?;
    let mut claims = json!({
        "iss": authority.config.public_url.as_str(),
        "aud": logout.client_id,
        "sub": authority.subjects.of(&client.metadata, logout.sub),
        "iat": now.secs(),
        "exp": now.secs() + LIFE,
        "jti": message.id.to_string(),
        "events": { EVENT: {} },
    });
    if let Some(sid) = logout.sid {
        claims["sid"] = json!(sid);
    }
    let token = signer.sign("logout+jwt", &claims).map_err(|error| failed(&error))?;
    authority.outbound.post_form(&message.target, &[("logout_token", &token)]).await
}
